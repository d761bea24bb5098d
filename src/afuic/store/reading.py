"""What the tables say, as the plain values of ``store.rows``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from afuic.store import schema
from afuic.store.chain import head
from afuic.store.retention import TERMINAL, pins
from afuic.store.rows import (
    AuditRow,
    CertificateRow,
    ClientRow,
    ContributionRow,
    MeasureRow,
    PurgeReport,
    QuarantineRow,
    RequestRow,
    Status,
    UncertifiedRow,
    VerificationRow,
    VersionRow,
)

RECENT, SERIES, FAILING = 10, 8, 3
RESULTS = {"UpdateArrived", "ScrubArrived", "AnswerArrived"}


def status(connection: Connection, store_bytes: int, free_bytes: int) -> Status:
    """The federation at a glance."""
    row = connection.execute(select(schema.federation)).mappings().one()
    held = connection.execute(select(func.count()).select_from(schema.quarantine).where(schema.quarantine.c.seq.is_(None)))
    asked = schema.requests
    open_ = select(asked.c.id).where(asked.c.phase.not_in(TERMINAL)).order_by(asked.c.asked_at, asked.c.id)
    return Status(
        federation=row["name"],
        version=row["version"],
        step=row["step"],
        t=row["t"],
        events=row["seq"],
        applied=row["applied"],
        quarantined=row["quarantined"] + held.scalar_one(),
        lost=row["lost"],
        identity_gap=row["identity_gap"],
        store_bytes=store_bytes,
        free_bytes=free_bytes,
        heartbeat_at=row["heartbeat_at"],
        clients=clients(connection),
        pending=tuple(connection.execute(open_).scalars()),
        uncertified={row.request: row.why for row in uncertified(connection)},
        doubtful=tuple(row.id for row in requests(connection) if row.doubtful),
        record=head(connection),
        halted=row["halted"],
        checked_at=row["checked_at"],
        fault=row["fault"],
        measures=tuple(reversed(measures(connection, SERIES))),
    )


def clients(connection: Connection) -> tuple[ClientRow, ...]:
    """Hospitals in the order they joined."""
    made = schema.contributions
    rank = func.row_number().over(partition_by=made.c.client, order_by=made.c.seq.desc()).label("rank")
    recent = select(made.c.client, made.c.staleness, rank).subquery()
    mean = select(recent.c.client, func.avg(recent.c.staleness)).where(recent.c.rank <= RECENT).group_by(recent.c.client)
    stale = {name: float(value) for name, value in connection.execute(mean)}
    names = ("name", "online", "epoch", "fenced_by", "erased", "applied", "task", "last_at", "failed_at", "failure")
    rows = connection.execute(select(schema.clients).order_by(schema.clients.c.place))
    return tuple(
        ClientRow(
            **{n: row._mapping[n] for n in names}, staleness=stale.get(row.name), failures=row.failures or 0, state=_state(row)
        )
        for row in rows
    )


def _state(row: Row[Any]) -> str:
    if row.erased or row.fenced_by:
        return "erased" if row.erased else "fenced"
    if not row.online:
        return "away"
    return "failing" if (row.failures or 0) >= FAILING else "online"


def measures(connection: Connection, limit: int) -> list[MeasureRow]:
    """How versions of the model fared, the newest first."""
    table = schema.measures
    rows = connection.execute(select(table).order_by(table.c.version.desc()).limit(limit))
    return [MeasureRow(**row._asdict()) for row in rows]


def requests(connection: Connection, only: str | None = None) -> list[RequestRow]:
    """Erasure requests in the order in which they were asked for."""
    asked, moves = schema.requests, schema.phases
    chosen, query = select(asked).order_by(asked.c.asked_at, asked.c.id), select(moves).order_by(moves.c.id)
    if only is not None:
        chosen, query = chosen.where(asked.c.id == only), query.where(moves.c.request == only)
    history: dict[str, list[dict[str, Any]]] = {}
    for row in connection.execute(query):
        move = {name: row._mapping[name] for name in ("seq", "t", "at", "before", "after", "reason")}
        history.setdefault(row.request, []).append(move)
    unscored = {row.request: f"no scores from {row.client}: {row.why}" for row in connection.execute(_unscored())}
    held = {row.request: row.why for row in uncertified(connection)}
    return [
        _request(row, history.get(row.id, []), unscored.get(row.id), held.get(row.id)) for row in connection.execute(chosen)
    ]


def _request(row: Row[Any], history: Iterable[dict[str, Any]], unscored: str | None, held: str | None) -> RequestRow:
    values = row._asdict()
    notes = (*values["notes"], *([] if unscored is None else [unscored]))
    return RequestRow(**values | {"notes": notes, "uncertified": held, "history": tuple(history)})


def _unscored() -> Select[Any]:
    return select(schema.verifications).where(schema.verifications.c.why != "")


def uncertified(connection: Connection) -> list[UncertifiedRow]:
    """Requests that have ended and could not be certified."""
    table = schema.uncertified
    return [UncertifiedRow(**row._asdict()) for row in connection.execute(select(table).order_by(table.c.at, table.c.request))]


def versions(connection: Connection, only: int | None = None) -> list[VersionRow]:
    """Versions of the model, the oldest first."""
    table, pinned = schema.versions, pins(connection)
    query = select(table).order_by(table.c.version)
    names = ("version", "step", "t", "at", "digest", "why", "kept")
    return [
        VersionRow(
            **{n: row._mapping[n] for n in names},
            contributors=tuple(row.contributors),
            taught_by=tuple(row.taught_by),
            pinned_by=pinned.get(row.version, ()) if row.kept else (),
        )
        for row in connection.execute(query if only is None else query.where(table.c.version == only))
    ]


def contributions(connection: Connection, client: str | None, limit: int) -> list[ContributionRow]:
    """Updates that entered or wait in a buffer, the newest first."""
    table = schema.contributions
    query: Select[Any] = select(*(c for c in table.c if c.name != "seq")).order_by(table.c.seq.desc()).limit(limit)
    rows = connection.execute(query if client is None else query.where(table.c.client == client))
    return [ContributionRow(**row._asdict()) for row in rows]


def quarantined(connection: Connection, limit: int) -> list[QuarantineRow]:
    """What never entered, the newest first."""
    table = schema.quarantine
    rows = connection.execute(select(table).order_by(table.c.id.desc()).limit(limit))
    names = ("task", "client", "reason", "digest", "norm", "at")
    return [QuarantineRow(**{n: row._mapping[n] for n in names}, event=row.seq) for row in rows]


def audited(connection: Connection, limit: int, before: int | None) -> list[AuditRow]:
    """What was done through the API, the newest first; ``before``: only what is older than the row of this number."""
    table = schema.audit
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    rows = connection.execute(query if before is None else query.where(table.c.id < before))
    return [AuditRow(**row._asdict()) for row in rows]


def certificates(connection: Connection, only: str | None = None) -> list[CertificateRow]:
    """Certificates in the order of their chain."""
    table = schema.certificates
    query = select(table).order_by(table.c.number)
    rows = connection.execute(query if only is None else query.where(table.c.request == only))
    return [CertificateRow(**row._asdict()) for row in rows]


def purge_report(connection: Connection, request: str) -> PurgeReport | None:
    """What the request's purge did; None while it has not been finished."""
    table = schema.purges
    row = connection.execute(select(table).where(table.c.request == request, table.c.scanned_at.is_not(None))).first()
    if row is None:
        return None
    values = row._asdict()
    return PurgeReport(**values | {name: tuple(values[name]) for name in ("removed", "unreachable", "left")})


def verification(connection: Connection, request: str) -> VerificationRow | None:
    """How the verification of what the request released ended; None while it has not."""
    table = schema.verifications
    row = connection.execute(select(table).where(table.c.request == request)).first()
    return None if row is None else VerificationRow(row.client, row.numbers, row.at, row.why)


def seen(connection: Connection, task: str) -> bool:
    """Whether a result of this task is there: as an event, or held and followed by the event that it failed."""
    events, held = schema.events, schema.quarantine
    kinds = set(connection.execute(select(events.c.kind).where(events.c.task == task)).scalars())
    if kinds & RESULTS:
        return True
    query = select(held.c.id).where(held.c.task == task, held.c.seq.is_(None))
    return "TaskFailed" in kinds and connection.execute(query).first() is not None
