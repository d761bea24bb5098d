"""Small helpers of every write: rows put in or changed, uses of blobs taken and given back, text made fit for any database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, insert, select, update

from afuic.store.schema import doomed, uses


def plain(text: str) -> str:
    """Text from outside without what a database refuses: NUL and halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def upsert(connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Change the row with this key, or put it in."""
    matches: Iterable[ColumnElement[bool]] = (table.c[name] == value for name, value in key.items())
    if connection.execute(update(table).where(*matches).values(**values)).rowcount == 0:
        connection.execute(insert(table).values(**{**key, **values}))


def use(connection: Connection, kind: str, number: int, digests: Iterable[str]) -> None:
    """State that these blobs are needed; replaces what the same user needed before."""
    release(connection, kind, [number])
    rows = [{"kind": kind, "number": number, "digest": name} for name in sorted(set(digests))]
    if rows:
        connection.execute(insert(uses), rows)


def release(connection: Connection, kind: str, numbers: Iterable[int]) -> set[str]:
    """State that these users need nothing any more; the digests they had needed."""
    mine, found = (uses.c.kind == kind), set[str]()
    for number in numbers:
        found |= set(connection.execute(select(uses.c.digest).where(mine, uses.c.number == number)).scalars())
        connection.execute(delete(uses).where(mine, uses.c.number == number))
    return found


def unused(connection: Connection, digests: Iterable[str]) -> set[str]:
    """Those of ``digests`` that nobody needs."""
    return {name for name in digests if connection.execute(select(uses.c.digest).where(uses.c.digest == name)).first() is None}


def used(connection: Connection) -> set[str]:
    """Every blob that somebody needs."""
    return set(connection.execute(select(uses.c.digest).distinct()).scalars())


def doom(connection: Connection, dropped: Iterable[str]) -> set[str]:
    """Of blobs that have lost a user, those whose files have to go now, with what a killed process had yet to delete.

    They are noted in the same transaction, so that an opening knows them from files that should not be there.
    """
    late = set(connection.execute(select(doomed.c.digest)).scalars())
    going = unused(connection, {*dropped, *late})
    connection.execute(delete(doomed))
    if going:
        connection.execute(insert(doomed), [{"digest": name} for name in sorted(going)])
    return going
