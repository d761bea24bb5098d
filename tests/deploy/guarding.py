"""A guardian in a process of its own, for tests: ``python guarding.py FOLDER PROGRAMS``, the programs as JSON."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from afuic.deploy import checks
from afuic.deploy.processes import Process
from afuic.deploy.running import Place, guard


def place(folder: Path) -> Place:
    return Place(folder, folder / "run", folder / "logs")


def processes(text: str) -> tuple[Process, ...]:
    """``name: {argv, depends, ready, alive, beats, why, final}``; all but the first may be missing; the files' names, but for ``final``.

    ``alive``: it hands something over, which is there as long as that file is; ``beats``: it works as long as it touches that one.
    """
    return tuple(
        Process(
            name,
            tuple(given["argv"]),
            depends=tuple(given.get("depends", ())),
            ready=Path(given["ready"]).exists if "ready" in given else None,
            alive=_alive(given),
            hands_over="alive" in given,
            silent_s=0.5,
            why=partial(_said, Path(given.get("why", "/nowhere"))),
            final=given.get("final"),
        )
        for name, given in json.loads(text).items()
    )


def _said(why: Path) -> str:
    return why.read_text() if why.exists() else ""


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _alive(given: dict[str, Any]) -> checks.Check | None:
    if "alive" in given:
        return Path(given["alive"]).exists
    return checks.beats(Path(given["beats"]), 0.5) if "beats" in given else None


if __name__ == "__main__":
    sys.exit(
        guard(
            place(Path(sys.argv[1])),
            processes(sys.argv[2]),
            grace_s=0.5,
            echo=_say,
            stuck_s=float(sys.argv[3]),
            check_s=0.2,
        )
    )
