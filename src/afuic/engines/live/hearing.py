"""What a reply means: an event, a failure, a task to send again, something to hold, or nothing. It decides and changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from afuic.engines.live.gate import Gate, Held, plain
from afuic.engines.live.messages import Answer
from afuic.engines.live.open import VERIFY, AtClient, Open
from afuic.engines.live.transport import Reply
from afuic.params import Params
from afuic.protocol import State
from afuic.protocol import events as ev
from afuic.protocol.effects import Train, Unlearn
from afuic.protocol.events import Event
from afuic.scores import Measured

TASK_NUMBER = re.compile("0|[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class Ignored:
    """Nothing comes of it."""

    why: str


@dataclass(frozen=True)
class Lost:
    """The engine lost an open task on its way; nobody knows whether the hospital has done it."""

    why: str


@dataclass(frozen=True)
class Failed:
    """An open task has no result; ``held``: what came instead of one."""

    reason: str
    held: Held | None = None


@dataclass(frozen=True)
class Scores:
    """A verification has ended: its numbers, or why there are none; ``held``: what came instead of them."""

    request: str
    numbers: Measured | None
    why: str = ""
    held: Held | None = None


Meaning = Event | Ignored | Lost | Failed | Held | Scores


def meaning(reply: Reply, state: State, open_: Open, gate: Gate, t: float, seen: Callable[[str], bool]) -> Meaning:
    """What ``reply`` means now. ``seen``: whether a result of a task is durable already."""
    for verification in open_.verifications.values():
        if (verification.task, verification.client) == (reply.task, reply.client):
            return _scores(reply, verification.request, gate, state)
    work = open_.work.get(reply.task)
    if work is not None and work.client == reply.client:
        return _of_open(reply, work, state, open_, gate, t)
    return _of_nothing(reply, state, gate, t, seen)


def _of_open(reply: Reply, work: AtClient, state: State, open_: Open, gate: Gate, t: float) -> Meaning:
    if reply.failure is not None:
        return Lost(plain(reply.failure))
    answer = gate.read(reply, state.model)
    if isinstance(answer, Held):
        return Failed(answer.reason, answer)
    if answer.failed is not None:
        return Failed(plain(answer.failed))
    if answer.delta is None:
        held = Held("message: numbers came where an update was expected")
        return Failed(held.reason, held)
    held_back = gate.objection(work, answer.delta, open_.usual, state)
    return _event(work, answer.delta, t) if held_back is None else Failed(held_back.reason, held_back)


def _event(work: AtClient, delta: Params, t: float) -> Event:
    if isinstance(work, Train):
        return ev.UpdateArrived(t, work.task, work.client, delta)
    if isinstance(work, Unlearn):
        return ev.ScrubArrived(t, work.task, work.client, delta)
    return ev.AnswerArrived(t, work.task, work.client, delta)


def _of_nothing(reply: Reply, state: State, gate: Gate, t: float, seen: Callable[[str], bool]) -> Meaning:
    """A reply that nobody waits for: the protocol quarantines it, unless it is a repetition or says nothing."""
    if reply.failure is not None or reply.task.startswith(VERIFY):
        return Ignored(plain(reply.failure or "nobody waits for this verification any more"))
    if not _handed_out(reply, state):
        return Held("message: it answers a task that its sender was never given")
    if seen(reply.task):
        return Ignored("its task was answered before")
    answer = gate.read(reply, state.model)
    if isinstance(answer, Held):
        return answer
    if answer.delta is None:
        return Ignored(plain(answer.failed or "numbers that nobody asked for"))
    return ev.UpdateArrived(t, reply.task, reply.client, answer.delta)


def _handed_out(reply: Reply, state: State) -> bool:
    owner, _, number = reply.task.rpartition("/")
    client = state.clients.get(reply.client)
    own = client is not None and owner == reply.client and TASK_NUMBER.fullmatch(number) is not None
    return own and client is not None and int(number) < client.tasks


def _scores(reply: Reply, request: str, gate: Gate, state: State) -> Meaning:
    if reply.failure is not None:
        return Lost(plain(reply.failure))
    answer = gate.read(reply, state.model)
    if isinstance(answer, Answer) and answer.numbers is not None:
        return Scores(request, answer.numbers)
    if isinstance(answer, Answer) and answer.failed is not None:
        return Scores(request, None, plain(answer.failed))
    held = answer if isinstance(answer, Held) else Held("message: a model came where numbers were expected")
    return Scores(request, None, held.reason, held)
