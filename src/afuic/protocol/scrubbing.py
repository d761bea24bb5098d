"""What a client is given to do next: unlearning it was asked for comes before training."""

from __future__ import annotations

from afuic.protocol.effects import Unlearn
from afuic.protocol.requests import Phase, Record
from afuic.protocol.turn import Turn


def next_work(turn: Turn, name: str) -> None:
    """Give an idle client what it has to do next: unlearning it was asked for comes first, then training."""
    resume(turn, name)
    turn.dispatch(name)


def resume(turn: Turn, name: str) -> None:
    """Hand out unlearning that waits for this client, if it is online and idle."""
    waiting = [r for r in turn.state.in_phase(Phase.SCRUBBING) if r.client == name and r.task is None]
    if waiting and turn.state.clients[name].online and turn.state.task_of(name) is None:
        hand_out(turn, waiting[0])


def hand_out(turn: Turn, record: Record) -> None:
    """Give a client its unlearning, from the snapshot it was first asked with or else from the present model."""
    assert record.plan.scrub is not None  # noqa: S101 - only plans with a scrub come here
    task = turn.next_task(record.client, "scrub", record.id)
    start = record.snapshot or task.base
    since = 0 if record.snapshot is None else record.applied_since
    turn.set_record(record.id, task=task.id, snapshot=start, applied_since=since)
    client, clients = turn.state.clients[record.client], max(2, len(turn.state.clients))
    turn.emit(
        Unlearn(task.id, record.id, record.client, start, client.last, clients, record.whole, client.epoch, record.plan.scrub)
    )
