"""Methods that work in rounds: training pauses, orders go out, answers come in, until the method has a model to release.

While it works nothing else changes the model, so that the model it gives can be written over the one it began with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from afuic.erase.ledger import client_of, contributor
from afuic.erase.rounds import SERVER, Order, Procedure, Round, View
from afuic.errors import ParamsError
from afuic.params import Params, check_like
from afuic.protocol import jobs, releasing
from afuic.protocol.effects import Lost, Perform, SetTimer
from afuic.protocol.events import AnswerArrived
from afuic.protocol.requests import Phase, Record, Work
from afuic.protocol.state import Task
from afuic.protocol.turn import Turn

ATTEMPTS = 10
"""So often an order may fail in a round; then its client is left out, or the rounds have failed if its answer is needed."""


def begin(turn: Turn, record: Record) -> None:
    """The first round. Training pauses, unless the method has its model at once and does not have it healed."""
    first = _procedure(record).begin(_view(turn, record))
    if first.orders or record.plan.heal is not None:
        _pause(turn, record)
    _take_up(turn, record.id, first)
    _go_on(turn, record.id)


def answered(turn: Turn, event: AnswerArrived) -> None:
    """An answer came: one that cannot be used is asked for again; the last one that was missing ends the round."""
    if event.client != SERVER:
        turn.client(event.client)
    task = turn.state.tasks.get(event.task)
    if task is None or task.client != event.client or task.kind != "order" or task.request is None:
        turn.quarantine(event.task, event.client, "no such order is open")
        return
    turn.take_task(task.id)
    try:
        check_like(event.delta, turn.state.model, f"answer of {event.client or 'the server'!r}")
    except ParamsError as error:
        turn.quarantine(task.id, event.client, str(error))
        _failed(turn, task.request, event.client, str(error))
    else:
        _keep(turn, task, event.delta)
    _go_on(turn, task.request)


def failed(turn: Turn, task: Task, reason: str) -> None:
    """An order's task died: it is handed out anew."""
    if task.request is not None:
        _failed(turn, task.request, task.client, reason)
        _go_on(turn, task.request)


def left(turn: Turn, name: str) -> None:
    """A client is away: the round goes on without it, unless its answer is needed; then it is waited for."""
    for record in _at_work(turn):
        order = _order(record, name)
        if order is not None and not order.needed:
            turn.cancel(turn.state.task_of(name))
            _leave_out(turn, record.id, name)
            _go_on(turn, record.id)
        _watch(turn, record.id)


def returned(turn: Turn) -> None:
    """A client is back: the order that waited for it is handed out."""
    for record in _at_work(turn):
        _hand_out(turn, record.id)


def deadline(turn: Turn, record: Record) -> None:
    """A timer fired: the rounds have failed if a needed client has been away for as long as the plan allows."""
    work = record.work
    if work is not None and work.until is not None and turn.t >= work.until:
        _set(turn, record.id, failed="a client whose answer is needed did not return before the deadline")


def fenced(turn: Turn, name: str) -> None:
    """A client was fenced by another request: rounds that it takes part in begin anew, so that nothing of it gets in."""
    for record in _at_work(turn):
        assert record.work is not None  # noqa: S101 - true of every record at work
        involved = {o.client for o in record.work.round.orders} | {client_of(h) for h in record.helpers}
        if name in involved:
            stop(turn, record.id)
            turn.set_record(record.id, work=None, helpers=())


def stop(turn: Turn, request: str) -> None:
    """Take back whatever was handed out for this request."""
    for task in list(turn.state.tasks.values()):
        if task.request == request:
            turn.cancel(task)


def _at_work(turn: Turn) -> list[Record]:
    return [r for r in turn.state.in_phase(Phase.WORKING) if r.work is not None]


def _procedure(record: Record) -> Procedure:
    assert record.plan.procedure is not None  # noqa: S101 - only plans with a procedure work in rounds
    return record.plan.procedure


def _work(turn: Turn, request: str) -> Work:
    work = turn.record(request).work
    assert work is not None  # noqa: S101 - asked only of records at work
    return work


def _set(turn: Turn, request: str, **changes: Any) -> None:
    turn.set_record(request, work=replace(_work(turn, request), **changes))


def _view(turn: Turn, record: Record) -> View:
    state = turn.state
    active = state.active()
    asked = [*active, state.clients[record.client]] if _procedure(record).last_models else []
    known = {c.name: c.last for c in asked if c.last is not None}
    here = tuple(c.name for c in active if c.online)
    return View(
        model=state.model,
        origin=state.ledger.origin,
        target=record.client,
        whole=record.whole,
        gone=record.gone,
        clients=here,
        history=state.history,
        last_models=known,
    )


def _pause(turn: Turn, record: Record) -> None:
    state = turn.state
    busy = sum(task.kind == "train" for task in state.tasks.values())
    for task in state.tasks.values():
        turn.cancel(task)
    turn.set(buffer=(), guard=None, ahead=None, lost=state.lost + busy + len(state.buffer))
    for count, where in ((len(state.buffer), "waited in the buffer"), (busy, "were under way")):
        if count:
            turn.emit(Lost(record.id, count, f"they {where} when training paused"))
    releasing.close_windows(turn)


def _take_up(turn: Turn, request: str, new: Round) -> None:
    executors = tuple(order.client for order in new.orders)
    if len(set(executors)) < len(executors):
        raise ValueError(f"a round has two orders for one client: {executors}")
    turn.set_record(request, work=Work(new, turn.state.version, executors))
    _hand_out(turn, request)


def _go_on(turn: Turn, request: str) -> None:
    while (record := turn.record(request)).work is not None and not record.work.open and record.work.failed is None:
        if not record.work.round.orders:
            _conclude(turn, record)
            return
        given = record.work.answers
        answers = {o.client: given[o.client] for o in record.work.round.orders if o.client in given}
        _take_up(turn, request, _procedure(record).proceed(_view(turn, record), record.work.round.memory, answers))


def _conclude(turn: Turn, record: Record) -> None:
    model = _work(turn, record.id).round.model
    try:
        check_like(model, turn.state.model, "the model that the rounds gave")
    except ParamsError as error:
        _set(turn, record.id, failed=str(error))
        return
    record = turn.set_record(record.id, scrubbed=model, work=None)
    if record.plan.heal is None:
        releasing.release(turn, [record], None, "rounds done")
    else:
        turn.move(record.id, "rounds done", Phase.HEALING)
        jobs.start_heal(turn)


def _hand_out(turn: Turn, request: str) -> None:
    """Give every executor that is free its order; leave out who cannot be reached and is not needed."""
    record = turn.record(request)
    for order in _work(turn, request).round.orders if _work(turn, request).failed is None else ():
        if order.client in _work(turn, request).open and turn.state.task_of(order.client) is None:
            if not _takes_part(turn, record, order.client):
                _without(turn, request, order, f"{order.client!r} is to answer but does not take part")
            elif order.client == SERVER or turn.state.clients[order.client].online:
                _give(turn, record, order)
            elif not order.needed:
                _leave_out(turn, request, order.client)
    _watch(turn, request)


def _takes_part(turn: Turn, record: Record, name: str) -> bool:
    client = turn.state.clients.get(name)
    return name == SERVER or (client is not None and not client.erased and client.fenced_by in {None, record.id})


def _give(turn: Turn, record: Record, order: Order) -> None:
    if order.client == SERVER:
        state = turn.state
        task = Task(turn.next_job(SERVER), "order", SERVER, 0, order.start, state.version, state.steps, record.id)
        turn.add_task(task)
    else:
        task = turn.next_task(order.client, "order", record.id, order.start)
    target = order.client == record.client
    whole = target and record.whole
    turn.emit(Perform(task.id, record.id, order.client, order.start, order.models, order.job, target, whole, task.epoch))


def _keep(turn: Turn, task: Task, delta: Params) -> None:
    request = task.request or ""
    record, work = turn.record(request), _work(turn, request)
    if task.client != SERVER:
        helpers = {*record.helpers, contributor(task.client, task.epoch)}
        turn.set_record(request, helpers=tuple(sorted(helpers)))
    _set(turn, request, answers={**work.answers, task.client: delta})
    _leave_out(turn, request, task.client)


def _failed(turn: Turn, request: str, name: str, reason: str) -> None:
    work = _work(turn, request)
    count = work.failures.get(name, 0) + 1
    _set(turn, request, failures={**work.failures, name: count})
    if count >= ATTEMPTS:
        order = next(o for o in work.round.orders if o.client == name)
        _without(turn, request, order, f"the order for {name or 'the server'!r} failed {count} times: {reason}")
    _hand_out(turn, request)


def _without(turn: Turn, request: str, order: Order, reason: str) -> None:
    """Go on without this answer, unless it is needed."""
    if order.needed:
        _set(turn, request, failed=reason)
    else:
        _leave_out(turn, request, order.client)


def _leave_out(turn: Turn, request: str, name: str) -> None:
    _set(turn, request, open=tuple(n for n in _work(turn, request).open if n != name))
    _watch(turn, request)


def _order(record: Record, name: str) -> Order | None:
    """The order of this client that is open."""
    if record.work is None or name not in record.work.open:
        return None
    return next(order for order in record.work.round.orders if order.client == name)


def _watch(turn: Turn, request: str) -> None:
    """Set the deadline while a needed client is away, lift it when none is."""
    record, clients = turn.record(request), turn.state.clients
    if record.work is None:
        return
    needed = [o.client for o in record.work.round.orders if o.needed and o.client in record.work.open and o.client in clients]
    away = any(not clients[name].online for name in needed)
    if away and record.work.until is None:
        _set(turn, request, until=turn.t + record.plan.deadline_s)
        turn.emit(SetTimer(request, record.plan.deadline_s))
    elif not away and record.work.until is not None:
        _set(turn, request, until=None)
