"""What happens to an erasure request: fenced at once, worked on, given up or released; the steps of its life that events drive."""

from __future__ import annotations

from dataclasses import replace

from afuic.erase import Ask, Plan
from afuic.erase.ledger import client_of, contributor
from afuic.errors import AlreadyErased, IllegalEvent, ParamsError
from afuic.params import add, check_like, clip, norm
from afuic.protocol import clusters, jobs, releasing, scrubbing, working
from afuic.protocol.effects import Lost, SetTimer
from afuic.protocol.events import EraseRequested, Purged, RequestWithdrawn, ScrubArrived, TimerFired
from afuic.protocol.requests import BUSY, Phase, Record
from afuic.protocol.turn import Turn


def requested(turn: Turn, event: EraseRequested) -> None:
    """Fence and begin; a repetition changes nothing, a request within a running one is recorded as covered by it."""
    client = turn.client(event.client)
    if _repeated(turn, event):
        return
    if client.erased and (event.patients is not None or not turn.state.refined(event.client)):
        raise AlreadyErased(f"client {event.client!r} has been erased already; nothing of it is left to remove")
    if event.patients is not None and event.patients < 1:
        raise IllegalEvent(f"request {event.request!r} names {event.patients} patients; name at least one")
    _accept(turn, _record(turn, event))
    scrubbing.next_work(turn, event.client)


def withdrawn(turn: Turn, event: RequestWithdrawn) -> None:
    """Lift the fence; possible while nothing has been released, except after a restart. What it had covered is owed again."""
    record = turn.record(event.request)
    turn.move(record.id, "withdrawn", Phase.WITHDRAWN, **releasing.DROPPED)
    _let_go(turn, [record])
    if record.whole:
        turn.set_client(record.client, fenced_by=None)
    else:
        releasing.merge_epochs(turn, record)
    _start_covered_again(turn, record.id)
    scrubbing.next_work(turn, record.client)


def timer(turn: Turn, event: TimerFired) -> None:
    """A deadline passed: the plan's fallback, or failure; a rebuilt model has trained long enough; a refinement is given up."""
    record = turn.record(event.request)
    if record.phase is Phase.SCRUBBING:
        _give_up_on_client(turn, record)
    elif record.phase is Phase.REBUILDING and record is turn.state.in_phase(Phase.REBUILDING)[-1]:
        releasing.release(turn, turn.state.in_phase(Phase.REBUILDING), None, "trained long enough")
    elif record.phase is Phase.WORKING:
        working.deadline(turn, record)
    elif record.phase is Phase.GUARDING and record.task is not None:
        turn.cancel(turn.state.tasks.get(record.task))
        turn.set_record(record.id, task=None, notes=(*record.notes, "the client did not refine the result in time"))
        releasing.close_windows(turn)


def scrubbed(turn: Turn, event: ScrubArrived) -> None:
    """The client's own unlearning came: bounded in norm, it makes or refines the release."""
    turn.client(event.client)
    task = turn.state.tasks.get(event.task)
    if task is None or task.client != event.client or task.kind != "scrub" or task.request is None:
        turn.quarantine(event.task, event.client, "no such unlearning task is open")
        return
    turn.take_task(task.id)
    record = turn.set_record(task.request, task=None)
    try:
        check_like(event.delta, turn.state.model, f"unlearning result of {event.client!r}")
    except ParamsError as error:
        turn.quarantine(task.id, event.client, str(error))
        scrub_failed(turn, record.id, str(error))
        scrubbing.next_work(turn, event.client)
        return
    assert record.plan.scrub is not None  # noqa: S101 - a scrub task exists only under a plan with a scrub
    delta = clip(event.delta, record.plan.scrub.bound * record.size)
    if record.phase is Phase.SCRUBBING:
        own = (contributor(task.client, task.epoch),)
        _after_client(turn, turn.set_record(record.id, scrubbed=add(record.snapshot or task.base, delta), helpers=own))
    else:
        releasing.refine(turn, record, task.epoch, delta)
    scrubbing.next_work(turn, event.client)


def scrub_failed(turn: Turn, request: str, reason: str) -> None:
    """The client's unlearning died: ask again while there is time."""
    record = turn.set_record(request, task=None)
    turn.set_record(request, notes=(*record.notes, reason))
    if record.phase is Phase.SCRUBBING:
        scrubbing.resume(turn, record.client)
    releasing.close_windows(turn)


def purged(turn: Turn, event: Purged) -> None:
    """Nothing durable is left: the request is complete."""
    turn.move(turn.record(event.request).id, "purged", Phase.COMPLETED)


def settle(turn: Turn, paused: bool) -> None:
    """After an event: whoever waited has its turn, rounds begin or are given up, and who was idle in a pause trains again."""
    while record := _next(turn):
        paused = paused or record.plan.procedure is not None
        if record.phase is Phase.WAITING:
            record = turn.move(record.id, "its turn", _phase(record.plan))
            _begin(turn, record)
            scrubbing.next_work(turn, record.client)
        elif record.work is None:
            working.begin(turn, record)
        else:
            _give_up_on_rounds(turn, record, record.work.failed or "")
    if paused and not turn.state.paused:
        for name in turn.state.clients:
            turn.dispatch(name)


def _next(turn: Turn) -> Record | None:
    for record in turn.state.in_phase(Phase.WORKING):
        if record.work is None or record.work.failed is not None:
            return record
    waiting = turn.state.in_phase(Phase.WAITING)
    return waiting[0] if waiting and _may_begin(turn, waiting[0].plan) else None


def _may_begin(turn: Turn, plan: Plan) -> bool:
    """Rounds are worked in alone: they begin when nothing else is under way, and while they are nothing else begins."""
    busy = [record.plan for record in turn.state.in_phase(*BUSY)]
    return not busy or all(p.procedure is None for p in (plan, *busy))


def _repeated(turn: Turn, event: EraseRequested) -> bool:
    known = turn.state.requests.get(event.request)
    if known is None:
        return False
    if (known.client, known.patients, known.salted) != (event.client, event.patients, event.salted):
        raise IllegalEvent(f"request {event.request!r} was made before with another client or other patients")
    return True


def _start_covered_again(turn: Turn, cover: str) -> None:
    covered = [r for r in turn.state.requests.values() if r.covered_by == cover]
    for r in sorted(covered, key=lambda r: not r.whole):
        _accept(turn, _record(turn, EraseRequested(r.asked_t, r.id, r.client, r.patients, r.salted)))


def _accept(turn: Turn, record: Record) -> None:
    old = [r for r in turn.state.requests.values() if r.client == record.client and not r.phase.terminal]
    cover = next((r for r in old if r.whole and r.phase.pending), None)
    if cover is not None:
        turn.enter(_as(record, Phase.SUPERSEDED, cover.id), f"covered by {cover.id}")
        return
    if record.whole:
        _supersede(turn, old, record.id)
    gone = turn.state.epochs(record.client)
    _fence(turn, record)
    direction = turn.state.ledger.of(gone)
    now = not turn.state.in_phase(Phase.WAITING) and _may_begin(turn, record.plan)
    phase, epoch = _phase(record.plan) if now else Phase.WAITING, turn.state.clients[record.client].epoch
    kept = direction if record.plan.directions else None
    record = _as(record, phase, None, gone=gone, epoch=epoch, size=norm(direction), direction=kept)
    turn.enter(record, f"erase {record.client}" if record.whole else f"erase {record.patients} patients of {record.client}")
    if now:
        _begin(turn, record)


def _record(turn: Turn, event: EraseRequested) -> Record:
    client = turn.client(event.client)
    ask = Ask(event.patients is None, client.online and not client.erased, turn.rules.calibration, event.t)
    plan = turn.rules.method.plan(ask)
    step = turn.state.steps
    return Record(event.request, event.client, event.patients, event.salted, event.t, _phase(plan), plan, (), 0, step)


def _phase(plan: Plan) -> Phase:
    """The phase in which the work on such a plan begins."""
    if plan.merge == "restart":
        return Phase.REBUILDING
    if plan.procedure is not None:
        return Phase.WORKING
    return Phase.SCRUBBING if plan.scrub_first else Phase.HEALING


def _as(record: Record, phase: Phase, covered_by: str | None, **changes: object) -> Record:
    return Record(**{**record.__dict__, "phase": phase, "covered_by": covered_by, **changes})


def _supersede(turn: Turn, old: list[Record], by: str) -> None:
    pending = [record for record in old if record.phase.pending]
    for record in pending:
        turn.move(record.id, "covered by another", Phase.SUPERSEDED, covered_by=by, **releasing.DROPPED)
    if pending:
        _let_go(turn, pending)
    for record in old:
        if record not in pending and record.task is not None:
            turn.cancel(turn.state.tasks.get(record.task))


def _let_go(turn: Turn, records: list[Record]) -> None:
    """Stop the work on requests that are over; those that were healed with one begin anew, once, without any of them."""
    for record in records:
        working.stop(turn, record.id)
        if turn.state.heal is not None and record.id in turn.state.heal.requests:
            turn.set(heal=None)
    jobs.start_heal(turn)


def _fence(turn: Turn, record: Record) -> None:
    client = turn.state.clients[record.client]
    if record.whole:
        turn.set_client(client.name, fenced_by=record.id)
    else:
        turn.set_client(client.name, epoch=client.epoch + 1)
    turn.cancel(turn.state.task_of(client.name))
    for c in turn.state.buffer:
        if c.client == client.name:
            turn.quarantine(c.task, c.client, "it waited in the buffer when its client was fenced")
    turn.set(buffer=tuple(c for c in turn.state.buffer if c.client != client.name))
    working.fenced(turn, client.name)


def _begin(turn: Turn, record: Record) -> None:
    """Begin the work on a request that has entered the phase for it; rounds begin when the event has been dealt with."""
    if record.phase is Phase.WORKING:
        return
    if record.plan.merge == "restart":
        _restart(turn, record)
    elif record.plan.scrub_first:
        turn.emit(SetTimer(record.id, record.plan.deadline_s))
    elif record.plan.heal is not None:
        jobs.start_heal(turn)
    else:
        releasing.release(turn, [turn.record(record.id)], None, "nothing to calibrate")


def _after_client(turn: Turn, record: Record) -> None:
    if record.plan.heal is not None:
        turn.move(record.id, "client's result", Phase.HEALING)
        jobs.start_heal(turn)
    else:
        releasing.release(turn, [record], None, "client's result")


def _give_up_on_client(turn: Turn, record: Record) -> None:
    turn.cancel(turn.state.tasks.get(record.task or ""))
    note = "the client did not answer before the deadline"
    if record.plan.fallback is None:
        turn.move(record.id, "deadline, no fallback", Phase.FAILED, **releasing.DROPPED, notes=(*record.notes, note))
        releasing.close_windows(turn)
    else:
        plan = record.plan.fallback
        turn.set_record(record.id, plan=plan, task=None, snapshot=None, notes=(*record.notes, note))
        _begin(turn, turn.move(record.id, "deadline, fallback", Phase.HEALING))
    scrubbing.next_work(turn, record.client)


def _give_up_on_rounds(turn: Turn, record: Record, reason: str) -> None:
    working.stop(turn, record.id)
    plan, notes = record.plan.fallback, (*record.notes, reason)
    if plan is None:
        turn.move(record.id, "rounds failed, no fallback", Phase.FAILED, **releasing.DROPPED | {"notes": notes})
        releasing.close_windows(turn)
    else:
        turn.set_record(record.id, plan=plan, work=None, helpers=(), notes=notes)
        _begin(turn, turn.move(record.id, "rounds failed, fallback", _phase(plan)))
    scrubbing.next_work(turn, record.client)


def _restart(turn: Turn, record: Record) -> None:
    """Start over, or, where the plan says so, the client's cluster alone."""
    state, alone = turn.state, record.plan.cluster
    anew = clusters.members(turn.rules, state, record.client) if alone else tuple(state.clients)
    buffered = [c for c in state.buffer if c.client in anew]
    lost = sum(state.clients[name].applied for name in anew if name != record.client) + len(buffered)
    for task in list(state.tasks.values()):
        if not alone or task.client in anew:
            turn.cancel(task)
    kept = {name: c for name, c in state.ledger.clients.items() if client_of(name) not in anew}
    ledger = replace(state.ledger, clients=kept, server={})
    turn.set(model=ledger.rebuilt(), ledger=ledger, buffer=tuple(c for c in state.buffer if c.client not in anew))
    turn.set(history=tuple(p for p in state.history if client_of(p.contributor) not in anew))
    turn.set(moments=None, average=None, version=state.version + 1, lost=state.lost + lost)
    turn.emit(Lost(record.id, lost, "training started over"))
    turn.emit(SetTimer(record.id, record.plan.restart_s))
    for name in anew:
        turn.set_client(name, applied=0, last=None)
    for name in anew:
        turn.dispatch(name)
