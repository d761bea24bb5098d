"""A store is begun only where nothing of one is: whatever is missing, the rest is refused and left as it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from afuic.errors import StoreError
from afuic.store.book import HANDFUL, Book
from afuic.store.files import write_json

from .conftest import Place
from .little import Little, vector


def full(place: Place) -> set[Path]:
    """A store with a history, closed; its models' files."""
    with closing(place.create()) as book:
        little = Little(book)
        from afuic.protocol import events

        for name in "ab":
            little.happen(events.ClientJoined, name)
        for number in range(30):
            little.train("a", number, 1)
    return blobs(place)


def blobs(place: Place) -> set[Path]:
    return {path for path in (place.folder / "blobs").rglob("*") if path.is_file()}


def no_file(place: Place) -> None:
    for path in place.folder.glob("afuic.db*"):
        path.unlink()


def only_the_log(place: Place) -> None:
    shutil.copy(place.folder / "afuic.db", place.folder / "afuic.db-wal")
    (place.folder / "afuic.db").unlink()


def empty_file(place: Place) -> None:
    no_file(place)
    (place.folder / "afuic.db").touch()


def cut_file(place: Place) -> None:
    for path in place.folder.glob("afuic.db-*"):
        path.unlink()
    content = (place.folder / "afuic.db").read_bytes()
    (place.folder / "afuic.db").write_bytes(content[: len(content) // 3])


def scribbled_file(place: Place) -> None:
    (place.folder / "afuic.db").write_bytes(b"x" * 5000)


def no_mark(place: Place) -> None:
    no_file(place)
    (place.folder / "store.json").unlink()


def no_models(place: Place) -> None:
    no_file(place)
    shutil.rmtree(place.folder / "blobs")


LOSSES = [no_file, only_the_log, empty_file, cut_file, scribbled_file, no_mark, no_models]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_lost_database_begins_nothing_and_loses_nothing_more(lose: Callable[[Place], None], tmp_path: Path) -> None:
    place = Place(None, tmp_path / "store")
    full(place)
    lose(place)
    left = blobs(place)
    for attempt in (
        lambda: Book.exists(None, place.folder) and place.open(write=True),
        place.create,
        place.open,
        lambda: place.open(write=True),
    ) * 2:
        with pytest.raises(StoreError, match="restore the store from a backup"):
            attempt()
    assert blobs(place) == left


@pytest.mark.deployment
@pytest.mark.parametrize("sql", ["DROP SCHEMA public CASCADE; CREATE SCHEMA public", "DELETE FROM federation"])
def test_an_emptied_database_server_begins_nothing(sql: str, place: Place) -> None:
    if place.url is None:
        pytest.skip("SQLite has no schema")
    left = full(place)
    from afuic.store.database import Database

    database = Database(place.url, place.folder)
    with database._writing(None) as connection:
        connection.execute(text(sql))
    database.close()
    for attempt in (place.create, place.open, lambda: place.open(write=True), lambda: Book.exists(place.url, place.folder)):
        with pytest.raises(StoreError, match="nothing is begun anew"):
            attempt()
    assert blobs(place) == left


def test_settings_that_name_another_database_begin_nothing(tmp_path: Path) -> None:
    place = Place(None, tmp_path / "store")
    left = full(place)
    for attempt in (Book.exists, Book.open, lambda url, folder: Book.create(url, folder, "f", "x", vector(0, 0))):
        with pytest.raises(StoreError, match="nothing is begun anew"):
            attempt(f"sqlite:///{tmp_path / 'elsewhere.db'}", place.folder)
    assert blobs(place) == left
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_folder_of_models_that_is_gone_is_not_made_anew(place: Place) -> None:
    full(place)
    shutil.move(place.folder / "blobs", place.folder.parent / "away")
    for write in (False, True):
        with pytest.raises(StoreError, match="restore that from a backup"):
            place.open(write=write)
    assert not (place.folder / "blobs").exists()
    shutil.move(place.folder.parent / "away", place.folder / "blobs")
    shutil.move(place.folder / "store.json", place.folder.parent / "mark")
    with pytest.raises(StoreError, match="restore that from a backup"):
        place.open(write=True)


def test_files_in_bulk_that_no_row_names_are_not_deleted(place: Place) -> None:
    left = full(place)
    from afuic.store.database import Database

    database = Database(place.url, place.folder)
    with database._writing(None) as connection:
        connection.execute(text("DELETE FROM uses"))
    database.close()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"named by no row of .*nothing is deleted"):
            place.open(write=True)
    assert blobs(place) == left


def test_what_a_killed_process_can_have_begun_is_deleted(place: Place) -> None:
    left = full(place)
    for number in range(HANDFUL):
        (place.folder / "blobs" / "00").mkdir(exist_ok=True)
        (place.folder / "blobs" / "00" / f"{number}.safetensors").write_bytes(b"begun")
    (place.folder / "blobs" / "00" / ".0.safetensors.x7").write_bytes(b"half")
    place.open(write=True).close()
    assert blobs(place) == left


def test_what_a_sweep_had_yet_to_delete_is_deleted_however_much(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    full(place)
    with closing(place.open(write=True)) as book:
        little = Little(book)
        monkeypatch.setattr("afuic.store.blobs.Blobs.delete", lambda *_: None)
        little.keep()
        little.keep()
        monkeypatch.undo()
        needed = set(book.needed())
    assert len(blobs(place)) > len(needed) + HANDFUL + 8
    place.open(write=True).close()
    assert {f"sha256:{path.stem}" for path in blobs(place)} == needed


def test_a_making_that_was_cut_short_is_taken_up_but_nothing_else_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afuic.store.blobs.Blobs.finish", lambda *_: None)
    place.create().close()
    monkeypatch.undo()
    assert "making" in json.loads((place.folder / "store.json").read_text())
    assert Book.exists(place.url, place.folder)
    place.open(write=True).close()
    assert "making" not in json.loads((place.folder / "store.json").read_text())


def test_a_mark_that_says_making_hides_no_models(tmp_path: Path) -> None:
    place = Place(None, tmp_path / "store")
    full(place)
    no_file(place)
    write_json(place.folder / "store.json", {"mark": "x", "making": True})
    with pytest.raises(StoreError, match="nothing is begun anew"):
        place.create()


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "5",
        '{"what": "another"}',
        '{"what": []}',
        '{"what": "head", "restored": 0, "links": 1e300, "head": "x"}',
        '{"what": "head", "restored": true, "links": 1, "head": "x"}',
        '{"what": "head", "restored": 0, "links": -1, "head": "x"}',
        '{"what": "head", "restored": 0, "links": 9007199254740993, "head": "x"}',
        '{"what": "heard", "requests": "r-1"}',
        '{"what": "heard", "requests": [1]}',
        '{"what": "asked", "request": "r-1", "client": {}, "patients": null, "salted": null, "who": "", "key": "", "asked_at": 1}',
        '{"what": "asked", "request": "r-1", "client": "a", "patients": [], "salted": null, "who": "", "key": "", "asked_at": 1}',
        "[" * 100_000,
    ],
)
def test_a_line_that_no_witness_writes_is_named(line: str, tmp_path: Path) -> None:
    Book.create(None, tmp_path / "store", "tests", "sha256:agreed", vector(0, 0), witness=tmp_path / "witness").close()
    file = tmp_path / "witness" / "witness.jsonl"
    file.write_text(f"{file.read_text()}{line}\n")
    with (
        closing(Book.open(None, tmp_path / "store", witness=tmp_path / "witness")) as book,
        pytest.raises(StoreError, match="no line of a witness"),
    ):
        book.set_back()


def test_a_witness_that_is_lost_is_begun_anew_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = (None, tmp_path / "store")
    Book.create(*place, "tests", "sha256:agreed", vector(0, 0), witness=tmp_path / "witness").close()
    with closing(Book.open(*place, write=True, witness=tmp_path / "witness")) as book:
        assert book.standstill() is None
        assert book.audited() == []
        shutil.rmtree(tmp_path / "witness")
        assert [book.standstill(), book.standstill()] == [None, None]
        assert [(row.action, row.subject) for row in book.audited()] == [
            ("begin witness", str(tmp_path / "witness/witness.jsonl"))
        ]
    assert "whether that was set back, only hospitals can tell" in caplog.text
