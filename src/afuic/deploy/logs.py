"""One log file for each process, kept below a size: a file that has grown too large is copied aside and emptied under its writer."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from afuic.text import shown

LARGEST, KEPT = 10_000_000, 3


def opened(folder: Path, name: str) -> int:
    """A descriptor to append to ``NAME.log``, readable by its owner alone; appending is what allows ``rotate`` to empty it."""
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def note(folder: Path, name: str, line: str) -> None:
    """One line of the supervisor's own."""
    handle = opened(folder, name)
    try:
        os.write(handle, (shown(line) + "\n").encode())
    finally:
        os.close(handle)


def silence(line: str) -> None:
    """Tell nobody."""


def rotate(folder: Path, largest: int = LARGEST, kept: int = KEPT) -> None:
    """Move what is too large to ``NAME.log.1``, that to ``.2`` and so on; the oldest goes. Lines written in that moment may be lost."""
    for path in folder.glob("*.log"):
        if path.stat().st_size > largest:
            for number in range(kept - 1, 0, -1):
                older = path.with_name(f"{path.name}.{number}")
                if older.exists():
                    older.replace(path.with_name(f"{path.name}.{number + 1}"))
            shutil.copyfile(path, path.with_name(f"{path.name}.1"))
            path.with_name(f"{path.name}.1").chmod(0o600)
            os.truncate(path, 0)


def tail(path: Path, lines: int = 20) -> list[str]:
    """The last lines of a log, none where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 200 * lines))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
