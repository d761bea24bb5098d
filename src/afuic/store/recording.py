"""What one event changes in the tables: its own row and everything derived from it, in one transaction."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, func, insert, update

from afuic.params import Params, digest, norm
from afuic.protocol import State
from afuic.protocol.effects import Applied, Buffered, Effect, Moved, Quarantined, Released
from afuic.protocol.events import AnswerArrived, Event, ScrubArrived, TaskFailed, UpdateArrived
from afuic.protocol.requests import Phase, Record
from afuic.store import codec, schema
from afuic.store.writing import plain, upsert, use

ARRIVED = (UpdateArrived, ScrubArrived, AnswerArrived)
WHY = {"UpdateArrived": "update", "CalibrationDone": "guard", "ScrubArrived": "refine", "AnswerArrived": "rounds"}


@dataclass(frozen=True)
class Entry:
    """One event as it is written. ``carried``: digests of its tensors that are stored; ``model``: of the model after it."""

    seq: int
    at: float
    event: Event
    before: State
    after: State
    effects: tuple[Effect, ...]
    body: str
    carried: frozenset[str]
    model: str

    @property
    def kind(self) -> str:
        """Its class."""
        return type(self.event).__name__

    @property
    def changed(self) -> bool:
        """Whether there is a new version of the model."""
        return self.after.version != self.before.version


def kept_part(event: Event, before: State, effects: Iterable[Effect]) -> Event:
    """The event without tensors that never entered and that no replay looks at: those of a quarantined result are not even stored."""
    if not isinstance(event, ARRIVED) or not any(isinstance(e, Quarantined) and e.task == event.task for e in effects):
        return event
    if isinstance(event, UpdateArrived) or event.task not in before.tasks:
        return replace(event, delta={})
    return event


def body_of(event: Event, model: Any) -> str:
    """The event as JSON, its tensors by digest."""
    return json.dumps(codec.encode(event, model), separators=(",", ":"))


def write(connection: Connection, entry: Entry) -> None:
    """Everything that follows from the event."""
    _event(connection, entry)
    _standing(connection, entry)
    _clients(connection, entry)
    _requests(connection, entry)
    if entry.changed:
        _version(connection, entry)
    for effect in entry.effects:
        if isinstance(effect, Applied | Buffered):
            _contribution(connection, entry, effect)
        elif isinstance(effect, Quarantined):
            _quarantined(connection, entry, effect)


def _event(connection: Connection, entry: Entry) -> None:
    event: Any = entry.event
    row = {"seq": entry.seq, "t": event.t, "at": entry.at, "kind": entry.kind, "body": entry.body, "digest": entry.model}
    row |= {"client": getattr(event, "client", None), "task": getattr(event, "task", None), "tensors": bool(entry.carried)}
    connection.execute(insert(schema.events).values(**row))
    use(connection, "event", entry.seq, entry.carried)


def _standing(connection: Connection, entry: Entry) -> None:
    state = entry.after
    values = {"seq": entry.seq, "t": entry.event.t, "version": state.version, "step": state.steps, "digest": entry.model}
    values |= {"applied": state.applied, "quarantined": state.quarantined, "lost": state.lost}
    connection.execute(update(schema.federation).values(**values))


def _clients(connection: Connection, entry: Entry) -> None:
    before, after = _clients_of(entry.before), _clients_of(entry.after)
    for place, (name, values) in enumerate(after.items()):
        if before.get(name) != values:
            upsert(connection, schema.clients, {"name": name}, {**values, "place": place})
    _health(connection, entry)


def _health(connection: Connection, entry: Entry) -> None:
    """When a hospital's results last entered, and how often in a row its tasks have failed."""
    event, table = entry.event, schema.clients
    if isinstance(event, TaskFailed):
        failed = {"failures": func.coalesce(table.c.failures, 0) + 1, "failed_at": entry.at, "failure": plain(event.reason)}
        connection.execute(update(table).where(table.c.name == event.client).values(**failed))
    elif isinstance(event, ARRIVED) and not any(isinstance(e, Quarantined) and e.task == event.task for e in entry.effects):
        entered = {"last_at": entry.at} if isinstance(event, UpdateArrived) else {}
        connection.execute(update(table).where(table.c.name == event.client).values(failures=None, **entered))


def _clients_of(state: State) -> dict[str, dict[str, Any]]:
    tasks = {task.client: task.id for task in state.tasks.values()}
    names = ("online", "epoch", "fenced_by", "erased", "applied")
    return {c.name: {n: getattr(c, n) for n in names} | {"task": tasks.get(c.name)} for c in state.clients.values()}


def _requests(connection: Connection, entry: Entry) -> None:
    for record in entry.after.requests.values():
        if entry.before.requests.get(record.id) is not record:
            _request(connection, entry, record)
    for effect in entry.effects:
        if isinstance(effect, Moved):
            row = {"request": effect.request, "before": effect.before, "after": effect.after, "reason": plain(effect.reason)}
            connection.execute(insert(schema.phases).values(**row, seq=entry.seq, t=entry.event.t, at=entry.at))
        elif isinstance(effect, Released):
            _released(connection, entry, effect)


def _request(connection: Connection, entry: Entry, record: Record) -> None:
    values: dict[str, Any] = {"phase": record.phase.value, "notes": [plain(note) for note in record.notes]}
    if record.id not in entry.before.requests:
        values["version_before"] = entry.before.version
    if record.beside is not None:
        values["beside"] = {**asdict(record.beside), "against": sorted(record.beside.against())}
    if record.judgement is not None:
        values["judgement"] = {**asdict(record.judgement), "jump": record.judgement.jump}
    if record.phase is Phase.COMPLETED:
        values["completed_at"] = entry.at
    table = schema.requests
    if connection.execute(update(table).where(table.c.id == record.id).values(**values)).rowcount == 0:
        row = {"client": record.client, "patients": record.patients, "salted": record.salted, "reason": "", "who": ""}
        connection.execute(insert(table).values(id=record.id, asked_at=entry.at, **row, **values))


def _released(connection: Connection, entry: Entry, effect: Released) -> None:
    """An event may raise the version more than once; the first that was ever stored is the one after it."""
    table = schema.requests
    values = {"released_version": entry.after.version, "released_at": entry.at, "version_before": entry.before.version}
    connection.execute(update(table).where(table.c.id == effect.request).values(**values))


def _version(connection: Connection, entry: Entry) -> None:
    state, t = entry.after, entry.event.t
    row = {"version": state.version, "seq": entry.seq, "step": state.steps, "t": t, "at": entry.at, "digest": entry.model}
    row |= {"contributors": list(state.ledger.contributors()), "taught_by": list(state.ledger.taught_by())}
    connection.execute(insert(schema.versions).values(**row, why=_why(entry), kept=True))
    use(connection, "version", state.version, [entry.model])


def _why(entry: Entry) -> str:
    if any(isinstance(e, Released) for e in entry.effects):
        return "release"
    return WHY.get(entry.kind, "restart")


def _contribution(connection: Connection, entry: Entry, effect: Applied | Buffered) -> None:
    version = entry.after.version if isinstance(effect, Applied) else None
    table, event = schema.contributions, entry.event
    if not (isinstance(event, UpdateArrived) and event.task == effect.task):
        values = {"version": version, "staleness": effect.staleness}
        connection.execute(update(table).where(table.c.task == effect.task).values(**values))
        return
    task = entry.before.tasks[effect.task]
    row = {"task": task.id, "seq": entry.seq, "at": entry.at, "client": task.client, "epoch": task.epoch, "version": version}
    row |= {"staleness": effect.staleness, "norm": norm(event.delta), "base_version": task.base_version}
    connection.execute(insert(table).values(**row, carrier=isinstance(effect, Applied) and effect.carrier))


def _quarantined(connection: Connection, entry: Entry, effect: Quarantined) -> None:
    event: Any = entry.event
    params = event.delta if isinstance(event, ARRIVED) and event.task == effect.task else None
    table = schema.contributions
    connection.execute(delete(table).where(table.c.task == effect.task, table.c.version.is_(None)))
    row = {"seq": entry.seq, "at": entry.at, "task": effect.task, "client": effect.client, "reason": plain(effect.reason)}
    connection.execute(insert(schema.quarantine).values(**row, **described(params)))


def described(params: Params | None) -> dict[str, Any]:
    """Digest and norm of what is not kept; no norm where it is not finite."""
    if not params:
        return {"digest": None, "norm": None}
    size = norm(params)
    return {"digest": digest(params), "norm": size if math.isfinite(size) else None}
