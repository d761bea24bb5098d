"""A guardian in a process of its own, for tests: ``python guarding.py FOLDER PROGRAMS``, the programs as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from afuic.deploy.processes import Process
from afuic.deploy.running import Place, guard


def place(folder: Path) -> Place:
    return Place(folder, folder / "run", folder / "logs")


def processes(text: str) -> tuple[Process, ...]:
    """``name: [argv, depends, ready file or null, alive file or null]``."""
    return tuple(
        Process(
            name,
            tuple(argv),
            depends=tuple(depends),
            ready=None if ready is None else Path(ready).exists,
            alive=None if alive is None else Path(alive).exists,
        )
        for name, (argv, depends, ready, alive) in json.loads(text).items()
    )


if __name__ == "__main__":
    sys.exit(guard(place(Path(sys.argv[1])), processes(sys.argv[2]), grace_s=0.5))
