"""The record's chain: what a row says cannot be changed, removed, added or put in another order from outside without being found.

Each transaction appends one link with the digests of the rows that it left; a link's head is the digest of the head before it and of the
link. What a row says now has to be what the last link that names it says. Links are made from what the connection really executes
(``Touched`` listens), so no write can forget its own. Digests hold nothing of a model or a patient. Whoever can rewrite the whole database
can rewrite the whole chain: heads that left it, in certificates, in the witness and at hospitals, are what that is found by.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Delete, Engine, Insert, RowMapping, Table, Update, event, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError

from afuic.document import parse_json
from afuic.store import schema
from afuic.store.rows import NOTHING, Head
from afuic.text import shown

LOCK_KEY = 0x636861696E
PAGE = 1000
MODEL = re.compile(r'"\$params":\s*"(sha256:[0-9a-f]{64})"')

TRIGGERS = {
    "sqlite": "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": (
        "SELECT tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal "
        "AND relnamespace = current_schema()::regnamespace "
        "UNION ALL SELECT rulename, tablename FROM pg_rules WHERE schemaname = current_schema()"
    ),
}

Key = tuple[str, str]
"""A table's name and a row's primary key as JSON."""


@dataclass
class Touched:
    """The rows that one transaction has written."""

    keys: set[Key] = field(default_factory=set)

    def before(self, connection: Connection, statement: Any) -> None:
        """A change or a removal names rows by a condition: which these are has to be asked before they change."""
        if isinstance(statement, Update | Delete) and (table := _chained(statement)) is not None:
            query = select(*table.primary_key.columns)
            if statement.whereclause is not None:
                query = query.where(statement.whereclause)
            self.keys |= {(table.name, _key(row)) for row in connection.execute(query)}

    def after(self, statement: Any, many: Any, result: Any) -> None:
        """An insertion knows its row's key only afterwards."""
        if isinstance(statement, Insert) and (table := _chained(statement)) is not None:
            if many:
                raise TypeError(f"{table.name}: its rows are in the record; put them in one by one")
            self.keys.add((table.name, _key(result.inserted_primary_key)))


def listen(engine: Engine) -> None:
    """Have every transaction that was opened with a ``touched`` noted in it."""

    @event.listens_for(engine, "before_execute")
    def _before(connection: Connection, statement: Any, many: Any, values: Any, options: Mapping[str, Any]) -> None:
        touched = connection.get_execution_options().get("touched")
        if touched is not None and not options.get("unchained"):
            touched.before(connection, statement)

    @event.listens_for(engine, "after_execute")
    def _after(connection: Connection, statement: Any, many: Any, values: Any, options: Mapping[str, Any], result: Any) -> None:
        touched = connection.get_execution_options().get("touched")
        if touched is not None:
            touched.after(statement, many, result)


def extend(connection: Connection, touched: Touched) -> None:
    """Append the link of a transaction that is about to be committed; none where it wrote nothing that counts."""
    if touched.keys:
        _append(connection, {key: _present(connection, key) for key in sorted(touched.keys)})


def anew(connection: Connection, why: str) -> None:
    """Begin to count from what the tables say now: for a store without a chain, or one whose faults have been accepted."""
    rows = list(_rows(connection, schema.metadata.sorted_tables))
    _append(connection, dict(rows[:PAGE]), {"anew": why})
    for start in range(PAGE, len(rows), PAGE):
        _append(connection, dict(rows[start : start + PAGE]))


def head(connection: Connection) -> Head:
    """The newest link."""
    table = schema.chain
    row = connection.execute(select(table.c.number, table.c.head).order_by(table.c.number.desc()).limit(1)).first()
    return NOTHING if row is None else Head(row.number, row.head)


def holds(connection: Connection, known: Head) -> bool:
    """Whether this head was once the newest here."""
    if known.links == 0:
        return known == NOTHING
    found = select(schema.chain.c.head).where(schema.chain.c.number == known.links)
    return connection.execute(found).scalar_one_or_none() == known.head


def faults(connection: Connection) -> Iterator[str]:
    """Every place where the tables are not what was written through this program, in words: what is no table, the links, the rows."""
    missing = sorted(schema.metadata.tables.keys() - inspect(connection).get_table_names())
    if missing:
        yield from (f"the table {name} is missing" for name in missing)
        return
    yield from _triggers(connection)
    expected, broken = _expected(connection)
    yield from broken
    yield from _differences(connection, expected)
    yield from _misuses(connection)


def _triggers(connection: Connection) -> Iterator[str]:
    """Whatever would change rows by itself, so that the links to come would say that it was right."""
    for name, table in connection.execute(text(TRIGGERS[connection.dialect.name])):
        if table in schema.metadata.tables:
            yield f"the trigger {shown(name)}, which is none of afuic's, is on the table {table}; drop it"


def kept(connection: Connection, tables: Iterable[Table]) -> dict[Key, str]:
    """The rows that are as the chain says, by their digests."""
    expected, _ = _expected(connection)
    return {key: found for key, found in _rows(connection, tables) if expected.get(key) == found}


def relink(connection: Connection, before: Mapping[Key, str], all_before: set[Key]) -> None:
    """After an upgrade of the tables: the rows that were right before it, and those that it made, are right as they are now."""
    after = dict(_rows(connection, schema.metadata.sorted_tables))
    changed: dict[Key, str | None] = {key: after.get(key) for key, found in before.items() if after.get(key) != found}
    changed |= {key: found for key, found in after.items() if key not in all_before}
    if changed:
        _append(connection, changed)


def present(connection: Connection, tables: Iterable[Table]) -> set[Key]:
    """The keys of all rows that count."""
    return {key for key, _ in _rows(connection, tables)}


def chained(table: Table) -> bool:
    """Whether its rows count."""
    return "unchained" not in schema.metadata.tables[table.name].info


def content_of(table: Table, row: RowMapping) -> str:
    """The digest of what a row says. Columns that are empty say nothing, so a column that is added changes no row."""
    own = schema.metadata.tables[table.name].columns
    silent = {c.name for c in own if "unchained" in c.info}
    named = {c.name: row[c.name] for c in table.columns if c.name not in silent and row[c.name] is not None}
    return _digest(json.dumps([table.name, named], sort_keys=True, separators=(",", ":"), ensure_ascii=False))


def _append(connection: Connection, rows: Mapping[Key, str | None], more: Mapping[str, str] | None = None) -> None:
    tables: dict[str, dict[str, str | None]] = {}
    for (table, key), found in rows.items():
        tables.setdefault(table, {})[key] = found
    body = json.dumps({**(more or {}), "rows": tables}, separators=(",", ":"), ensure_ascii=False)
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK_KEY})"))
    last = head(connection)
    values = {"number": last.links + 1, "content": body, "head": _head(last.head, last.links + 1, body)}
    connection.execute(insert(schema.chain).values(**values))


def _expected(connection: Connection) -> tuple[dict[Key, str], list[str]]:
    """What the links say of every row that is there, and what is wrong with the links."""
    expected, broken, last = dict[Key, str](), list[str](), NOTHING
    query = select(schema.chain).order_by(schema.chain.c.number).execution_options(yield_per=PAGE)
    for link in connection.execute(query):
        wrong = _wrong(last, link)
        try:
            said = parse_json(link.content)
            if "anew" in said:
                expected, broken = {}, []
            _take(expected, said["rows"])
        except (ValueError, TypeError, KeyError, AttributeError):
            wrong = wrong or f"link {link.number} cannot be read"
        broken += [wrong] if wrong else []
        last = Head(link.number, link.head)
    return expected, broken


def _wrong(last: Head, link: Any) -> str | None:
    if link.number != last.links + 1:
        return f"link {last.links + 1} is missing"
    return None if _head(last.head, link.number, link.content) == link.head else f"link {link.number} is not what was written"


def _take(expected: dict[Key, str], tables: Mapping[str, Mapping[str, str | None]]) -> None:
    for table, rows in tables.items():
        for key, found in rows.items():
            expected.pop((table, key), None)
            if found is not None:
                expected[table, key] = found


def _differences(connection: Connection, expected: dict[Key, str]) -> Iterator[str]:
    for table in filter(chained, schema.metadata.sorted_tables):
        try:
            for key, found in _rows(connection, [table]):
                known = expected.pop(key, None)
                if known != found:
                    yield f"{_row(key)} was {'added' if known is None else 'changed'}"
        except (ValueError, TypeError, DBAPIError) as error:
            yield f"a row of {table.name} cannot be read ({type(error).__name__})"
            for key in [key for key in expected if key[0] == table.name]:
                del expected[key]
    yield from (f"{_row(key)} was removed" for key in expected)


def _misuses(connection: Connection) -> Iterator[str]:
    """Which models are needed follows from the rows that need them."""
    uses = schema.uses
    written = {(row.kind, row.number, row.digest) for row in connection.execute(select(uses))}
    for kind, number, name in sorted(written ^ set(_needs(connection))):
        yield f"the row of uses for {kind} {number}, {name[:19]}…, was {'added' if (kind, number, name) in written else 'removed'}"


def _needs(connection: Connection) -> Iterator[tuple[str, int, str]]:
    known, happened, taken = schema.versions, schema.events, schema.snapshots
    for name in connection.execute(select(schema.federation.c.theta0)).scalars():
        yield "origin", 0, name
    for row in connection.execute(select(known.c.version, known.c.digest).where(known.c.kept)):
        yield "version", row.version, row.digest
    bodies = (("event", select(happened.c.seq, happened.c.body).where(happened.c.tensors)), ("snapshot", select(taken)))
    for kind, query in bodies:
        for row in connection.execute(query.execution_options(yield_per=PAGE)):
            yield from ((kind, row.seq, name) for name in MODEL.findall(row.body))


def _rows(connection: Connection, tables: Iterable[Table]) -> Iterator[tuple[Key, str]]:
    for table in (table for table in tables if chained(table)):
        query = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=PAGE)
        for row in connection.execute(query).mappings():
            yield (table.name, _key(row[c.name] for c in table.primary_key.columns)), content_of(table, row)


def _present(connection: Connection, key: Key) -> str | None:
    table = schema.metadata.tables[key[0]]
    matches = (c == value for c, value in zip(table.primary_key.columns, json.loads(key[1]), strict=True))
    row: RowMapping | None = connection.execute(select(table).where(*matches)).mappings().first()
    return None if row is None else content_of(table, row)


def _chained(statement: Insert | Update | Delete) -> Table | None:
    table = schema.metadata.tables.get(getattr(statement.table, "name", ""))
    return table if table is not None and table is statement.table and chained(table) else None


def _key(values: Iterable[Any]) -> str:
    return json.dumps(list(values), separators=(",", ":"), ensure_ascii=False)


def _row(key: Key) -> str:
    return f"the row of {key[0]} {key[1]}"


def _head(before: str, number: int, content: str) -> str:
    return _digest(f"{before}\n{number}\n{content}")


def _digest(content: str) -> str:
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()
