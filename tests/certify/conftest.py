"""A key for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from afuic.certify.keys import make_key


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key; its public half ends in ``.pub``."""
    path = tmp_path / "server" / "certificate.key"
    make_key(path)
    return path
