"""The record's chain: every edit made behind the program's back is found and named, in every table and column there is."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command as upgrade
from sqlalchemy import JSON, insert, text

from afuic.errors import StoreError
from afuic.protocol import events as ev
from afuic.store import chain, schema
from afuic.store.book import Book
from afuic.store.database import Database, _migrations
from afuic.store.rows import NOTHING, Command, Head

from .conftest import Place
from .little import Little, vector

TABLES = [table for table in schema.metadata.sorted_tables if chain.chained(table)]
COLUMNS = [(t.name, c.name) for t in TABLES for c in t.columns if "unchained" not in c.info]
SILENT = {"chain", "doomed", "uses", "notices", "measures"}


def command(number: int, **more: str) -> Command:
    values = {"kind": "erase", "request": f"r-{number}", "client": "b", "reason": "why", "who": "operator", "key": str(number)}
    return Command(0, patients=None, salted=None, asked_at=50.0, **values | more)  # type: ignore[arg-type]


def lived(book: Book) -> Little:
    """A history that has a row in every table: an erasure to its certificate, something held, a second request."""
    little = Little(book)
    for name in "abc":
        little.happen(ev.ClientJoined, name)
    for name in "abcab":
        little.train(name, 1, 2)
    book.hold("c/9", "c", "too large", None, 9.0)
    asked, _ = book.ask(command(1))
    little.happen(ev.EraseRequested, asked.request, "b", None, None, command=asked.id)
    little.calibrate(0.5, 0)
    while not little.opened.purges:
        little.train("a", 1, 1)
        for _ in little.opened.jobs[:]:
            little.calibrate(0.25, 0)
    book.record_verification("r-1", "b", "none", 60.0)
    little.purge()
    book.certify("r-1", "{}", "sha256:" + "1" * 64, 70.0)
    book.ask(command(2))
    book.put_off("r-2", "no key", 75.0)
    book.audit(80.0, "operator", "operator", "POST /v1/requests", "b", "202")
    book.audit(81.0, "auditor", "auditor", "GET /v1/audit", "", "200")
    little.keep()
    return little


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lived") / "store"
    book = Book.create(None, folder, "tests", "sha256:agreed", vector(0, 0))
    lived(book)
    assert book.faults() == []
    book.check()
    book.close()
    return folder


@pytest.fixture
def copied(source: Path, tmp_path: Path) -> Path:
    shutil.copytree(source, tmp_path / "store")
    return tmp_path / "store"


def edit(folder: Path, sql: str, *values: object) -> list[str]:
    """Plain SQL behind the program's back; what is found."""
    with closing(sqlite3.connect(folder / "afuic.db")) as connection:
        assert connection.execute(sql, values).rowcount > 0
        connection.commit()
    database = Database(None, folder)
    with database.reading() as reading:
        found = list(chain.faults(reading))
    database.close()
    return found


def test_every_table_is_in_the_chain_or_says_why_not() -> None:
    assert {table.name for table in schema.metadata.sorted_tables} - {table.name for table in TABLES} == SILENT
    for table in schema.metadata.sorted_tables:
        assert all(info["unchained"] for info in (table.info, *(c.info for c in table.columns)) if info)
    silent = {(t.name, c.name) for t in TABLES for c in t.columns if "unchained" in c.info}
    assert silent == {("federation", name) for name in ("heartbeat_at", "halted", "checked_at", "fault")}


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_an_edit_of_any_column_is_found_and_named(table: str, column: str, copied: Path) -> None:
    kind = schema.metadata.tables[table].c[column]
    with closing(sqlite3.connect(copied / "afuic.db")) as connection:
        key, old = connection.execute(f'SELECT rowid, "{column}" FROM "{table}" ORDER BY rowid LIMIT 1').fetchone()  # noqa: S608
    new: object = json.dumps(["another"]) if isinstance(kind.type, JSON) else 7777
    if isinstance(old, str) and not isinstance(new, str):
        new = f"{old}x"
    elif isinstance(old, int) and kind.type.python_type is bool:
        new = 1 - old
    found = edit(copied, f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', new, key)  # noqa: S608
    assert any(f"the row of {table} [" in fault for fault in found), found
    if kind.nullable and old is not None:
        found = edit(copied, f'UPDATE "{table}" SET "{column}" = NULL WHERE rowid = ?', key)  # noqa: S608
        assert any(f"the row of {table} [" in fault and "was changed" in fault for fault in found), found


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_a_removed_row_is_found(table: str, copied: Path) -> None:
    found = edit(copied, f'DELETE FROM "{table}" WHERE rowid = (SELECT max(rowid) FROM "{table}")')  # noqa: S608
    assert any(f"the row of {table} [" in fault and "was removed" in fault for fault in found), found


def test_an_added_row_is_found(copied: Path) -> None:
    sql = "INSERT INTO audit (at, who, role, action, subject, outcome) VALUES (1, 'x', 'operator', 'GET', '', '200')"
    assert edit(copied, sql) == ["the row of audit [3] was added"]


def test_two_rows_in_each_others_place_are_found(copied: Path) -> None:
    edit(copied, "UPDATE audit SET id = 99 WHERE id = 1")
    edit(copied, "UPDATE audit SET id = 1 WHERE id = 2")
    found = edit(copied, "UPDATE audit SET id = 2 WHERE id = 99")
    assert found == ["the row of audit [1] was changed", "the row of audit [2] was changed"]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE chain SET content = replace(content, 'rows', 'rows ') WHERE number = 5", "link 5 is not what was written"),
        ("UPDATE chain SET head = 'x' WHERE number = 5", "link 5 is not what was written"),
        ("DELETE FROM chain WHERE number = 5", "link 5 is missing"),
        ("DELETE FROM chain WHERE number <= 5", "link 1 is missing"),
        ("UPDATE chain SET number = number + 1000 WHERE number > 20", "link 21 is missing"),
        ("DELETE FROM chain WHERE number > (SELECT max(number) - 1 FROM chain)", "the row of"),
        ("DELETE FROM chain", "was added"),
    ],
)
def test_a_chain_that_was_edited_is_found(sql: str, said: str, copied: Path) -> None:
    assert any(said in fault for fault in edit(copied, sql))


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM uses WHERE kind = 'snapshot'",
        "UPDATE uses SET digest = 'sha256:x' WHERE kind = 'origin'",
        "INSERT INTO uses VALUES ('event', 999, 'sha256:x')",
    ],
)
def test_what_says_which_models_are_needed_is_compared_with_what_needs_them(sql: str, copied: Path) -> None:
    assert any(fault.startswith("the row of uses for") for fault in edit(copied, sql))


def test_text_that_is_none_is_named(copied: Path) -> None:
    found = edit(copied, "UPDATE audit SET who = CAST(x'ff' AS TEXT) WHERE id = 1")
    assert any("audit" in fault for fault in found)
    assert any("requests" in fault for fault in edit(copied, "UPDATE requests SET notes = '{' WHERE id = 'r-1'"))


@pytest.mark.parametrize("value", ["[" * 100_000, "NaN", "{", '{"a":1,"a":2}'])
def test_a_row_that_no_parser_survives_is_named(value: str, copied: Path) -> None:
    assert any("requests cannot be read" in fault for fault in edit(copied, "UPDATE requests SET notes = ?", value))
    with closing(Book.open(None, copied, write=True)) as book:
        assert "requests cannot be read" in (book.standstill() or "")
        with pytest.raises(StoreError, match="a row holds what is none of ours"):
            book.status()


def test_a_link_that_no_parser_survives_is_named(copied: Path) -> None:
    found = edit(copied, "UPDATE chain SET content = ? WHERE number = 5", "[" * 100_000)
    assert "link 5 is not what was written" in found


@pytest.mark.parametrize("table", sorted(schema.metadata.tables.keys() - {"federation"}))
def test_a_table_that_is_gone_is_named(table: str, copied: Path) -> None:
    with closing(sqlite3.connect(copied / "afuic.db")) as connection:
        connection.execute(f"DROP TABLE {table}")
        connection.commit()
    with closing(Book.open(None, copied)) as book:
        assert book.faults() == [f"the table {table} is missing"]


def test_a_view_in_a_tables_place_is_named(copied: Path) -> None:
    with closing(sqlite3.connect(copied / "afuic.db")) as connection:
        connection.executescript("ALTER TABLE audit RENAME TO other; CREATE VIEW audit AS SELECT * FROM other")
    with closing(Book.open(None, copied)) as book:
        assert book.faults() == ["the table audit is missing"]


def test_a_trigger_that_would_change_rows_to_come_is_named(place: Place) -> None:
    body = "BEGIN DELETE FROM audit WHERE id = new.id; END"
    with closing(place.create()) as book:
        assert book.faults() == []
        with book._database._writing(None) as connection:
            if place.url is None:
                connection.execute(text(f"CREATE TRIGGER forgets AFTER INSERT ON audit {body}"))
            else:
                connection.execute(text("CREATE RULE forgets AS ON INSERT TO audit DO INSTEAD NOTHING"))
        assert book.faults() == ["the trigger forgets, which is none of afuic's, is on the table audit; drop it"]


def test_check_names_the_row(copied: Path) -> None:
    edit(copied, "UPDATE requests SET reason = 'another' WHERE id = 'r-1'")
    with (
        closing(Book.open(None, copied)) as book,
        pytest.raises(StoreError, match=r'requests \["r-1"\] was changed from outside'),
    ):
        book.check()


def test_a_heads_place_is_known(book: Book) -> None:
    first = book.head()
    assert (first.links, NOTHING) == (1, NOTHING)
    lived(book)
    now = book.head()
    assert now.links > first.links
    assert book.holds(first)
    assert book.holds(now)
    assert not book.holds(Head(now.links, first.head))
    assert not book.holds(Head(now.links + 1, now.head))
    assert book.status().record == now


def test_the_present_row_is_the_last_that_was_written(little: Little) -> None:
    book = little.book
    asked, _ = book.ask(command(1))
    book.refuse(asked.id, "no")
    assert book.faults() == []
    with book._database._writing(None) as connection:
        connection.execute(text("UPDATE requests SET phase = 'asked', notes = '[]' WHERE id = 'r-1'"))
    assert book.faults() == ['the row of requests ["r-1"] was changed']


def test_two_processes_make_one_chain(place: Place) -> None:
    """The loop and the API write at once, each through connections of its own."""
    book = place.create()
    little = Little(book)
    little.happen(ev.ClientJoined, "a")
    others = [place.open() for _ in range(3)]

    def audit(number: int) -> None:
        for each in range(15):
            others[number].audit(1.0, f"who-{number}", "operator", f"{each}", "", "200")
            others[number].ask(command(100 * number + each))

    threads = [threading.Thread(target=audit, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for number in range(15):
        little.train("a", number, 1)
        book.heartbeat(1.0)
    for thread in threads:
        thread.join()
    assert book.faults() == []
    assert book.head().links == 1 + 1 + 15 + 3 * 15 * 2
    for other in (*others, book):
        other.close()


def test_what_changes_all_the_time_makes_no_link(book: Book) -> None:
    before = book.head()
    book.heartbeat(1.0)
    book.notice("a", "a/0")
    assert book.head() == before


def test_many_rows_at_once_are_refused(book: Book) -> None:
    row = {"at": 1.0, "who": "", "role": "", "action": "", "subject": "", "outcome": ""}
    with pytest.raises(TypeError, match="put them in one by one"), book._database.writing() as connection:
        connection.execute(insert(schema.audit), [row, row])


@pytest.fixture
def old(copied: Path) -> Path:
    """The store as it was before there was a chain: tables of that time, with what of the rows they could hold."""
    (copied / "afuic.db").rename(copied / "new.db")
    database = Database(None, copied)
    with database._writing(None) as connection:
        upgrade.upgrade(_migrations(connection), "0003")
    database.close()
    with closing(sqlite3.connect(copied / "afuic.db")) as connection:
        connection.execute("ATTACH ? AS new", (str(copied / "new.db"),))
        for (table,) in connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            if table != "alembic_version":
                names = _columns(connection, "main", table) & _columns(connection, "new", table)
                listed = ", ".join(f'"{name}"' for name in sorted(names))
                connection.execute(f'INSERT INTO main."{table}" ({listed}) SELECT {listed} FROM new."{table}"')  # noqa: S608
        connection.commit()
    (copied / "new.db").unlink()
    return copied


def _columns(connection: sqlite3.Connection, place: str, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f'PRAGMA {place}.table_info("{table}")')}


def test_a_store_of_before_begins_its_chain_with_what_is_there(old: Path) -> None:
    book = Book.open(None, old, write=True)
    assert (book.head().links, book.faults()) == (1, [])
    book.audit(90.0, "a", "operator", "b", "c", "d")
    book.close()
    assert edit(old, "UPDATE audit SET who = 'another' WHERE id = 1") == ["the row of audit [1] was changed"]


def test_an_upgrade_keeps_what_was_right_and_hides_nothing(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version that adds a column with a value to every row."""
    edit(copied, "UPDATE audit SET who = 'another' WHERE id = 1")

    def upgraded(config: object, _: str) -> None:
        connection = config.attributes["connection"]  # type: ignore[attr-defined]
        connection.execute(text("UPDATE federation SET name = 'renamed'"))
        connection.execute(text("UPDATE audit SET role = 'renamed'"))

    monkeypatch.setattr("afuic.store.database.command.upgrade", upgraded)
    monkeypatch.setattr("afuic.store.database.Database._current", lambda *_: None)
    Book.open(None, copied, write=True).close()
    monkeypatch.undo()
    with closing(Book.open(None, copied)) as book:
        assert book.faults() == ["the row of audit [1] was changed"]
