"""What a store refuses, each with its reason: another writer, newer tables, a changed file, another store's folder, a full disk."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import text, update

from afuic.errors import StoreError
from afuic.params import digest
from afuic.protocol import events as ev
from afuic.store import schema
from afuic.store.book import Book
from afuic.store.database import address
from afuic.store.rows import Command

from .conftest import Place
from .little import CLASSES, Little, named, vector
from .postgres import Postgres

ASKED = Command(0, "erase", "r-1", "a", None, None, "why", "operator", "key-1", 50.0)


def test_a_second_writer_is_refused(place: Place, book: Book) -> None:
    with pytest.raises(StoreError, match="another process works there"):
        place.open(write=True)
    place.open().close()
    book.close()
    place.open(write=True).close()


@pytest.mark.deployment
def test_a_second_writer_of_one_database_is_refused(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afuic.store.database.LOCK_PATIENCE_S", 0.0)
    url = postgres.database()
    with (
        closing(Book.create(url, tmp_path / "one", "f", "x", vector(0, 0))),
        pytest.raises(StoreError, match="another server writes there"),
    ):
        Book.open(url, tmp_path / "another", write=True)


def test_newer_tables_are_refused(place: Place, book: Book) -> None:
    with book._database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    book.close()
    for write in (False, True):
        with pytest.raises(StoreError, match="newer afuic \\(schema 9999\\); install that version or a later one"):
            place.open(write=write)


def test_older_tables_are_brought_up_by_the_server_alone(place: Place, book: Book) -> None:
    with book._database.writing() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
    book.close()
    with pytest.raises(StoreError, match="of an older afuic; start the server once"):
        place.open()


def test_a_changed_model_is_refused(place: Place, little: Little) -> None:
    little.train("a", 2, 4)
    path = little.book.model_path(1)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StoreError, match="its content is not what its name says"):
        little.book.model(1)
    with pytest.raises(StoreError, match="its content is not what its name says"):
        little.book.check()
    path.write_bytes(content[:40])
    with pytest.raises(StoreError, match="not a readable safetensors file"):
        little.book.check()
    path.unlink()
    with pytest.raises(StoreError, match="no such model"):
        little.book.check()


def test_a_changed_event_is_not_replayed(place: Place, little: Little) -> None:
    little.train("a", 2, 4)
    path = next(p for p in (place.folder / "blobs").rglob("*") if p.stem == named(2, 4).removeprefix("sha256:"))
    path.write_bytes(path.read_bytes().replace(path.read_bytes()[-4:], b"\0\0\0\0"))
    with pytest.raises(StoreError, match="changed from outside"):
        Little(little.book)


def test_a_changed_snapshot_is_refused(little: Little) -> None:
    little.train("a", 2, 4)
    little.book.snapshot(little.seq, little.state, little.opened)
    with little.book._database.writing() as connection:
        body = json.dumps({"format": "afuic-snapshot/1", "value": {"$tuple": [None, None]}})
        connection.execute(update(schema.snapshots).values(body=body))
    with pytest.raises(StoreError, match="snapshot 3: its content is not what was written"):
        little.book.resume(CLASSES)


def test_a_snapshot_with_a_class_that_is_not_named_is_refused(little: Little) -> None:
    little.book.snapshot(little.seq, little.state, little.opened)
    with pytest.raises(StoreError, match="snapshot 2: cannot be read \\(KeyError"):
        little.book.resume(())


def test_another_stores_folder_is_refused_and_left_alone(place: Place, book: Book, tmp_path: Path) -> None:
    book.close()
    other = tmp_path / "other"
    Book.create(None, other, "other", "x", vector(1, 1)).close()
    (other / "afuic.db").unlink()
    url = place.url or f"sqlite:///{place.folder / 'afuic.db'}"
    with pytest.raises(StoreError, match="does not belong to this database"):
        Book.open(url, other, write=True)
    assert len(list((other / "blobs").rglob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    ("url", "said"), [("mysql://x/y", "'mysql' is not supported"), ("what", "not a URL"), ("sqlite://", "not supp")]
)
def test_another_database_is_refused(url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=said):
        Book.open(url, tmp_path)


def test_a_url_is_taken_as_users_write_it(tmp_path: Path) -> None:
    assert address("postgresql://u:p@h/d", tmp_path).drivername == "postgresql+psycopg"
    assert address("postgres://u:p@h/d", tmp_path).drivername == "postgresql+psycopg"
    assert address(None, tmp_path).database == str(tmp_path / "afuic.db")


def test_an_error_does_not_tell_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        Book.open("postgresql://afuic:sesame@127.0.0.1:1/afuic?connect_timeout=2", tmp_path)
    assert "127.0.0.1:1/afuic" in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_a_store_that_was_not_finished_is_made_whole(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afuic.store.book._begin", _full)
    with pytest.raises(OSError, match="No space"):
        place.create()
    monkeypatch.undo()
    assert not Book.exists(place.url, place.folder)
    with pytest.raises(StoreError, match="there is no store"):
        place.open(write=True)
    place.create().close()


def _full(*_: object) -> str:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", range(12))
def test_a_disk_that_fills_up_at_any_step_leaves_all_or_nothing(
    step: int, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = Little(place.create())
    little.happen(ev.ClientJoined, "a")
    task, calls, real = little.state.task_of("a"), 0, os.fsync
    assert task is not None

    def fsync(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > step:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    try:
        little.train("a", 2, 4)
    except (StoreError, OSError):
        assert little.book.tip().seq == 1
        assert not list((place.folder / "blobs").rglob(".*"))
        monkeypatch.undo()
        little.train("a", 2, 4)
    monkeypatch.undo()
    assert calls <= 12, "more steps than this test tries"
    again = Little(little.book)
    assert (again.seq, again.state.applied, again.state.model["w"].tolist()) == (2, 1, [1.0, 2.0])
    assert little.book.check() == 0.0
    little.book.close()


def test_a_full_database_takes_the_event_later(tmp_path: Path) -> None:
    """SQLite may not write a byte beyond the size that its files have now, as on a full disk; the models' files are smaller."""
    little = Little(Book.create(None, tmp_path / "store", "f", "x", vector(0, 0)))
    for name in "ab":
        little.happen(ev.ClientJoined, name)
    wal = (tmp_path / "store" / "afuic.db-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(wal, 4096), hard))
    try:
        with pytest.raises(StoreError, match=r"afuic\.db: "):
            _train_on(little, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    applied = little.state.applied
    little.train("a", 2, 4)
    again = Little(little.book)
    assert (again.state.applied, digest(again.state.model)) == (applied + 1, little.book.tip().digest)
    little.book.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 700 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "none", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    """Updates of 40 kB until the disk is full and a request while it is; then somebody makes room, and both are done again."""
    size, filler = 10_000, small_disk / "filler"
    filler.write_bytes(bytes(150_000))
    with closing(Book.create(None, small_disk / "store", "f", "x", vector(*[0.0] * size))) as book:
        little = Little(book, size=size)
        for name in "ab":
            little.happen(ev.ClientJoined, name)
        with pytest.raises(StoreError, match=r"(full|No space)"):
            _train_on(little, size)
        seq, applied = little.seq, little.state.applied
        _fill(small_disk / "rest")
        with pytest.raises(StoreError, match="the disk is full"):
            book.ask(ASKED)
    filler.unlink()
    (small_disk / "rest").unlink()
    with closing(Book.open(None, small_disk / "store", write=True)) as book:
        little = Little(book, size=size)
        assert (little.seq, little.state.applied, book.commands()) == (seq, applied, [])
        assert book.ask(ASKED)[1]
        little.train("a", *[1.0] * size)
        assert little.state.applied == applied + 1
        assert book.check() == 0.0


def _train_on(little: Little, size: int) -> None:
    for number in range(400):
        little.train("a", *[float(number)] * size)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))
