"""What has been asked of the world and has not come back: a pure function of the events, kept in every snapshot beside the state.

A driver that starts needs nothing else to go on: it sends again what is open here, under the same names, and waits for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median

from afuic.certify.facts import Books, Line, books
from afuic.engines.classes import core
from afuic.engines.simulator import wanted
from afuic.erase.rounds import SERVER
from afuic.params import Params, norm
from afuic.protocol import State
from afuic.protocol import effects as fx
from afuic.protocol import events as ev
from afuic.protocol.effects import Effect
from afuic.protocol.events import Event

VERIFY = "verify/"
USUAL, FEW = 50, 5
RECEIVED = 16

AtClient = fx.Train | fx.Unlearn | fx.Perform
AtServer = fx.Calibrate | fx.Perform
RANKS = {"heal": 0, SERVER: 1, "guard": 2, "ahead": 3}


@dataclass(frozen=True)
class Timer:
    """``request`` is to be told at time ``due``."""

    request: str
    due: float


@dataclass(frozen=True)
class Verification:
    """The released ``model`` of a request, to be scored by its hospital before ``until``, on what left with ``epoch``."""

    request: str
    client: str
    whole: bool
    epoch: int
    model: Params
    until: float

    @property
    def task(self) -> str:
        """The name of its task."""
        return VERIFY + self.request


@dataclass(frozen=True)
class Open:
    """``work``: tasks at hospitals by id; ``jobs``: the server's own by id.

    withdrawn: for each client the salted digests of the patients that left with each epoch, in order; received: for each client the tasks
    whose end is durable, the last few; stopped: for each client tasks that nobody waits for any more, though it may still be at them;
    norms: of the last updates that entered; usual: the largest that their median has been, once there were a few; books: the ledger as each
    release left it, until the request is certified; losses: updates of others that each request cost.
    """

    work: Mapping[str, AtClient] = field(default_factory=dict)
    jobs: Mapping[str, AtServer] = field(default_factory=dict)
    timers: tuple[Timer, ...] = ()
    purges: Mapping[str, fx.Purge] = field(default_factory=dict)
    verifications: Mapping[str, Verification] = field(default_factory=dict)
    withdrawn: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    received: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stopped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    norms: tuple[float, ...] = ()
    usual: float | None = None
    books: Mapping[str, Books] = field(default_factory=dict)
    losses: Mapping[str, int] = field(default_factory=dict)

    def job_list(self) -> list[AtServer]:
        """The server's own jobs, the most urgent first: releases wait for healing, nobody waits for healing ahead."""
        return sorted(self.jobs.values(), key=_rank)

    def due(self, t: float) -> list[Timer]:
        """Timers that have run out, in the order in which they did."""
        return sorted((timer for timer in self.timers if timer.due <= t), key=lambda timer: timer.due)


def take_up(open_: Open, event: Event, effects: Iterable[Effect], state: State, verify_s: float) -> Open:
    """What is open after ``event``, which led to ``effects`` and to ``state``. ``verify_s``: how long a verification is waited for."""
    effects = tuple(effects)
    after = _answered(open_, event, effects)
    after = _asked(after, effects, state, event.t, verify_s)
    return _settled(after, state)


def closed(open_: Open, request: str) -> Open:
    """Without the verification of this request: its numbers are durable, or nobody waits any more."""
    found = open_.verifications[request]
    left = {name: v for name, v in open_.verifications.items() if name != request}
    return replace(open_, verifications=left, received=_noted(open_.received, found.client, found.task))


def certified(open_: Open, request: str) -> Open:
    """Without what only this request's certificate needed."""
    return replace(
        open_,
        books={name: b for name, b in open_.books.items() if name != request},
        losses={name: count for name, count in open_.losses.items() if name != request},
    )


def classes() -> tuple[type, ...]:
    """Every class that a snapshot may hold."""
    return (*core(), Open, Timer, Verification, Books, Line)


def _answered(open_: Open, event: Event, effects: tuple[Effect, ...]) -> Open:
    if isinstance(event, ev.UpdateArrived | ev.ScrubArrived | ev.AnswerArrived | ev.TaskFailed) and event.client != SERVER:
        open_ = replace(
            open_,
            work={name: w for name, w in open_.work.items() if name != event.task},
            received=_noted(open_.received, event.client, event.task),
            stopped=_without(open_.stopped, event.client, event.task),
        )
    if isinstance(event, ev.UpdateArrived) and any(isinstance(e, fx.Applied | fx.Buffered) for e in effects):
        open_ = _measured(open_, norm(event.delta))
    if isinstance(event, ev.TimerFired):
        fired = next((timer for timer in open_.timers if timer.request == event.request and timer.due <= event.t), None)
        open_ = replace(open_, timers=tuple(timer for timer in open_.timers if timer is not fired))
    return open_


def _measured(open_: Open, size: float) -> Open:
    norms = (*open_.norms, size)[-USUAL:]
    known = [n for n in norms if n > 0]
    usual = open_.usual if len(known) < FEW else max(open_.usual or 0.0, median(known))
    return replace(open_, norms=norms, usual=usual)


def _asked(open_: Open, effects: tuple[Effect, ...], state: State, t: float, verify_s: float) -> Open:
    for effect in effects:
        if isinstance(effect, fx.Calibrate):
            open_ = replace(open_, jobs={**open_.jobs, effect.job: effect})
        elif isinstance(effect, fx.Perform) and effect.client == SERVER:
            open_ = replace(open_, jobs={**open_.jobs, effect.task: effect})
        elif isinstance(effect, fx.Train | fx.Unlearn | fx.Perform):
            open_ = replace(open_, work={**open_.work, effect.task: effect})
        elif isinstance(effect, fx.Cancel) and effect.task in open_.work:
            stopped = {**open_.stopped, effect.client: (*open_.stopped.get(effect.client, ()), effect.task)[-RECEIVED:]}
            open_ = replace(open_, stopped=stopped)
        elif isinstance(effect, fx.SetTimer):
            open_ = replace(open_, timers=(*open_.timers, Timer(effect.request, t + effect.after_s)))
        elif isinstance(effect, fx.Purge):
            open_ = replace(open_, purges={**open_.purges, effect.request: effect})
        elif isinstance(effect, fx.Released):
            verification = _verification(effect.request, state, t + verify_s)
            open_ = replace(open_, verifications={**open_.verifications, effect.request: verification})
            open_ = replace(open_, books={**open_.books, effect.request: books(state.ledger, state.version)})
        elif isinstance(effect, fx.Lost) and effect.request is not None:
            losses = {**open_.losses, effect.request: open_.losses.get(effect.request, 0) + effect.count}
            open_ = replace(open_, losses=losses)
    return open_


def _verification(request: str, state: State, until: float) -> Verification:
    record = state.requests[request]
    return Verification(request, record.client, record.whole, record.epoch, state.model, until)


def _settled(open_: Open, state: State) -> Open:
    """Without what the core no longer waits for."""
    ended = {name for name, record in state.requests.items() if record.phase.terminal}
    return replace(
        open_,
        work={name: w for name, w in open_.work.items() if name in state.tasks},
        jobs={name: job for name, job in open_.jobs.items() if _waited_for(state, name, job)},
        timers=tuple(timer for timer in open_.timers if timer.request not in ended),
        purges={name: purge for name, purge in open_.purges.items() if name not in ended},
        withdrawn=_withdrawn(open_.withdrawn, state),
    )


def _waited_for(state: State, name: str, job: AtServer) -> bool:
    return wanted(state, job) if isinstance(job, fx.Calibrate) else name in state.tasks


def _withdrawn(known: Mapping[str, tuple[str, ...]], state: State) -> Mapping[str, tuple[str, ...]]:
    """The groups of patients known so far, and those that left in this step: each began an epoch of its client's."""
    grown = dict(known)
    for client in state.clients.values():
        had = grown.get(client.name, ())
        new = tuple(_group(state, client.name, epoch) for epoch in range(len(had) + 1, client.epoch + 1))
        if new:
            grown[client.name] = (*had, *new)
    return grown


def _group(state: State, client: str, epoch: int) -> str:
    mine = (r for r in state.requests.values() if r.client == client and not r.whole and r.epoch == epoch)
    return next((r.salted or "" for r in mine), "")


def _noted(known: Mapping[str, tuple[str, ...]], client: str, task: str) -> dict[str, tuple[str, ...]]:
    return {**known, client: (*(name for name in known.get(client, ()) if name != task), task)[-RECEIVED:]}


def _without(known: Mapping[str, tuple[str, ...]], client: str, task: str) -> dict[str, tuple[str, ...]]:
    """Without this task and those handed out before it: a hospital does one at a time."""
    left = tuple(name for name in known.get(client, ()) if _number(name) > _number(task))
    return {name: tasks for name, tasks in {**known, client: left}.items() if tasks}


def _number(task: str) -> int:
    digits = task.rpartition("/")[2]
    return int(digits) if digits.isdecimal() else -1


def _rank(job: AtServer) -> int:
    return RANKS[job.purpose if isinstance(job, fx.Calibrate) else SERVER]
