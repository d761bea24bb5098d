"""Many files at once: the whole folder appears, or nothing does. Secrets are never readable by others, not even for a moment."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from afuic.errors import ConfigError
from afuic.store.files import writing

PRIVATE_FOLDER = 0o700


@dataclass(frozen=True)
class File:
    """The content of one file; a ``secret`` is for its owner alone."""

    content: bytes
    secret: bool = False

    @property
    def mode(self) -> int:
        return 0o600 if self.secret else 0o644


def text(content: str, *, secret: bool = False) -> File:
    """A file of text."""
    return File(content.encode(), secret)


Tree = Mapping[str, File | None]
"""Relative paths and what is there; None is an empty folder."""


def below(folder: str, tree: Tree) -> Tree:
    """The same files inside ``folder``."""
    return {f"{folder}/{path}": file for path, file in tree.items()}


def write_tree(folder: Path, tree: Tree, more: Callable[[Path], None] = lambda built: None) -> None:
    """Make ``folder`` (0700) hold ``tree`` and what ``more`` adds to it: built beside it, synced, renamed.

    ConfigError where it exists and is not empty.
    """
    refuse_used(folder)
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        built = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            for path, file in tree.items():
                _put(built, path, file)
            more(built)
            if folder.is_dir():
                folder.rmdir()
            built.rename(folder)
            _sync(folder.parent)
        except BaseException:
            shutil.rmtree(built, ignore_errors=True)
            raise


def refuse_used(folder: Path) -> None:
    """ConfigError unless ``folder`` is absent or an empty folder."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"{folder}: is there and not a folder; name another place for the federation's files")
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: is not empty, and keys are never overwritten; name a new folder, or move this one away")


def _put(root: Path, path: str, file: File | None) -> None:
    target = root / PurePosixPath(path)
    for parent in reversed(target.relative_to(root).parents[:-1]):
        (root / parent).mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    if file is None:
        target.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        return
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
    with os.fdopen(handle, "wb") as out:
        out.write(file.content)
        out.flush()
        os.fchmod(out.fileno(), file.mode)
        os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
