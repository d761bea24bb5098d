"""Proof that a deployment did what its store says: its events, replayed in the simulator's way, reach the same model bit for bit.

Nothing is taken from the store but the order of events and what was asked. What hospitals and server computed is computed again, so this
needs everybody's images: it is for whoever has them, in a test or on a trial federation. What a purge has deleted is not missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch

from afuic.engines.live import open as opening
from afuic.engines.live.open import Open, take_up
from afuic.engines.simulator import computed
from afuic.engines.worker import Worker
from afuic.params import Params, digest
from afuic.protocol import Rules, State, initial, step
from afuic.protocol import events as ev
from afuic.protocol.events import Event
from afuic.store import codec
from afuic.store.book import Book

ARRIVED = (ev.UpdateArrived, ev.ScrubArrived, ev.AnswerArrived)


@dataclass(frozen=True)
class Replayed:
    """``digest``: of the model that the replay reached; ``recorded``: the store's. ``problem`` says where they first parted."""

    events: int
    computed: int
    digest: str
    recorded: str
    problem: str | None = None

    @property
    def same(self) -> bool:
        """Whether both are the same, by the same steps."""
        return self.problem is None and self.digest == self.recorded


def replay(book: Book, rules: Rules, worker: Worker, groups: Mapping[str, tuple[str, ...]]) -> Replayed:
    """Replay a store. ``worker`` has the images of all; ``groups``: patients by the salted digest under which they were withdrawn."""
    state, open_ = initial(book.theta0()), Open()
    count = results = 0
    problem = None if digest(worker.initial()) == digest(state.model) else "the initial model is another"
    for seq, recorded, wanted in book.record(opening.classes(), _named):
        if problem is not None:
            break
        event = _again(recorded, open_, worker, groups)
        problem = _difference(recorded, event)
        state, open_ = _happen(rules, state, open_, event)
        found = digest(state.model)
        if problem is None and found != wanted:
            problem = f"the model is {found}, recorded {wanted}"
        count, results = count + 1, results + (event is not recorded)
        problem = problem and f"event {seq} ({type(event).__name__}): {problem}"
    return Replayed(count, results, digest(state.model), book.tip().digest, problem)


def _happen(rules: Rules, state: State, open_: Open, event: Event) -> tuple[State, Open]:
    after, effects = step(rules, state, event)
    return after, take_up(open_, event, effects, after, 0.0)


def _again(event: Event, open_: Open, worker: Worker, groups: Mapping[str, tuple[str, ...]]) -> Event:
    """The event with what it carries computed anew. What never entered, and failures, are as they were recorded."""
    if isinstance(event, ARRIVED):
        work = open_.work.get(event.task) or open_.jobs.get(event.task)
        if work is not None and event.delta:
            return computed(_knowing(worker, open_, event.client, groups), event.t, work)
    if isinstance(event, ev.CalibrationDone) and event.job in open_.jobs:
        return computed(worker, event.t, open_.jobs[event.job])
    return event


def _knowing(worker: Worker, open_: Open, client: str, groups: Mapping[str, tuple[str, ...]]) -> Worker:
    withdrawn = open_.withdrawn.get(client, ())
    return replace(worker, patients={**worker.patients, client: tuple(groups.get(name, ()) for name in withdrawn)})


def _difference(recorded: Event, event: Event) -> str | None:
    if type(recorded) is not type(event):
        return f"it comes out as {type(event).__name__}"
    for field in fields(recorded):
        then, now = getattr(recorded, field.name), getattr(event, field.name)
        if codec.is_params(then):
            then, now = _name(then), digest(now) if now is not then else _name(then)
        if then != now:
            return f"its {field.name} is {now}, recorded {then}"
    return None


def _named(name: str) -> Params:
    """Stands for the model of that digest, which need not be there any more."""
    return {name: torch.empty(0)}


def _name(params: Params) -> str:
    return next(iter(params))
