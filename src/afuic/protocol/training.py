"""What happens to an update: checked, fenced or admitted, weighed, applied, booked."""

from __future__ import annotations

from dataclasses import replace

from afuic.aggregate import RULES, Contribution, server_optimizer, weight
from afuic.erase.carriers import admit
from afuic.erase.direction import without_return
from afuic.erase.ledger import contributor
from afuic.erase.rounds import SERVER, Past
from afuic.errors import AlreadyErased, IllegalEvent, ParamsError
from afuic.params import Params, add, check_like, clip, scale, total
from afuic.protocol import clusters, erasure, jobs, releasing, scrubbing, working
from afuic.protocol.effects import Applied, Buffered, Lost
from afuic.protocol.events import ClientJoined, ClientLeft, ClientReturned, TaskFailed, UpdateArrived
from afuic.protocol.requests import Phase, Record
from afuic.protocol.state import Client, Task
from afuic.protocol.turn import Turn

AVERAGE_DECAY = 0.9


def joined(turn: Turn, event: ClientJoined) -> None:
    """A new client starts at once from the present model."""
    known = turn.state.clients.get(event.client)
    if known is not None and known.erased:
        raise AlreadyErased(f"client {event.client!r} was erased; it can take part again only under a new name")
    if known is not None:
        raise IllegalEvent(f"client {event.client!r} has joined before")
    if event.client == SERVER:
        raise IllegalEvent("a client without a name cannot be told from the server; give it one")
    turn.set(clients={**turn.state.clients, event.client: Client(event.client)})
    turn.dispatch(event.client)


def left(turn: Turn, event: ClientLeft) -> None:
    """A client is away; its task stays open, since its result may still come, unless a round goes on without it."""
    turn.client(event.client)
    turn.set_client(event.client, online=False)
    working.left(turn, event.client)


def returned(turn: Turn, event: ClientReturned) -> None:
    """A client is back: unlearning it was asked for comes first, then training."""
    turn.client(event.client)
    turn.set_client(event.client, online=True)
    working.returned(turn)
    scrubbing.next_work(turn, event.client)


def failed(turn: Turn, event: TaskFailed) -> None:
    """A task died: unlearning is asked for again until its deadline, an order is handed out again, training starts anew."""
    if event.client != SERVER:
        turn.client(event.client)
    task = turn.state.tasks.get(event.task)
    if task is None or task.client != event.client:
        return
    turn.take_task(task.id)
    if task.kind == "order":
        working.failed(turn, task, event.reason)
        return
    if task.request is not None:
        erasure.scrub_failed(turn, task.request, event.reason)
    scrubbing.next_work(turn, event.client)


def arrived(turn: Turn, event: UpdateArrived) -> None:
    """An update came: quarantine it or let it in, and give its client the next task."""
    client = turn.client(event.client)
    task = turn.state.tasks.get(event.task)
    if task is None or task.client != event.client or task.kind != "train":
        turn.quarantine(event.task, event.client, "no such task is open: it was cancelled, fenced or answered before")
        return
    turn.take_task(task.id)
    reason = _objection(turn, client, task, event.delta)
    if reason:
        turn.quarantine(task.id, client.name, reason)
    else:
        _admit(turn, task, event.delta)
    scrubbing.next_work(turn, client.name)


def _objection(turn: Turn, client: Client, task: Task, delta: Params) -> str | None:
    if client.erased or client.fenced_by is not None:
        return "its client is fenced by an erasure request"
    if task.epoch != client.epoch:
        return "it was trained on images of patients who have withdrawn"
    try:
        check_like(delta, turn.state.model, f"update of {client.name!r}")
    except ParamsError as error:
        return str(error)
    return None


def _admit(turn: Turn, task: Task, delta: Params) -> None:
    rules = turn.rules.aggregation
    update: Params | None = clip(delta, rules.clip)
    carried = [r for r in turn.state.requests.values() if _carries(r, task)]
    for record in carried:
        if update is not None:
            update = admit(record.plan.carriers, update, _directions([record]))
    if update is None:
        turn.set(lost=turn.state.lost + 1)
        turn.emit(Lost(carried[0].id, 1, f"{task.id} was trained from a model with the erased data and carriers are dropped"))
        return
    tau = clusters.steps(turn.rules, turn.state, task.client) - task.base_step
    share = scale(update, rules.lr * weight(rules.staleness, tau) / clusters.count(turn.rules))
    new = Contribution(task.id, task.client, task.epoch, share, tau, bool(carried), task.base_version)
    own = [clusters.together(turn.rules, c.client, task.client) for c in turn.state.buffer]
    mine, others = (tuple(c for c, o in zip(turn.state.buffer, own, strict=True) if o is side) for side in (True, False))
    buffer, applied = RULES[rules.rule].take(mine, new, rules.buffer)
    turn.set(buffer=(*others, *buffer))
    _remember(turn, task, delta)
    if applied:
        _apply(turn, applied)
    else:
        turn.emit(Buffered(task.id, task.client, tau))


def _carries(record: Record, task: Task) -> bool:
    if record.plan.merge != "rebase" or record.phase in {Phase.SUPERSEDED, Phase.WITHDRAWN, Phase.FAILED}:
        return False
    return record.released_version is None or task.base_version < record.released_version


def _directions(records: list[Record]) -> list[Params]:
    return [r.direction for r in records if r.direction is not None]


def _remember(turn: Turn, task: Task, delta: Params) -> None:
    if turn.rules.last_models:
        turn.set_client(task.client, last=add(task.base, delta))


def _apply(turn: Turn, applied: tuple[Contribution, ...]) -> None:
    shares = tuple(_guarded(turn, c) for c in applied)
    if turn.rules.aggregation.optimizer == "sgd":
        _linear(turn, shares)
    else:
        _adaptive(turn, shares)
    state = turn.state
    turn.set(version=state.version + 1, steps=state.steps + 1, applied=state.applied + len(shares))
    if turn.rules.history:
        _record(turn, shares)
    for c in shares:
        turn.set_client(c.client, applied=turn.state.clients[c.client].applied + 1)
        turn.emit(Applied(c.task, c.client, c.staleness, c.carrier))
    for record in turn.state.in_phase(Phase.SCRUBBING, Phase.HEALING, Phase.REBUILDING):
        turn.set_record(record.id, applied_since=record.applied_since + len(shares))
    if turn.rules.average:
        previous = state.average or state.model
        turn.set(average=add(scale(previous, AVERAGE_DECAY), turn.state.model, 1 - AVERAGE_DECAY))
    releasing.close_windows(turn)
    jobs.start_guard(turn)
    jobs.start_ahead(turn)


def _record(turn: Turn, shares: tuple[Contribution, ...]) -> None:
    new = (Past(contributor(c.client, c.epoch), c.share, turn.state.version, c.base_version) for c in shares)
    turn.set(history=(*turn.state.history, *new))


def _guarded(turn: Turn, c: Contribution) -> Contribution:
    window = turn.state.in_phase(Phase.GUARDING)
    factor = min((r.plan.guard.server_step for r in window), default=1.0)
    share = without_return(c.share, _directions([r for r in window if r.plan.guard.project]))
    return replace(c, share=share if factor == 1.0 else scale(share, factor))


def _linear(turn: Turn, shares: tuple[Contribution, ...]) -> None:
    model, ledger = turn.state.model, turn.state.ledger
    for c in shares:
        model = add(model, c.share)
        ledger = ledger.contribute(contributor(c.client, c.epoch), c.share)
    turn.set(model=model, ledger=ledger)


def _adaptive(turn: Turn, shares: tuple[Contribution, ...]) -> None:
    rules, state = turn.rules.aggregation, turn.state
    update = total((scale(c.share, 1.0 / rules.lr) for c in shares), state.model)
    moments, move = server_optimizer.step(rules.optimizer, state.moments, update, rules.lr)
    contained = (*state.ledger.contained(), *(contributor(c.client, c.epoch) for c in shares))
    turn.set(moments=moments, model=add(state.model, move), ledger=state.ledger.serve(contained, move))
