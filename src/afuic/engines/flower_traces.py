"""Leaves nothing of deleted messages on the SuperLink's disk: SQLite keeps what it deletes until it needs the place.

Updates pass through that database, so an erased hospital's would stay there after every purge of ours.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path

PATIENCE_S, EVERY_S = 4.0, 300.0

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
