"""How a model without the data comes to be: what is removed is taken from the model of the moment, never written over it.

After the release a window stays open in which the model is guarded; when it closes, what was kept for that is dropped and purged.
"""

from __future__ import annotations

from dataclasses import replace

from afuic.erase.judgement import beside
from afuic.erase.ledger import contributor
from afuic.params import Params, add, norm, sub
from afuic.protocol import scrubbing
from afuic.protocol.effects import Booked, Lost, Purge, Released, SetTimer
from afuic.protocol.requests import PENDING, Phase, Record
from afuic.protocol.state import Job
from afuic.protocol.turn import Turn

DROPPED: dict[str, object] = {
    "snapshot": None,
    "scrubbed": None,
    "direction": None,
    "teachers": (),
    "task": None,
    "work": None,
    "helpers": (),
}
"""What a request lets go of when it ends."""


def release(turn: Turn, records: list[Record], job: tuple[Job, Params] | None, trigger: str) -> None:
    """From now on the model is without these records' data. ``job``: the calibration and its result, if there was one."""
    for record in records:
        if record.plan.merge == "replace":
            _overwrite(turn, record, job[1] if job else record.scrubbed)
        elif record.scrubbed is not None and record.snapshot is not None:
            _book(turn, record, sub(record.scrubbed, record.snapshot), sub(job[1], record.scrubbed) if job else None)
        elif record.plan.remove:
            _subtract(turn, record)
    if job is not None and all(r.plan.remove for r in records):
        base, healed = job[0], sub(job[1], job[0].base)
        turn.set(model=add(turn.state.model, healed), ledger=turn.state.ledger.serve(base.contained, healed))
    turn.set(version=turn.state.version + 1)
    for record in records:
        _released(turn, record, trigger)
    turn.set(guarded_version=turn.state.version, average=None, ahead=None, shadows={})
    close_windows(turn)


def close_windows(turn: Turn) -> None:
    """End guard windows whose steps are over; what they kept of the client is dropped and purged."""
    for record in turn.state.in_phase(Phase.GUARDING):
        over = turn.state.steps >= (record.guard_until or 0) or not turn.state.active()
        if over and record.task is None:
            _close(turn, record)


def refine(turn: Turn, record: Record, epoch: int, delta: Params) -> None:
    """Add a client's own unlearning, made in ``epoch``, to what has been released.

    It is booked under the client. One that was erased whole gets an account after its last for it, so that it can be erased again.
    """
    name, state = contributor(record.client, epoch + record.whole), turn.state
    turn.set(model=add(state.model, delta), ledger=state.ledger.contribute(name, delta), version=state.version + 1)
    turn.emit(Booked(record.id, name, norm(delta)))
    if record.whole:
        note = f"the client refined what was released: that is in the model, as {name}, until its erasure is asked for again"
        turn.set_record(record.id, notes=(*record.notes, note))
    close_windows(turn)


def merge_epochs(turn: Turn, record: Record) -> None:
    """Book what the client contributed in earlier epochs under its present one, unless another request still claims it."""
    claimed = {name for r in turn.state.in_phase(*PENDING) for name in r.gone}
    unclaimed = [name for name in record.gone if name not in claimed]
    name = contributor(record.client, record.epoch)
    turn.set(ledger=turn.state.ledger.merge(unclaimed, name))
    if turn.state.history:
        known = turn.state.history
        turn.set(history=tuple(replace(p, contributor=name) if p.contributor in unclaimed else p for p in known))


def _overwrite(turn: Turn, record: Record, new: Params | None) -> None:
    if new is None:
        return
    state, delta = turn.state, sub(new, turn.state.model)
    ledger = state.ledger
    if record.plan.procedure is None and record.scrubbed is not None and record.snapshot is not None:
        own = sub(record.scrubbed, record.snapshot)
        ledger, delta = ledger.contribute(record.helpers[0], own), sub(delta, own)
        turn.emit(Booked(record.id, record.helpers[0], norm(own)))
    known = (*ledger.contained(), *record.helpers)
    ledger = ledger.overwrite(record.gone, known, delta) if record.whole else ledger.serve(known, delta)
    turn.set(model=new, ledger=ledger, lost=state.lost + record.applied_since)
    if record.plan.procedure is None:
        turn.emit(Lost(record.id, record.applied_since, "the model was overwritten by one unlearned from an older snapshot"))
    for other in turn.state.in_phase(*PENDING):
        turn.set_record(other.id, applied_since=0)


def _book(turn: Turn, record: Record, own: Params, healed: Params | None) -> None:
    """What the client made is the client's, what healing added to it the server's."""
    name, ledger = record.helpers[0], turn.state.ledger.contribute(record.helpers[0], own)
    turn.set(model=add(turn.state.model, own), ledger=ledger)
    turn.emit(Booked(record.id, name, norm(own)))
    if healed is not None:
        turn.set(model=add(turn.state.model, healed), ledger=ledger.serve(ledger.contained(), healed))


def _subtract(turn: Turn, record: Record) -> None:
    found = beside(turn.state.ledger, record.gone, turn.rules.head)
    said = (
        f"what was subtracted points against what {name} contributed (cosine {c:.2f})" for name, c in found.against().items()
    )
    turn.set_record(record.id, beside=found, notes=(*record.notes, *said))
    ledger, model = turn.state.ledger, sub(turn.state.model, turn.state.ledger.of(record.gone))
    if record.plan.answer:
        model = sub(model, ledger.answerable(record.gone))
    turn.set(model=model, ledger=ledger.without(record.gone, server=record.plan.answer))


def _released(turn: Turn, record: Record, trigger: str) -> None:
    state = turn.state
    staying = sum(c.name != record.client or not record.whole for c in state.active())
    until = state.steps + record.plan.guard.length(staying)
    changes = {"released_t": turn.t, "released_step": state.steps, "released_version": state.version, "guard_until": until}
    turn.move(record.id, trigger, Phase.GUARDING, **changes)
    turn.emit(Released(record.id, state.version))
    turn.set_client(record.client, erased=record.whole, last=None)
    if turn.state.history:
        turn.set(history=tuple(p for p in turn.state.history if p.contributor not in record.gone))
    if not record.plan.remove and not record.whole:
        merge_epochs(turn, record)
    if record.plan.scrub is not None and not record.plan.scrub_first and state.clients[record.client].online:
        turn.cancel(state.task_of(record.client))
        scrubbing.hand_out(turn, turn.set_record(record.id, snapshot=None))
        turn.emit(SetTimer(record.id, record.plan.deadline_s))


def _close(turn: Turn, record: Record) -> None:
    turn.move(record.id, "window closed", Phase.PURGING, **DROPPED)
    if turn.state.guard is not None and record.id in turn.state.guard.requests:
        turn.set(guard=None)
    turn.emit(Purge(record.id, record.client, record.whole))
