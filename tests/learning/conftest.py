"""The user's networks of this folder importable by name, as they are from a user's PYTHONPATH."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def users_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
