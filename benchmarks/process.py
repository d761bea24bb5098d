"""A process of benchmarks/killed.py, to be waited for and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("killed.py")


class Process:
    """A process of its own group whose first line says that it is ready."""

    def __init__(self, *arguments: str, environment: dict[str, str]) -> None:
        command = [sys.executable, str(SCRIPT), *arguments]
        with (Path(arguments[1]) / "errors.log").open("ab") as errors:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, env=environment, start_new_session=True
            )
        self.said: list[str] = []

    def ready(self) -> str | None:
        """Its first line; None where it ended without one."""
        if not self.said and self.process.stdout is not None:
            self.said.append(self.process.stdout.readline().decode())
        return self.said[0] or None

    def kill(self) -> bool:
        """Kill it alone, not what it has started; False where it had ended by itself."""
        alive = self.process.poll() is None
        if alive:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.close()
        return alive

    def close(self) -> None:
        """Let go of what it said."""
        if self.process.stdout is not None:
            self.process.stdout.close()
