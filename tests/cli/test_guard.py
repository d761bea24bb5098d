"""What goes wrong ends in one sentence and an exit code, never in a traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from afuic.cli.guard import Guarded
from afuic.errors import AfuicError, DataError, RunInterrupted


def failing(error: BaseException) -> typer.Typer:
    app = typer.Typer(cls=Guarded, pretty_exceptions_enable=False)

    @app.callback()
    def root() -> None: ...

    @app.command()
    def fail() -> None:
        raise error

    return app


def outcome(error: BaseException) -> tuple[int, str]:
    result = CliRunner().invoke(failing(error), ["fail"])
    return result.exit_code, result.output


CASES = [
    (DataError("x.npz: wrong checksum;\n fetch it again"), 2, "afuic: x.npz: wrong checksum; fetch it again\n"),
    (RunInterrupted("stopped; `afuic run --resume` goes on"), 130, "afuic: stopped; `afuic run --resume` goes on\n"),
    (KeyboardInterrupt(), 130, "afuic: stopped\n"),
    (PermissionError(errno.EACCES, "Permission denied", "runs"), 2, "afuic: runs: permission denied\n"),
    (
        OSError(errno.ENOSPC, "No space left on device", "runs/a"),
        2,
        "afuic: runs/a: no space left on device; free some space, then go on (`afuic run --resume`; a suite by the same command)\n",
    ),
    (OSError("timed out"), 2, "afuic: timed out\n"),
    (OSError(), 2, "afuic: oserror\n"),
]


@pytest.mark.parametrize(("error", "code", "text"), CASES)
def test_one_sentence_and_an_exit_code(monkeypatch, error, code, text):
    monkeypatch.delenv("AFUIC_DEBUG", raising=False)
    assert outcome(error) == (code, text)


def test_debugging_shows_the_error_itself(monkeypatch):
    monkeypatch.setenv("AFUIC_DEBUG", "1")
    with pytest.raises(AfuicError, match="wrong"):
        CliRunner().invoke(failing(DataError("wrong")), ["fail"], catch_exceptions=False)


def test_a_fault_of_ours_is_not_dressed_up():
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(failing(ZeroDivisionError()), ["fail"], catch_exceptions=False)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_without_a_character_is_shown_another(encoding):
    command = [sys.executable, "-m", "afuic.cli", "methods", "afuic"]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "?" in done.stdout.decode(encoding)
