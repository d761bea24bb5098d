"""A purge: everything durable that contains the erased data goes, and a scan shows that it has; what cannot go yet is named.

The rows go in one transaction together with a snapshot of what is left, then the files, then the scan. A purge that was killed is done
again: what it had removed stays in its report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from afuic.errors import StoreError
from afuic.params import Params, digest
from afuic.protocol import State
from afuic.store import codec, schema, snapshots
from afuic.store.reading import purge_report
from afuic.store.retention import drop_events, drop_versions
from afuic.store.rows import PurgeReport
from afuic.store.writing import upsert


def tainted(connection: Connection, request: str, gone: tuple[str, ...]) -> dict[int, str]:
    """Versions that contain the erased data, each with its model's digest: older than the release, with somebody in ``gone`` in
    the sum or behind a teacher.
    """
    asked, known = schema.requests, schema.versions
    released = connection.execute(select(asked.c.released_version).where(asked.c.id == request)).scalar_one_or_none()
    if released is None:
        raise StoreError(f"request {request!r}: cannot be purged, nothing has been released for it")
    columns = (known.c.version, known.c.digest, known.c.contributors, known.c.taught_by)
    rows = connection.execute(select(*columns).where(known.c.version < released))
    return {row.version: row.digest for row in rows if set(gone) & {*row.contributors, *row.taught_by}}


def drop(connection: Connection, versions: Mapping[int, str], seq: int) -> set[str]:
    """Drop every row that names a model with the erased data, event tensors up to ``seq`` and older snapshots; digests they had needed."""
    dropped = drop_versions(connection, versions)
    dropped |= snapshots.drop(connection, [n for n in snapshots.sequence(connection) if n != seq])
    return dropped | drop_events(connection, seq)


def begin(connection: Connection, request: str, sizes: Mapping[str, int], unreachable: list[str]) -> list[str]:
    """Note what is to be deleted before it is, so that the report is whole even if this process is killed meanwhile; all digests so far."""
    table = schema.purges
    known = connection.execute(select(table.c.removed, table.c.removed_bytes).where(table.c.request == request)).first()
    removed, size = ([], 0) if known is None else (known.removed, known.removed_bytes)
    new = {name: size for name, size in sizes.items() if name not in removed}
    everything = sorted({*removed, *new})
    values = {"removed": everything, "removed_bytes": size + sum(new.values()), "unreachable": unreachable}
    upsert(connection, table, {"request": request}, values | {"left": [], "scanned_at": None})
    return everything


def finish(connection: Connection, request: str, left: list[str], at: float, places: Iterable[str]) -> None:
    """The scan has been made; ``places`` outside of the store are out of reach as well."""
    table, mine = schema.purges, schema.purges.c.request == request
    unreachable = sorted({*connection.execute(select(table.c.unreachable).where(mine)).scalar_one(), *places})
    connection.execute(update(table).where(mine).values(left=left, scanned_at=at, unreachable=unreachable))


def report(connection: Connection, request: str) -> PurgeReport:
    """What the purge that has just been finished did."""
    found = purge_report(connection, request)
    if found is None:
        raise StoreError(f"request {request!r}: has not been purged")
    return found


def reachable_still(connection: Connection, versions: Mapping[int, str], state: State, opened: Any) -> list[str]:
    """Places in what is left that still hold a model with the erased data, in words."""
    of = {name: version for version, name in versions.items()}
    known: dict[int, str] = {}
    found = []
    for place, params in (*places(state, ""), *places(opened, "handed out")):
        name = known.setdefault(id(params), digest(params)) if of else ""
        if name in of:
            found.append(f"{place}: the model of version {of[name]}; it goes when it is no longer needed there")
    return sorted({*found, *_last_models(connection, versions, state)})


def _last_models(connection: Connection, versions: Mapping[int, str], state: State) -> Iterator[str]:
    """A retained client's own last model, where it was trained from one with the erased data."""
    table = schema.contributions
    for client in state.clients.values():
        if client.last is not None:
            query = select(table.c.base_version).where(table.c.client == client.name).order_by(table.c.seq.desc()).limit(1)
            base = connection.execute(query).scalar_one_or_none()
            if base in versions:
                yield f"clients[{client.name}].last: trained from the model of version {base}; goes with that client's next update"


def places(value: Any, path: str) -> Iterator[tuple[str, Params]]:
    """Every model in a value, with the way to it."""
    if codec.is_params(value):
        yield path, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from places(part, f"{path}[{key}]")
    elif isinstance(value, tuple | list):
        for number, part in enumerate(value):
            yield from places(part, f"{path}[{number}]")
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from places(getattr(value, field.name), f"{path}.{field.name}".lstrip("."))
