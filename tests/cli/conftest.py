"""The command line as a person uses it, in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from afuic.cli import app


@pytest.fixture
def afuic_cli(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Calls ``afuic ARGUMENTS`` and gives the exit code and all it printed, on lines as long as they need to be."""
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.delenv("AFUIC_DEBUG", raising=False)

    def call(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return result.exit_code, result.output

    return call
