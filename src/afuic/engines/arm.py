"""One arm of an experiment: the shared past, one method from the request on, or one retrained reference.

An arm writes its own folder: a journal of events, checkpoints to resume from, and at the end its result. What is in it is
whole at every instant, so a stopped arm goes on from its last checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch

from afuic.config import Config
from afuic.engines.classes import core
from afuic.engines.finished import PROBS
from afuic.engines.journaling import lines
from afuic.engines.laboratory import Laboratory
from afuic.engines.simulator import Account, Due, Simulator, World
from afuic.erase import METHODS, configured
from afuic.errors import AfuicError, ParamsError, RunInterrupted, StoreError
from afuic.params import Params, digest
from afuic.protocol import Rules, State, effects, initial
from afuic.protocol.effects import Effect
from afuic.protocol.events import Event
from afuic.protocol.requests import Phase, Record
from afuic.rng import PathPart
from afuic.store import codec
from afuic.store.files import holding, read_json, write_json, write_tensors
from afuic.store.journal import Journal

PREFIX = "prefix"
CHECKPOINT_TICKS = 5
FAULTS = (AfuicError, ArithmeticError, torch.linalg.LinAlgError)  # type: ignore[attr-defined]
"""What goes wrong with a method or with its numbers: it is the arm's result. What goes wrong with the machine or the store is raised."""
PATIENCE = 8.0


@dataclass(frozen=True)
class Progress:
    """How far an arm is, in virtual seconds, and what it is doing. state: "waiting", "running" or "done"."""

    arm: str
    t: float
    t_end: float
    version: int
    note: str
    state: str


@dataclass(frozen=True)
class Arm:
    """``after``: the arm whose end it branches from; ``family`` names its random streams. ``until``: "request" makes it a past whatever
    its family; "release" ends it there, for those who ask what was released and not what became of it. ``lean``: on branching, what the
    past has kept ready for other methods is dropped, so that this one's checkpoints need not hold it.
    """

    name: str
    method: str
    after: str | None
    family: tuple[PathPart, ...] = ()
    until: Literal["request", "release", "end"] = "end"
    lean: bool = False

    @property
    def past(self) -> bool:
        """Whether it is a past to branch from: from the beginning to the first request."""
        return self.until == "request" or (self.after is None and not self.family)

    @property
    def waits(self) -> tuple[str, ...]:
        """The arms that must have ended before it can begin."""
        return () if self.after is None else (self.after,)


class Measures(Protocol):
    """What a run asks of a judge: the measures of a point of its curve, and those of a phase with probabilities to keep."""

    def point(self, params: Params) -> dict[str, float | None]: ...

    def phase_and_probs(self, params: Params) -> tuple[dict[str, Any], np.ndarray[Any, np.dtype[np.float64]]]: ...


def arms(cfg: Config) -> tuple[Arm, ...]:
    """The arms of an experiment: the shared past first, then pasts of single methods, methods, and retrained references."""
    branches = [Arm(name, name, past_of(name)) for name in cfg.methods if name != "retrain"]
    ahead = [b.method for b in branches if getattr(configured(cfg, b.method).options, "ahead", None) is not None]
    own = [Arm(past_of(b.method), b.method, None) for b in branches if b.after != PREFIX]
    first = next(iter([*ahead, *(b.method for b in branches if b.after == PREFIX)]), "retrain")
    runs = cfg.evaluation.retrained if "retrain" in cfg.methods else 0
    references = [Arm(f"retrain/{i}", "retrain", None, ("retrain", i)) for i in range(runs)]
    return (Arm(PREFIX, first, None), *own, *branches, *references)


def past_of(method: str) -> str:
    """The past that a method branches from: the shared one, or one of its own where clients train otherwise from the beginning."""
    return f"{PREFIX}-{method}" if METHODS[method].clusters else PREFIX


def classes() -> tuple[type, ...]:
    """Every class that a checkpoint may hold."""
    return (*core(), Due, World, Account, Notes)


@dataclass
class Notes:
    """What an arm has measured so far."""

    curve: list[dict[str, Any]]
    phases: dict[str, dict[str, Any]]
    events: int = 0
    released_t: float | None = None
    applied_at_release: int = 0
    failed: str | None = None


class Run:
    """An arm being run in a laboratory, measured by ``judge``, the laboratory's own unless another is given."""

    def __init__(
        self, lab: Laboratory, folder: Path, arm: Arm, progress: Callable[[Progress], None], judge: Measures | None = None
    ) -> None:
        self.lab, self.folder, self.arm, self.progress = lab, folder / arm.name, arm, progress
        self.judge, self.worker = judge or lab.judge, lab.worker(arm.family)
        self.requests = lab.requests()
        self.first_t, self.last_t = self.requests[0].t, self.requests[-1].t
        self.horizon = lab.config.clock.horizon_s
        self.notes = Notes([], {})
        self.just_released = False

    def run(self) -> None:
        """Run or resume to the end and write result.json; an arm that is done is left alone. One that fails says why in its result.

        What a killed run has left running works on until it notices; it is waited for, so that no two write into one folder.
        """
        with holding(self.folder, wait=True):
            self._run()

    def _run(self) -> None:
        if (self.folder / "result.json").exists():
            self._report("done", "done before")
            return
        world, count = self._resume()
        with Journal(self.folder / "events.jsonl", count) as self.journal:
            self.sim = Simulator(self.lab.rules(self.arm.method), self.lab.fleet, self.worker, world, self._watch)
            if count == 0:
                self._prepare()
            try:
                self._live()
                self._end_well()
            except (StoreError, RunInterrupted):
                raise
            except FAULTS as error:
                self.notes.failed = f"{type(error).__name__}: {error}"
            self._finish()

    def _resume(self) -> tuple[World, int]:
        if (self.folder / "checkpoint.json").exists():
            (world, self.notes), extra = codec.load(self.folder / "checkpoint", classes())
            return world, int(extra["count"])
        if self.arm.after is not None:
            past = self.folder.parent / self.arm.after
            (world, _), _ = codec.load(past / "checkpoint", classes())
            if (why := read_json(past / "result.json").get("failed")) is not None:
                self.notes.failed = f"{why} (before the request)"
            rules = self.lab.rules(self.arm.method)
            world.account = Account(server_s=world.account.server_s if rules.ahead is not None else 0.0)
            return own(world, rules) if self.arm.lean else world, 0
        start = 0.0 if self.arm.past else self.first_t
        return World(initial(self.worker.initial()), start), 0

    def _prepare(self) -> None:
        if self.arm.after is None:
            self.sim.join(self.lab.federation.clients)
        if not self.arm.past:
            for event in self.requests:
                self.sim.schedule(event)

    def _live(self) -> None:
        every = self.lab.config.evaluation.every_s
        ticks = len(self.notes.curve)
        while self.world.t < self._end() and self.notes.failed is None:
            tick = every * (math.floor(self.world.t / every + 1e-9) + 1)
            self.sim.run_until(min(tick, self._end()), stop=lambda: self.just_released)
            self._measure_point()
            if self.just_released:
                self._measure_phase("released")
                self.just_released = False
            self._report("running", self._doing())
            if len(self.notes.curve) - ticks >= CHECKPOINT_TICKS:
                ticks = len(self.notes.curve)
                self._checkpoint()

    @property
    def world(self) -> World:
        """The simulated world."""
        return self.sim.world

    def _end(self) -> float:
        if self.arm.past:
            return self.first_t
        if self.notes.released_t is not None:
            return self.notes.released_t + (0.0 if self.arm.until == "release" else self.horizon - self.last_t)
        return PATIENCE * self.horizon if self._pending() else max(self.horizon, self.world.t)

    def _pending(self) -> bool:
        known = self.world.state.requests
        return any(r.request not in known or known[r.request].phase.pending for r in self.requests)

    def _end_well(self) -> None:
        if self.notes.failed is None and self.arm.until != "release":
            self._measure_phase("before" if self.arm.past else "final")

    def _finish(self) -> None:
        if self.arm.past:
            self._checkpoint()
        self.journal.sync()
        write_json(self.folder / "result.json", self._result())
        self._report("done", "done")

    def _result(self) -> dict[str, Any]:
        st, account = self.world.state, self.world.account
        active = st.active()
        after = (st.applied - self.notes.applied_at_release) / max(1, len(active))
        known = st.requests.values()
        latencies = [r.released_t - r.asked_t for r in known if r.released_t is not None]
        return {
            "digest": digest(st.model),
            "events": self.notes.events,
            "t": self.world.t,
            "phases": self.notes.phases,
            "curve": self.notes.curve,
            "account": vars(account),
            "lost": st.lost,
            "applied": {c.name: c.applied for c in st.clients.values()},
            "quarantined": st.quarantined,
            "latency_s": max(latencies) if latencies and self.notes.released_t is not None else None,
            "released_t": self.notes.released_t,
            "after_per_client": after if self.notes.released_t is not None else 0.0,
            "failed": self._failure(),
            "requests": {r.id: {"phase": r.phase.value, "notes": list(r.notes)} for r in known},
            "healing": [_healing(r) for r in known if r.heal_steps is not None],
        }

    def _failure(self) -> str | None:
        bad = [r for r in self.world.state.requests.values() if r.phase is Phase.FAILED]
        if self.notes.failed is None and bad:
            return f"{bad[0].id}: {bad[0].notes[-1]}"
        if self.notes.failed is None and not self.arm.past and self._pending():
            return f"nothing was released by {self.world.t:g} s"
        return self.notes.failed

    def _checkpoint(self) -> None:
        codec.save(self.folder / "checkpoint", (self.world, self.notes), {"count": self.journal.sync()})

    def _watch(self, event: Event, before: State, after: State, facts: tuple[Effect, ...]) -> None:
        self.notes.events += 1
        for line in lines(self.arm.name, self.journal.count, event, before, after, facts):
            self.journal.append(line)
        if any(isinstance(f, effects.Released) for f in facts) and not self._pending():
            self.notes.released_t = event.t
            self.notes.applied_at_release = after.applied
            self.just_released = True

    def _measure_point(self) -> None:
        point = self._judged(self.judge.point)
        if point is not None:
            self.notes.curve.append({"t": self.world.t, "version": self.world.state.version, **point})

    def _measure_phase(self, name: str) -> None:
        found = self._judged(self.judge.phase_and_probs)
        if found is not None:
            (phase, probs), st = found, self.world.state
            self.notes.phases[name] = {"t": self.world.t, "version": st.version, **phase}
            write_tensors(self.folder / f"{name}.safetensors", {**st.model, PROBS: torch.from_numpy(probs.astype(np.float32))})

    def _judged(self, measure: Callable[[Params], Any]) -> Any:
        """What is measured of the present model; None, and noted, where it has diverged."""
        try:
            return measure(self.world.state.model)
        except ParamsError as error:
            self.notes.failed = f"diverged: {error}"
            return None

    def _report(self, kind: str, note: str) -> None:
        world = getattr(self, "sim", None) and self.world
        t, version = (world.t, world.state.version) if world else (self.horizon, 0)
        guess = self.horizon + (self.first_t if self.arm.method == "retrain" else 0.0)
        end = self._end() if world and (self.notes.released_t is not None or self.arm.past) else guess
        self.progress(Progress(self.arm.name, t, max(end, t) if kind != "done" else t, version, note, kind))

    def _doing(self) -> str:
        moving = [r for r in self.world.state.requests.values() if not r.phase.terminal]
        return ", ".join(f"{r.id} {r.phase.value}" for r in moving) or "training"


def _healing(r: Record) -> dict[str, Any]:
    before, after = r.heal_gap or (None, None)
    return {"request": r.id, "steps": r.heal_steps, "gap_before": before, "gap_after": after}


def own(world: World, rules: Rules) -> World:
    """The world with no more kept ready than these rules keep."""
    known = world.state
    clients = {name: c if rules.last_models else replace(c, last=None) for name, c in known.clients.items()}
    history, average = known.history if rules.history else (), known.average if rules.average else None
    world.state = replace(known, clients=clients, history=history, average=average)
    return world
