"""Arms that another suite's folder holds: suites ask of the same federations, and what has the same settings has the same numbers."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from afuic.bench.document import begun
from afuic.bench.fingerprint import fingerprint
from afuic.bench.task import ARMS, RESULT, Task
from afuic.errors import StoreError
from afuic.store.files import holding, read_json, write_bytes


def check(source: Path) -> None:
    """StoreError when ``source`` is not the folder of a suite."""
    if begun(source) is None:
        raise StoreError(f"{source}: holds no suite of afuic, so no arms to copy; give --reuse a folder of `afuic bench run`")


def reuse(tasks: Iterable[Task], root: Path, source: Path) -> tuple[str, ...]:
    """Copy to ``root``, the folder of all arms, what ``source``, a suite's folder, has finished of these tasks; the names of those copied.

    A task that was begun here is left to go on. StoreError: ``source`` is being run, or there is no room.
    """
    with holding(source):
        kept = begun(source)
        known = {} if kept is None else {digest: name for name, digest in kept.arms.items()}
        copied = []
        for task in tasks:
            name = None if task.kind != "arm" or task.at(root).exists() else known.get(fingerprint(task))
            if name is not None and _finished(source / ARMS / name):
                _copy(source / ARMS / name, task.at(root))
                copied.append(task.name)
        return tuple(copied)


def _finished(arm: Path) -> bool:
    return (arm / RESULT).exists() and "error" not in read_json(arm / RESULT)


def _copy(arm: Path, place: Path) -> None:
    """An arm's folder is there whole or not at all."""
    draft = place.with_name(f".{place.name}.copy")
    shutil.rmtree(draft, ignore_errors=True)
    for file in sorted(path for path in arm.iterdir() if path.is_file()):
        write_bytes(draft / file.name, file.read_bytes())
    draft.replace(place)
