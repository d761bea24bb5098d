"""Snapshots of the state, so that a start replays few events however many there were; their models are shared with everything else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from afuic.document import parse_json
from afuic.errors import StoreError
from afuic.protocol import State
from afuic.store import codec, schema
from afuic.store.blobs import Blobs, Stored
from afuic.store.writing import release, use

KEPT = 2
FORMAT = "afuic-snapshot/1"


def encoded(state: State, opened: Any, stored: Stored) -> str:
    """State and open work as JSON, its models stored."""
    return json.dumps({"format": FORMAT, "value": codec.encode((state, opened), stored)}, separators=(",", ":"))


def write(connection: Connection, seq: int, body: str, stored: Stored, gap: float, keep: int = KEPT) -> set[str]:
    """Put a snapshot in and drop older ones than the newest ``keep``; digests that were needed by those."""
    table = schema.snapshots
    connection.execute(delete(table).where(table.c.seq == seq))
    connection.execute(insert(table).values(seq=seq, body=body, digest=_digest(body)))
    use(connection, "snapshot", seq, stored.digests)
    connection.execute(update(schema.federation).values(identity_gap=gap))
    return drop(connection, sequence(connection)[keep:])


def sequence(connection: Connection) -> list[int]:
    """Numbers of the events after which there is a snapshot, the newest first."""
    return list(connection.execute(select(schema.snapshots.c.seq).order_by(schema.snapshots.c.seq.desc())).scalars())


def drop(connection: Connection, numbers: list[int]) -> set[str]:
    """Drop these snapshots; the digests that they had needed."""
    for seq in numbers:
        connection.execute(delete(schema.snapshots).where(schema.snapshots.c.seq == seq))
    return release(connection, "snapshot", numbers)


def read(connection: Connection, seq: int, blobs: Blobs, classes: tuple[type, ...]) -> tuple[State, Any]:
    """State and open work of a snapshot; StoreError where it or one of its models is not what was written."""
    table = schema.snapshots
    row = connection.execute(select(table.c.body, table.c.digest).where(table.c.seq == seq)).one()
    if _digest(row.body) != row.digest:
        raise StoreError(f"snapshot {seq}: its content is not what was written; it was changed from outside, restore a backup")
    document = parse_json(row.body)
    if document.get("format") != FORMAT:
        raise StoreError(
            f"snapshot {seq}: is of the format {document.get('format')!r}, not {FORMAT}; install the afuic that wrote it"
        )
    try:
        state, opened = codec.decode(document["value"], _once(blobs), classes)
    except codec.BROKEN as error:
        raise StoreError(f"snapshot {seq}: cannot be read ({type(error).__name__}: {' '.join(str(error).split())})") from None
    return state, opened


def _once(blobs: Blobs) -> Any:
    """Reads each model once, so that what is shared stays shared."""
    known: dict[str, Any] = {}

    def find(name: str) -> Any:
        if name not in known:
            known[name] = blobs.get(name)
        return known[name]

    return find


def _digest(body: str) -> str:
    return "sha256:" + hashlib.sha256(body.encode()).hexdigest()
