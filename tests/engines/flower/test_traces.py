"""Deleted messages are gone from the SuperLink's files, not only from its tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from afuic.engines.flower_traces import left, overwrite

SECRET = b"an erased hospital's update " * 400


@pytest.fixture(params=[0, 1])
def superlink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that stays open, as the SuperLink's does; once with a SQLite that overwrites by itself, once without."""
    with closing(sqlite3.connect(tmp_path / "superlink.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA secure_delete={request.param}")
        connection.execute("CREATE TABLE objects (content BLOB)")
        connection.execute("INSERT INTO objects VALUES (?)", (SECRET,))
        connection.execute("INSERT INTO objects VALUES ('kept')")
        yield connection


def found(folder: Path) -> bool:
    return any(SECRET[:28] in path.read_bytes() for path in folder.iterdir())


def test_nothing_is_left_of_a_deleted_message(superlink: sqlite3.Connection, tmp_path: Path) -> None:
    superlink.execute("DELETE FROM objects WHERE content != 'kept'")
    assert found(tmp_path)
    assert overwrite(tmp_path / "superlink.db")
    assert not found(tmp_path)
    assert superlink.execute("SELECT content FROM objects").fetchall() == [("kept",)]


def test_a_database_in_use_is_left_for_later(superlink: sqlite3.Connection, tmp_path: Path) -> None:
    superlink.execute("BEGIN IMMEDIATE")
    superlink.execute("DELETE FROM objects")
    assert not overwrite(tmp_path / "superlink.db")
    superlink.execute("ROLLBACK")
    assert superlink.execute("SELECT count(*) FROM objects").fetchone() == (2,)


def test_no_database_is_made_by_asking(tmp_path: Path) -> None:
    assert not overwrite(tmp_path / "superlink.db")
    assert list(tmp_path.iterdir()) == []


def test_what_was_deleted_is_overwritten_before_it_is_looked_for(superlink: sqlite3.Connection, tmp_path: Path) -> None:
    superlink.execute("DELETE FROM objects WHERE content != 'kept'")
    assert left(tmp_path / "superlink.db", [SECRET[:28]]) == ()


def test_a_message_under_way_is_named(superlink: sqlite3.Connection, tmp_path: Path) -> None:
    said = "the SuperLink's database: a message under way has tensors that were purged; they go when it is handed over"
    assert left(tmp_path / "superlink.db", [b"nothing", SECRET[:28]]) == (said,)


def test_a_log_that_cannot_be_overwritten_is_named(superlink: sqlite3.Connection, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "superlink.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM objects").fetchall()
        superlink.execute("DELETE FROM objects WHERE content != 'kept'")
        found = left(tmp_path / "superlink.db", [SECRET[:28]])
    assert found[0].startswith("the SuperLink's database, and its log: in use")
    assert any(place.startswith("the SuperLink's database-wal: ") for place in found[1:])


def test_no_database_leaves_nothing(tmp_path: Path) -> None:
    assert left(tmp_path / "superlink.db", [b"x"]) == ()
