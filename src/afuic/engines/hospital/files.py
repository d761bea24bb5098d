"""How a hospital keeps its own files: durable, whole or absent, and readable by nobody but the user who runs it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from afuic.store.files import write_bytes, writing

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600


def folder(path: Path) -> Path:
    """The folder, made if need be, and closed to others."""
    with writing(path):
        path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    return path


def keep(path: Path, content: bytes) -> None:
    """Write a file that is there after a power cut, too, once this returns."""
    write_bytes(folder(path.parent) / path.name, content, PRIVATE_FILE)
    _sync(path.parent)


def listed(path: Path, suffix: str) -> list[Path]:
    """The files of a folder with this suffix, in the order of their names; half-written ones are none."""
    return sorted(p for p in path.glob(f"*{suffix}") if not p.name.startswith("."))


def remove(paths: Iterable[Path]) -> None:
    """Delete files, where they are there, for good."""
    gone = list(paths)
    for path in gone:
        with writing(path):
            path.unlink(missing_ok=True)
    for parent in {path.parent for path in gone if path.parent.is_dir()}:
        _sync(parent)


def _sync(path: Path) -> None:
    with writing(path):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
