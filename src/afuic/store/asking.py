"""What comes in through the API: commands, each durable before it is acknowledged and counted once however often it is sent."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from afuic.errors import Conflict, StoreError
from afuic.store import schema
from afuic.store.database import Database
from afuic.store.rows import Command
from afuic.store.witness import REASON
from afuic.store.writing import plain

table = schema.commands


def ask(database: Database, command: Command) -> tuple[Command, bool]:
    """The command as it is stored, and whether it is new; Conflict where its key or its request's id was used for something else."""
    try:
        with database.writing() as connection:
            return put(connection, command)
    except StoreError as error:
        if not isinstance(error.__cause__, IntegrityError):
            raise
    with database.writing() as connection:
        return put(connection, command)


def put(connection: Connection, command: Command) -> tuple[Command, bool]:
    """The command as it is stored, and whether it is new, within a transaction of the caller's."""
    known = connection.execute(select(table).where(table.c.who == command.who, table.c.key == command.key)).first()
    if known is not None:
        return _repeated(as_command(known), command), False
    row = {name: value for name, value in asdict(command).items() if name != "id"} | {"reason": plain(command.reason)}
    if command.kind == "erase":
        _request(connection, command)
    number = connection.execute(insert(table).values(**row)).inserted_primary_key
    assert number is not None  # noqa: S101 - a single row was put in
    return replace(command, id=int(number[0]), reason=row["reason"]), True


def _repeated(known: Command, command: Command) -> Command:
    same = ["kind", "client", "patients", "salted", "reason", *(["request"] if command.kind != "erase" else [])]
    new = replace(command, reason=plain(command.reason))
    if known.reason == REASON:
        same.remove("reason")
    if any(getattr(known, name) != getattr(new, name) for name in same):
        raise Conflict(f"key {command.key!r} was used before for something else; take a new key for a new request")
    return known


def _request(connection: Connection, command: Command) -> None:
    requests = schema.requests
    if connection.execute(select(requests.c.id).where(requests.c.id == command.request)).first() is not None:
        raise Conflict(f"request {command.request!r} exists already; take another id")
    names = ("client", "patients", "salted", "who", "asked_at")
    row: dict[str, Any] = {name: getattr(command, name) for name in names}
    connection.execute(
        insert(requests).values(id=command.request, **row, reason=plain(command.reason), phase="asked", notes=[])
    )


def waiting(connection: Connection) -> list[Command]:
    """Commands that the server has not taken up, the oldest first."""
    return [as_command(row) for row in connection.execute(select(table).where(table.c.outcome.is_(None)).order_by(table.c.id))]


def all_of(connection: Connection) -> list[Command]:
    """All commands, the oldest first."""
    return [as_command(row) for row in connection.execute(select(table).order_by(table.c.id))]


def take(connection: Connection, command: int) -> None:
    """The server has made an event of it."""
    connection.execute(update(table).where(table.c.id == command).values(outcome="taken"))


def refuse(connection: Connection, command: int, reason: str) -> None:
    """The server cannot do it: say why, in the request as well where it was to begin one."""
    why = plain(reason)
    connection.execute(update(table).where(table.c.id == command).values(outcome=f"refused: {why}"))
    asked = select(table.c.request).where(table.c.id == command, table.c.kind == "erase").scalar_subquery()
    mine = (schema.requests.c.id == asked, schema.requests.c.phase == "asked")
    connection.execute(update(schema.requests).where(*mine).values(phase="refused", notes=[why]))


def as_command(row: Row[Any]) -> Command:
    """A row as a value."""
    return Command(**row._asdict())
