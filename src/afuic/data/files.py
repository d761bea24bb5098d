"""The only way the data layer writes a file: whole and durable, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pooch

from afuic.errors import DataError


def cache_dir(cache: Path | None = None) -> Path:
    """The folder of downloaded sets: ``cache``, else $AFUIC_DATA, else the user's cache directory."""
    return Path(cache or os.environ.get("AFUIC_DATA") or pooch.os_cache("afuic"))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` to write to; on leaving it is synced and takes the place of ``path``.

    After any exception, Ctrl-C included, the temporary file is gone and ``path`` is as it was. DataError when the disk is full or
    the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _cannot_write(path: Path, error: OSError) -> DataError:
    reason = error.strerror or str(error)
    return DataError(
        f"{path}: cannot be written ({reason}); free space there or choose another folder (AFUIC_DATA for downloads)"
    )
