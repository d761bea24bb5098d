"""The smallest driver that a store can have: every event is durable before it is true, and a start goes on from the store."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch

from afuic.config import Aggregation, Config, Staleness
from afuic.engines.classes import core
from afuic.erase import configured
from afuic.errors import InvariantViolation
from afuic.params import Params, add, digest
from afuic.protocol import Rules, State, check, initial, step
from afuic.protocol import effects as fx
from afuic.protocol import events as ev
from afuic.protocol.events import Event
from afuic.settings import Retention
from afuic.store.book import Book

HEAL: dict[str, Any] = {"steps": 1, "batch": 2}
NAMES = "abcdefghijklmnopqrstuvwxyz"


def vector(*numbers: float) -> dict[str, torch.Tensor]:
    """A model of a few numbers."""
    return {"w": torch.tensor(numbers, dtype=torch.float32)}


def rules(guard: int = 2, *, buffer: int = 0) -> Rules:
    """The default method with a short guard, every number exact: η = 1/2, no discount, no clipping."""
    kind = "fedbuff" if buffer else "fedasync"
    aggregation = Aggregation(rule=kind, lr=0.5, clip=1e6, buffer=max(1, buffer), staleness=Staleness(law="constant"))
    options = {"heal": HEAL, "guard": {"versions": guard, "calibration": HEAL}}
    method = configured(Config(aggregation=aggregation, options={"afuic": options}), "afuic")
    return Rules(aggregation, method, True, average=True, last_models=True)


@dataclass(frozen=True)
class Opened:
    """What has been asked for and not come back."""

    jobs: tuple[fx.Calibrate, ...] = ()
    purges: tuple[str, ...] = ()

    def after(self, event: Event, effects: tuple[fx.Effect, ...], state: State) -> Opened:
        """With what these effects ask for, without what has ended with the event or is waited for by nobody."""
        wanted = {job.id for job in (state.heal, state.guard, state.ahead) if job is not None}
        jobs = (*self.jobs, *(e for e in effects if isinstance(e, fx.Calibrate)))
        purges = (*self.purges, *(e.request for e in effects if isinstance(e, fx.Purge)))
        purges = tuple(p for p in purges if not (isinstance(event, ev.Purged) and event.request == p))
        return Opened(tuple(j for j in jobs if j.job in wanted), purges)


class Little:
    """A federation on ``book``, as far as its events go."""

    def __init__(self, book: Book, own: Rules | None = None, *, size: int = 2) -> None:
        self.book, self.rules, self.size = book, own or rules(), size
        seq, state, opened = book.resume(CLASSES)
        self.seq, self.state, self.opened = seq, state or initial(book.theta0()), opened or Opened()
        self.replayed = 0
        for self.seq, event in book.events(seq, CLASSES):
            self.state, effects = step(self.rules, self.state, event)
            self.opened = self.opened.after(event, effects, self.state)
            self.replayed += 1
        tip = book.tip()
        self.t = tip.t
        if (tip.seq, tip.digest) != (self.seq, digest(self.state.model)):
            raise InvariantViolation(f"replay reached event {self.seq}, {digest(self.state.model)}; the store says {tip}")

    def happen(self, kind: Any, *args: Any, command: int | None = None) -> int:
        """The next event; its number."""
        event = kind(self.t + 1.0, *args)
        after, effects = step(self.rules, self.state, event)
        check(after)
        self.seq = self.book.append(event, self.state, after, effects, at=1e9 + event.t, command=command)
        self.t, self.state, self.opened = event.t, after, self.opened.after(event, effects, after)
        return self.seq

    def train(self, client: str, *delta: float) -> int:
        """The client's open task ends with this update."""
        task = self.state.task_of(client)
        assert task is not None
        return self.happen(ev.UpdateArrived, task.id, client, vector(*delta))

    def calibrate(self, *change: float) -> int:
        """The oldest calibration ends with its student changed by this much."""
        job = self.opened.jobs[0]
        return self.happen(ev.CalibrationDone, job.job, add(job.student, vector(*change)), 1)

    def purge(self) -> Any:
        """The oldest purge is carried out and confirmed; its report."""
        request = self.opened.purges[0]
        report = self.book.purge(request, self.state.requests[request].gone, self.state, self.opened, self.seq)
        self.happen(ev.Purged, request)
        return report

    def keep(self, policy: Retention | None = None) -> None:
        """A snapshot and a sweep."""
        self.book.snapshot(self.seq, self.state, self.opened)
        self.book.sweep(policy or Retention(versions=3, every=5))

    def live(self, draws: random.Random, every: int = 7) -> None:
        """Something that can happen next, drawn at random; a snapshot now and then."""
        active = [c.name for c in self.state.active()]
        new = next(n for n in NAMES if n not in self.state.clients)
        kind = draws.choice(["train"] * 8 + ["late", "erase", "erase", "patients"] + ["calibrate", "purge"] * 3)
        if len(active) < 3:
            self.happen(ev.ClientJoined, new)
        elif kind == "purge" and self.opened.purges:
            self.purge()
        elif kind == "calibrate" and self.opened.jobs:
            self.calibrate(*self._numbers(draws))
        elif kind in {"erase", "patients"} and all(r.phase.terminal for r in self.state.requests.values()):
            patients = None if kind == "erase" else draws.randint(1, 9)
            self.happen(ev.EraseRequested, f"r{self.seq}", draws.choice(active), patients)
        elif kind == "late":
            self.happen(ev.UpdateArrived, "gone/0", draws.choice(active), vector(*self._numbers(draws)))
        else:
            self.train(draws.choice([t.client for t in self.state.tasks.values() if t.kind == "train"]), *self._numbers(draws))
        if self.seq % every == 0:
            self.keep()

    def _numbers(self, draws: random.Random) -> list[float]:
        return [draws.randint(-64, 64) / 64 for _ in range(self.size)]


CLASSES = (*core(), Opened)


def named(*numbers: float) -> str:
    """The digest of a model of these numbers."""
    model: Params = vector(*numbers)
    return digest(model)
