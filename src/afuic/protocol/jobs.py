"""The server's own training is handed out here: one healing and one guarding job at a time, on snapshots, off the training path.

While neither is under way the server may heal ahead: for one client after the other it finds what healing would add if that client were
removed, so that a request finds most of the work done (design section 1, pre-healed shadows).
"""

from __future__ import annotations

from collections.abc import Sequence

from afuic.erase.ledger import Contributor, contributor
from afuic.erase.method import Ask, Plan
from afuic.erase.untaught import untaught
from afuic.params import Params, add, sub
from afuic.protocol.effects import Calibrate
from afuic.protocol.requests import Phase, Record
from afuic.protocol.state import Job, Shadow
from afuic.protocol.turn import Turn


def start_heal(turn: Turn) -> None:
    """Heal the requests that wait, those of one kind together.

    One that comes while others of its kind are being healed has their job begin anew for all of them. Time is spent so only once: whoever
    comes later still waits for the next job, so that nobody's release can be put off for ever.
    """
    waiting, current = turn.state.in_phase(Phase.HEALING), turn.state.heal
    if not waiting or (current is not None and not _joined(turn, current, waiting)):
        return
    batch = _together(waiting)
    first = batch[0]
    spec = first.plan.heal
    assert spec is not None  # noqa: S101 - requests without healing never wait in this phase
    gone = [name for record in batch for name in record.gone]
    base = first.scrubbed if first.scrubbed is not None else _without(turn, gone, first.plan.answer)
    shadows = _shadows(turn, batch) if first.scrubbed is None else []
    teachers = _teachers(turn, first)
    contained = turn.state.ledger.contained()
    known = tuple(sorted({*contained, *(name for s in shadows for name in s.contained)}))
    again = current is not None and (current.again or current.begun_t < turn.t)
    job = Job(turn.next_job("heal"), "heal", tuple(r.id for r in batch), base, known, begun_t=turn.t, again=again)
    turn.set(heal=job, ahead=None)
    for record in batch:
        kept = teachers if record.plan.guard.calibration is not None and record.plan.guard.teacher else ()
        turn.set_record(record.id, snapshot=record.snapshot or turn.state.model, teachers=kept, taught_by=contained)
    student = base
    for shadow in shadows:
        student = add(student, shadow.delta)
    omitted = _omitted(turn, first.plan, gone)
    turn.emit(Calibrate(job.id, "heal", student, teachers, spec, first.plan.oracle, omitted, turn.state.model))


def start_guard(turn: Turn) -> None:
    """Guard the newest release whenever the model has changed since the last time."""
    window = [r for r in turn.state.in_phase(Phase.GUARDING) if r.plan.guard.calibration is not None]
    if turn.state.guard is not None or not window or turn.state.version <= turn.state.guarded_version:
        return
    record = max(window, key=lambda r: r.released_version or 0)
    spec = record.plan.guard.calibration
    assert spec is not None  # noqa: S101 - filtered above
    contained = (*turn.state.ledger.contained(), *record.taught_by) if record.teachers else turn.state.ledger.contained()
    job = Job(turn.next_job("guard"), "guard", (record.id,), turn.state.model, contained)
    turn.set(guard=job, guarded_version=turn.state.version)
    omitted = _omitted(turn, record.plan, ()) if record.teachers else ()
    turn.emit(Calibrate(job.id, "guard", job.base, record.teachers, spec, record.plan.oracle, omitted))


def start_ahead(turn: Turn) -> None:
    """Heal ahead for the client whose turn it is, if the server is idle and the model has changed since."""
    state, spec = turn.state, turn.rules.ahead
    if spec is None or not turn.rules.calibration or any((state.heal, state.guard, state.ahead)):
        return
    due = {c.name: state.shadows[c.name].version if c.name in state.shadows else -1 for c in state.active() if c.applied}
    name = min(due, key=lambda n: due[n], default=None)
    if name is None or due[name] >= state.version:
        return
    plan, gone = turn.rules.method.plan(Ask(True, True, True, turn.t)), state.epochs(name)
    base, before = _without(turn, gone, plan.answer), state.shadows.get(name)
    contained = state.ledger.contained()
    job = Job(turn.next_job("ahead"), "ahead", (), base, contained, name, state.version)
    turn.set(ahead=job)
    student = base if before is None else add(base, before.delta)
    turn.emit(Calibrate(job.id, "ahead", student, (state.model,), spec, False, _omitted(turn, plan, gone)))


def _together(waiting: list[Record]) -> list[Record]:
    first = waiting[0]
    return [first] if _alone(first) else [r for r in waiting if not _alone(r) and r.plan == first.plan]


def _joined(turn: Turn, current: Job, waiting: list[Record]) -> bool:
    free = current.begun_t == turn.t or not current.again
    return free and set(current.requests) < {r.id for r in _together(waiting)}


def _alone(record: Record) -> bool:
    return record.scrubbed is not None or not record.plan.remove


def _without(turn: Turn, gone: Sequence[Contributor], answer: bool) -> Params:
    model = sub(turn.state.model, turn.state.ledger.of(gone))
    return sub(model, turn.state.ledger.answerable(gone)) if answer else model


def _omitted(turn: Turn, plan: Plan, gone: Sequence[Contributor]) -> tuple[int, ...]:
    """The classes that only those ``gone`` have taught. None while anybody who takes part has yet to show what it teaches."""
    state, head = turn.state, turn.rules.head
    if head is None or not plan.omit_untaught:
        return ()
    present = {contributor(client.name, client.epoch) for client in state.active()}
    return untaught(state.ledger, sorted((present | state.ledger.clients.keys()) - set(gone)), head)


def _shadows(turn: Turn, batch: list[Record]) -> list[Shadow]:
    clients = dict.fromkeys(record.client for record in batch)
    return [turn.state.shadows[name] for name in clients if name in turn.state.shadows]


def _teachers(turn: Turn, record: Record) -> tuple[Params, ...]:
    if record.plan.heal is None or not record.plan.heal.distil:
        return ()
    if record.plan.teacher == "average" and turn.state.average is not None:
        return (turn.state.average,)
    lasts = tuple(c.last for c in turn.state.active() if c.last is not None)
    return lasts if record.plan.teacher == "ensemble" and lasts else (turn.state.model,)
