"""Leaves nothing of deleted messages on the SuperLink's disk: SQLite keeps what it deletes until it needs the place.

Updates pass through that database, so an erased hospital's would stay there after every purge of ours.
"""

from __future__ import annotations

import logging
import mmap
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

PATIENCE_S, EVERY_S, TRIES = 4.0, 300.0, 2
SUPERLINK = "the SuperLink's database"

log = logging.getLogger("afuic.flower")


def overwrite(database: Path) -> bool:
    """Overwrite what was deleted, in the file and in its log, beside a SuperLink that runs; False where it was too busy: try again."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=PATIENCE_S)) as connection:
            connection.isolation_level = None
            if _value(connection, "freelist_count") or not _value(connection, "secure_delete"):
                connection.execute("VACUUM")
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy
    except sqlite3.Error as error:
        log.warning("%s: deleted messages are not overwritten yet (%s)", database, error)
        return False


def left(database: Path, pieces: Sequence[bytes]) -> tuple[str, ...]:
    """Overwrite, then look for ``pieces`` in every file of the database, its log too; what is left, or may be, in words."""
    if not database.exists():
        return ()
    clean = any(overwrite(database) for _ in range(TRIES))
    busy = [] if clean else [f"{SUPERLINK}, and its log: in use, so that deleted messages in them are not overwritten yet"]
    files = sorted(path for path in database.parent.glob(f"{database.name}*") if path.is_file())
    return (*busy, *(said for path in files if (said := _said(path, database, pieces)) is not None))


def _said(path: Path, database: Path, pieces: Sequence[bytes]) -> str | None:
    what = SUPERLINK + path.name.removeprefix(database.name)
    try:
        found = _holds(path, pieces)
    except OSError as error:
        return f"{what}: cannot be read ({error.strerror})"
    return f"{what}: a message under way has tensors that were purged; they go when it is handed over" if found else None


def _holds(path: Path, pieces: Sequence[bytes]) -> bool:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return any(content.find(piece) >= 0 for piece in pieces)


def _value(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


class Housekeeping:
    """Overwrites every ``EVERY_S``; sooner again where that failed."""

    def __init__(self, database: Path) -> None:
        self._database, self._due = database, time.monotonic()

    def turn(self) -> None:
        """Do it if it is due."""
        now = time.monotonic()
        if now >= self._due and self._database.exists():
            self._due = now + (EVERY_S if overwrite(self._database) else EVERY_S / 10)

    def left(self, pieces: Sequence[bytes]) -> tuple[str, ...]:
        """Do it at once; what is left of ``pieces``, or may be."""
        return left(self._database, pieces)
