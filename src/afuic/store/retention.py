"""Which models stay: the newest versions, every n-th of them, released ones and what a pending request needs. Everything else goes."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from afuic.protocol.requests import Phase
from afuic.settings import Retention
from afuic.store import schema, snapshots
from afuic.store.writing import release

TERMINAL = (*(phase.value for phase in Phase if phase.terminal), "refused")


def wanted(versions: Iterable[int], released: Iterable[int], pinned: Iterable[int], policy: Retention) -> set[int]:
    """The newest, the newest of those divisible by ``every``, the newest released ones, and whatever is pinned."""
    order = sorted(versions, reverse=True)
    landmarks = [v for v in order if v % policy.every == 0]
    latest = sorted(set(released), reverse=True)
    return {*order[: policy.versions], *landmarks[: policy.versions], *latest[: policy.versions], *pinned} & set(order)


def pins(connection: Connection) -> dict[int, tuple[str, ...]]:
    """Versions that requests under way need, each with these requests."""
    table, found = schema.requests, dict[int, tuple[str, ...]]()
    columns = (table.c.id, table.c.version_before, table.c.released_version)
    for row in connection.execute(
        select(*columns).where(table.c.phase.not_in(TERMINAL)).order_by(table.c.asked_at, table.c.id)
    ):
        for version in {row.version_before, row.released_version} - {None}:
            found[version] = (*found.get(version, ()), row.id)
    return found


def sweep(connection: Connection, policy: Retention) -> set[str]:
    """Drop what the policy does not keep; the digests that were needed by it. Event tensors go once the older snapshot covers them."""
    known = schema.versions
    kept = list(connection.execute(select(known.c.version).where(known.c.kept)).scalars())
    released = connection.execute(select(schema.requests.c.released_version)).scalars()
    stay = wanted(kept, (v for v in released if v is not None), pins(connection), policy)
    dropped = drop_versions(connection, [v for v in kept if v not in stay])
    order = snapshots.sequence(connection)
    dropped |= snapshots.drop(connection, order[snapshots.KEPT :])
    covered = order[: snapshots.KEPT][-1] if len(order) >= snapshots.KEPT else 0
    return dropped | drop_events(connection, covered)


def drop_versions(connection: Connection, numbers: Iterable[int]) -> set[str]:
    """Keep the lineage of these versions, but not their models."""
    gone = list(numbers)
    for version in gone:
        connection.execute(update(schema.versions).where(schema.versions.c.version == version).values(kept=False))
    return release(connection, "version", gone)


def drop_events(connection: Connection, until: int) -> set[str]:
    """Keep the events up to this one, but not what they carried."""
    table = schema.events
    mine = (table.c.seq <= until, table.c.tensors)
    numbers = list(connection.execute(select(table.c.seq).where(*mine)).scalars())
    connection.execute(update(table).where(*mine).values(tensors=False))
    return release(connection, "event", numbers)
