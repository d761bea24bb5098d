"""Errors as a person should see them: one sentence on standard error, exit code 2; an interrupt ends with 130.

``AFUIC_DEBUG=1`` shows the traceback instead.
"""

from __future__ import annotations

import errno
import os
from typing import Any

import typer
from typer.core import TyperGroup

from afuic.cli.common import say
from afuic.errors import AfuicError, RunInterrupted

FAILED = 2
INTERRUPTED = 130


class Guarded(TyperGroup):
    """The root command group: whatever a command raises on purpose, or the machine does, becomes one sentence."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (RunInterrupted, KeyboardInterrupt) as error:
            _say(str(error) or "stopped")
            raise typer.Exit(INTERRUPTED) from None
        except (AfuicError, OSError) as error:
            if os.environ.get("AFUIC_DEBUG") == "1" or getattr(error, "errno", None) == errno.EPIPE:
                raise
            _say(_of_the_machine(error) if isinstance(error, OSError) else str(error))
            raise typer.Exit(FAILED) from None


def _say(sentence: str) -> None:
    say(f"afuic: {' '.join(sentence.split())}", err=True)


def _of_the_machine(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    what = (error.strerror or str(error) or type(error).__name__).lower()
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return f"{where}{what}" + (
        "; free some space, then go on (`afuic run --resume`; a suite by the same command)" if full else ""
    )
