"""An independent account of what the model must be: a plain list of who put what in, kept beside the protocol and compared with it.

Nothing here uses the ledger or the parameter arithmetic. Values are float64 vectors; on small dyadic numbers they are exact.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from afuic.protocol import Rules, State, effects, events
from afuic.protocol.requests import Phase
from afuic.protocol.working import ATTEMPTS

Vec = np.ndarray[Any, np.dtype[np.float64]]
Owner = tuple[str, int]
PENDING = {"waiting", "scrubbing", "healing", "rebuilding", "working"}


def vec(params: Any) -> Vec:
    """The model's only tensor as float64."""
    return params["w"].double().numpy().copy()


@dataclass
class Entry:
    """One thing that was added to the model; ``owner`` None is the server, which had learned from ``knew``."""

    value: Vec
    owner: Owner | None = None
    knew: frozenset[Owner] = frozenset()
    task: str | None = None


@dataclass
class Ask:
    """One request as the book sees it."""

    client: str
    whole: bool
    phase: str
    gone: frozenset[Owner] = frozenset()
    direction: Vec | None = None
    asked: int = 0
    snapshot: Vec | None = None
    since: int = 0
    released: int | None = None
    removes: bool = False
    scrubbed: Vec | None = None
    unlearned: Owner | None = None
    knew: frozenset[Owner] = frozenset()
    rounds: bool = False
    done: int = 0
    model: Vec | None = None
    awaited: set[str] = field(default_factory=set)
    asked_of: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)
    failures: Counter[str] = field(default_factory=Counter)
    answers: list[Vec] = field(default_factory=list)
    helpers: set[Owner] = field(default_factory=set)


@dataclass
class Work:
    """An open task of a client or job of the server."""

    kind: str = "train"
    client: str = ""
    epoch: int = 0
    clock: int = 0
    base: Vec | None = None
    request: str | None = None
    requests: tuple[str, ...] = ()
    knew: frozenset[Owner] = frozenset()


@dataclass
class Book:
    """The account. ``before(event)`` is not needed: ``follow`` is given the event and the effects it had."""

    rules: Rules
    model: Vec
    origin: Vec
    clock: int = 0
    entries: list[Entry] = field(default_factory=list)
    waiting: dict[str, Entry] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    fenced: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    asks: dict[str, Ask] = field(default_factory=dict)
    tasks: dict[str, Work] = field(default_factory=dict)
    jobs: dict[str, Work] = field(default_factory=dict)
    ahead: dict[str, tuple[Vec, frozenset[Owner]]] = field(default_factory=dict)
    fates: Counter[str] = field(default_factory=Counter)
    history: list[tuple[Owner, Vec]] = field(default_factory=list)
    offline: set[str] = field(default_factory=set)
    stopped: int = 0
    admitted: int = 0

    # -- what is asked of the book ------------------------------------------------------------------------------------

    def total(self) -> Vec:
        """θ_0 and everything still in it."""
        return self.origin + sum((e.value for e in self.entries), np.zeros_like(self.origin))

    def balanced(self) -> bool:
        """Every update let in is in the model, waits, was lost and said so, or left with its own client."""
        inside = sum(e.task is not None for e in self.entries)
        return self.admitted == inside + len(self.waiting) + sum(self.fates.values())

    def contributors(self) -> frozenset[Owner]:
        """Whoever is in the model, directly or through a step of the server's."""
        through = frozenset(o for e in self.entries for o in e.knew)
        return through | frozenset(e.owner for e in self.entries if e.owner is not None)

    def refined(self, client: str) -> frozenset[Owner]:
        """The account of what a client made of the model after its erasure, if there is one."""
        after = (client, self.epochs[client] + 1)
        return frozenset({after} if any(e.owner == after for e in self.entries) else ())

    @property
    def parts(self) -> int:
        """Clusters that train apart; the model is their mean."""
        return len(set((self.rules.clusters or {"all": 0}).values()))

    def _together(self, client: str, entry: Entry) -> bool:
        cluster = self.rules.clusters
        return cluster is None or (entry.owner is not None and cluster[entry.owner[0]] == cluster[client])

    # -- one event ----------------------------------------------------------------------------------------------------

    def follow(self, event: Any, fx: tuple[Any, ...], before: State, after: State) -> None:
        """Account for one event and its effects."""
        self.clock += 1
        handler = getattr(self, f"_{type(event).__name__}", None)
        if handler:
            handler(event, fx)
        for effect in fx:
            handler = getattr(self, f"_saw_{type(effect).__name__}", None)
            if handler:
                handler(effect, after)
        self.model = self.total()

    def _ClientJoined(self, event: events.ClientJoined, fx: Any) -> None:  # noqa: N802
        self.epochs[event.client] = 0

    def _EraseRequested(self, event: events.EraseRequested, fx: Any) -> None:  # noqa: N802
        if event.request not in self.asks:
            self._open(event.request, event.client, event.patients is None)
            if self.asks[event.request].phase == "asked":
                self._begin_anew(event.client)

    def _open(self, name: str, client: str, whole: bool) -> None:
        old = [a for a in self.asks.values() if a.client == client and a.phase in PENDING]
        if any(a.whole for a in old):
            self.asks[name] = Ask(client, whole, "superseded")
            return
        gone = frozenset((client, e) for e in range(self.epochs[client] + 1)) | self.refined(client)
        direction = sum((e.value for e in self.entries if e.owner in gone), np.zeros_like(self.origin))
        self.asks[name] = Ask(client, whole, "asked", gone, direction, self.clock)
        if self.toy:
            self.asks[name].rounds = whole or self.rules.method.options.patients
        if whole:
            self.fenced.add(client)
        else:
            self.epochs[client] += 1
        self.waiting = {t: e for t, e in self.waiting.items() if not self._forget_waiting(t, e, client)}

    def _forget_waiting(self, task: str, entry: Entry, client: str) -> bool:
        mine = entry.owner is not None and entry.owner[0] == client
        self.fates["fenced in the buffer"] += mine
        return mine

    def _RequestWithdrawn(self, event: events.RequestWithdrawn, fx: tuple[Any, ...]) -> None:  # noqa: N802
        ask = self.asks[event.request]
        ask.phase = "withdrawn"
        if ask.whole:
            self.fenced.discard(ask.client)
            for name, other in list(self.asks.items()):
                if other.phase == "superseded" and other.client == ask.client and self._starts_again(name, fx):
                    self._open(name, other.client, other.whole)

    def _starts_again(self, name: str, fx: tuple[Any, ...]) -> bool:
        return any(isinstance(e, effects.Moved) and (e.request, e.before) == (name, "superseded") for e in fx)

    # -- updates ------------------------------------------------------------------------------------------------------

    def _UpdateArrived(self, event: events.UpdateArrived, fx: tuple[Any, ...]) -> None:  # noqa: N802
        work = self.tasks.get(event.task)
        valid = work is not None and work.client == event.client and work.request is None and self._sound(event.delta)
        if work is not None and work.client == event.client and work.request is None:
            del self.tasks[event.task]
        stated = [e for e in fx if getattr(e, "task", None) == event.task and isinstance(e, FATES)]
        lost = [e for e in fx if isinstance(e, effects.Lost)]
        if not valid:
            assert [type(e) for e in stated] == [effects.Quarantined], "an update that may not enter has to be quarantined"
            assert stated[0].client == event.client
            assert not lost
            return
        assert work is not None
        assert event.client not in self.fenced | self.erased, "a fenced client had an open task"
        assert work.epoch == self.epochs[event.client], "a task on withdrawn patients was open"
        self.admitted += 1
        value = self._admit(work, 0.5 * vec(event.delta) / self.parts)
        if value is None:
            assert [e.count for e in lost] == [1]
            assert not stated
            self.fates["lost"] += 1
            return
        assert len(stated) == 1
        assert type(stated[0]) in {effects.Applied, effects.Buffered}
        self.waiting[event.task] = Entry(value, (event.client, work.epoch), task=event.task)
        size = self.rules.aggregation.buffer if self.rules.aggregation.rule == "fedbuff" else 1
        mine = [t for t, e in self.waiting.items() if self._together(event.client, e)]
        assert (len(mine) >= size) == isinstance(stated[0], effects.Applied)
        self._apply_when_full(fx, mine, size)

    def _apply_when_full(self, fx: tuple[Any, ...], mine: list[str], size: int) -> None:
        applied = [e.task for e in fx if isinstance(e, effects.Applied)]
        assert applied == (mine if len(mine) >= size else [])
        for task in applied:
            entry = self.waiting.pop(task)
            assert entry.owner is not None
            assert entry.owner[0] not in self.fenced
            assert entry.owner[1] == self.epochs[entry.owner[0]]
            self.entries.append(Entry(self._guarded(entry.value / size), entry.owner, task=task))
            self.history.append((entry.owner, self.entries[-1].value))
        for ask in self.asks.values():
            ask.since += len(applied) if ask.phase in PENDING else 0

    def _sound(self, delta: Any) -> bool:
        fits = delta.keys() == {"w"} and delta["w"].shape == (2,) and delta["w"].dtype == torch.float32
        return fits and bool(torch.isfinite(delta["w"]).all())

    def _admit(self, work: Work, value: Vec) -> Vec | None:
        if self.rules.method.method.name != "afuic":
            return value
        carriers = self.rules.method.options.carriers
        for ask in self.asks.values():
            ended = ask.phase in {"superseded", "withdrawn", "failed"}
            if ended or not (ask.released is None or work.clock < ask.released):
                continue
            if carriers.policy == "drop":
                return None
            if carriers.policy == "damp":
                value = value * carriers.factor
            if carriers.policy == "project" and ask.phase in PENDING | {"guarding"}:
                value = outside(value, ask.direction)
        return value

    def _guarded(self, value: Vec) -> Vec:
        window = [a for a in self.asks.values() if a.phase == "guarding"]
        guard = getattr(self.rules.method.options, "guard", None)
        if self.toy or guard is None or not window:
            return value
        for ask in window if guard.project else []:
            value = outside(value, ask.direction)
        return value * guard.server_step

    # -- releases -----------------------------------------------------------------------------------------------------

    def _CalibrationDone(self, event: events.CalibrationDone, fx: tuple[Any, ...]) -> None:  # noqa: N802
        job = self._wanted(event.job)
        if job is None:
            assert not fx, "a result that nobody waits for did something"
        elif not self._sound(event.model):
            self._end_job(event.job, job, None, fx)
        else:
            self._end_job(event.job, job, vec(event.model), fx)

    def _CalibrationFailed(self, event: events.CalibrationFailed, fx: tuple[Any, ...]) -> None:  # noqa: N802
        job = self._wanted(event.job)
        if job is not None:
            self._end_job(event.job, job, None, fx)

    def _wanted(self, name: str) -> Work | None:
        job = self.jobs.get(name)
        if name.startswith("ahead"):
            return job
        wanted = "healing" if name.startswith("heal") else "guarding"
        return job if job is not None and all(self.asks[r].phase == wanted for r in job.requests) else None

    def _end_job(self, name: str, job: Work, result: Vec | None, fx: tuple[Any, ...]) -> None:
        del self.jobs[name]
        assert job.base is not None
        if name.startswith("ahead"):
            if result is not None:
                _, knew = self.ahead.get(job.client, (None, frozenset()))
                self.ahead[job.client] = (result - job.base, knew | job.knew)
            return
        if name.startswith("guard"):
            if result is not None:
                self.entries.append(Entry(result - job.base, knew=job.knew))
            return
        released = {e.request for e in fx if isinstance(e, effects.Released)}
        assert set(job.requests) <= released
        for request in job.requests:
            self._release(request, result)
        if result is not None and all(self.asks[r].removes for r in job.requests):
            self.entries.append(Entry(result - job.base, knew=job.knew))

    def _release(self, name: str, result: Vec | None) -> None:
        ask, kind = self.asks[name], self.rules.method.method.name
        if kind == "afuic-paper" or ask.rounds:
            new = ask.scrubbed if result is None else result
            assert new is not None
            if not ask.rounds:
                self._unlearned(ask)
            self._overwrite(ask, new)
        elif kind == "afuic" and ask.scrubbed is not None:
            self._unlearned(ask)
        elif kind in {"afuic", "toy"}:
            ask.removes = True
            self._remove(ask.gone)

    def _unlearned(self, ask: Ask) -> None:
        assert ask.scrubbed is not None
        assert ask.snapshot is not None
        self.entries.append(Entry(ask.scrubbed - ask.snapshot, ask.unlearned))

    def _remove(self, gone: frozenset[Owner]) -> None:
        left = self._of(gone)
        self.fates["erased"] += sum(e.task is not None for e in left)
        self.entries = [e for e in self.entries if not any(e is x for x in left)]

    def _of(self, gone: frozenset[Owner]) -> list[Entry]:
        answer = self.toy or self.rules.method.options.server_steps == "remove"
        return [e for e in self.entries if e.owner in gone or (answer and e.owner is None and e.knew & gone)]

    def _overwrite(self, ask: Ask, new: Vec) -> None:
        knew = self.contributors() | ask.helpers
        self.entries.append(Entry(new - self.total(), knew=knew))
        if ask.whole:
            undone = [e for e in self.entries if e.owner in ask.gone]
            for entry in undone:
                entry.owner, entry.knew = None, knew
        for other in self.asks.values():
            other.since = 0 if other is not ask and other.phase in PENDING else other.since

    def _ScrubArrived(self, event: events.ScrubArrived, fx: tuple[Any, ...]) -> None:  # noqa: N802
        work = self.tasks.get(event.task)
        if work is None or work.client != event.client or work.kind != "scrub":
            assert [type(e) for e in fx] == [effects.Quarantined]
            return
        assert work.request is not None
        del self.tasks[event.task]
        if not self._sound(event.delta):
            assert any(isinstance(e, effects.Quarantined) and e.client == event.client for e in fx)
            return
        ask = self.asks[work.request]
        delta = vec(event.delta) if np.any(ask.direction) else np.zeros(2)
        if ask.phase == "guarding":
            self.entries.append(Entry(delta, (ask.client, work.epoch + ask.whole)))
            return
        assert ask.snapshot is not None
        ask.unlearned = (ask.client, work.epoch)
        ask.scrubbed = ask.snapshot + delta
        if any(isinstance(e, effects.Released) and e.request == work.request for e in fx):
            self._release(work.request, None)

    def _TaskFailed(self, event: events.TaskFailed, fx: Any) -> None:  # noqa: N802
        work = self.tasks.get(event.task)
        if work is not None and work.client == event.client:
            del self.tasks[event.task]
            if work.kind == "order":
                self._order_failed(work)

    def _TimerFired(self, event: events.TimerFired, fx: tuple[Any, ...]) -> None:  # noqa: N802
        ask = self.asks[event.request]
        if ask.phase == "scrubbing":
            ask.scrubbed = ask.snapshot = None
            if any(isinstance(e, effects.Released) and e.request == event.request for e in fx):
                self._release(event.request, None)

    # -- facts and work handed out ------------------------------------------------------------------------------------

    def _saw_Moved(self, effect: effects.Moved, after: State) -> None:  # noqa: N802
        ask = self.asks[effect.request]
        assert effect.before == ask.phase or ask.phase == effect.after == "withdrawn" or ask.phase in {"asked", "superseded"}, (
            effect
        )
        ask.phase = effect.after
        assert ask.phase in {p.value for p in Phase}
        if effect.reason.startswith("rounds failed"):
            given_up = {n for n in ask.needed & ask.awaited if n in self.offline or ask.failures[n] >= ATTEMPTS}
            assert given_up, "rounds failed although whoever is needed could still answer"
            ask.rounds = False
        elif ask.phase == "working":
            self._begin_rounds(effect.request)

    def _saw_Released(self, effect: effects.Released, after: State) -> None:  # noqa: N802
        ask = self.asks[effect.request]
        assert ask.released is None, "released twice"
        ask.released = self.clock
        self.ahead = {}
        self._drop_jobs("ahead")
        self.history = [(owner, value) for owner, value in self.history if owner not in ask.gone]
        if ask.whole:
            self.erased.add(ask.client)
        immediate = self.rules.method.method.name == "afuic" and not ask.removes and ask.scrubbed is None
        if immediate:
            ask.removes = True
            self._remove(ask.gone)

    def _saw_Cancel(self, effect: effects.Cancel, after: State) -> None:  # noqa: N802
        work = self.tasks.pop(effect.task, None)
        self.stopped += work is not None and work.kind == "train"

    def _saw_Lost(self, effect: effects.Lost, after: State) -> None:  # noqa: N802
        if effect.request is None:
            raise AssertionError("nothing is lost without a request to blame")
        ask = self.asks[effect.request]
        if "started over" in effect.reason:
            self._start_over(ask, effect.count)
        elif "in the buffer when training paused" in effect.reason:
            assert effect.count == len(self.waiting)
            self.fates["lost"] += effect.count
            self.waiting = {}
        elif "under way when training paused" in effect.reason:
            assert effect.count == self.stopped
        elif "overwritten" in effect.reason:
            assert effect.count == ask.since, "the overwritten updates are those since the snapshot"

    def _start_over(self, ask: Ask, count: int) -> None:
        inside = [e for e in self.entries if e.task is not None and self._together(ask.client, e)]
        others = [e for e in inside if e.owner is not None and e.owner[0] != ask.client]
        waiting = [t for t, e in self.waiting.items() if self._together(ask.client, e)]
        assert count == len(others) + len(waiting)
        self.fates["lost"] += count
        self.fates["erased"] += len(inside) - len(others)
        self.entries = [e for e in self.entries if e.owner is not None and not self._together(ask.client, e)]
        self.waiting = {t: e for t, e in self.waiting.items() if t not in waiting}
        self.history = [(owner, v) for owner, v in self.history if not self._together(ask.client, Entry(v, owner))]

    def _saw_Train(self, effect: effects.Train, after: State) -> None:  # noqa: N802
        assert effect.client not in self.fenced | self.erased, "a fenced client was given training"
        assert not any(a.rounds and a.phase in {"working", "healing"} for a in self.asks.values()), "training did not pause"
        assert effect.epoch == self.epochs[effect.client]
        assert not any(t.client == effect.client for t in self.tasks.values()), "a busy client was given training"
        if self.parts > 1:
            own = [e.value * self.parts for e in self.entries if self._together(effect.client, e)]
            assert np.array_equal(vec(effect.base), self.origin + sum(own, np.zeros_like(self.origin))), (
                "not its cluster's model"
            )
        self.tasks[effect.task] = Work("train", effect.client, effect.epoch, self.clock, vec(effect.base))

    def _saw_Unlearn(self, effect: effects.Unlearn, after: State) -> None:  # noqa: N802
        ask = self.asks[effect.request]
        assert effect.client == ask.client
        assert not any(t.client == effect.client for t in self.tasks.values()), "a busy client was asked to unlearn"
        if ask.phase == "scrubbing" and ask.snapshot is None:
            ask.snapshot, ask.since = vec(effect.start), 0
        assert ask.phase != "scrubbing" or np.array_equal(vec(effect.start), ask.snapshot)
        self.tasks[effect.task] = Work("scrub", effect.client, effect.epoch, self.clock, vec(effect.start), effect.request)

    # -- rounds -------------------------------------------------------------------------------------------------------

    @property
    def toy(self) -> bool:
        """Whether the method under test is the one that works in rounds."""
        return self.rules.method.method.name == "toy"

    def check_history(self, state: State) -> None:
        """The history is every update let in, without those of contributors that have been erased."""
        expected = self.history if self.rules.history else []
        assert [p.contributor.partition("@")[0] for p in state.history] == [owner[0] for owner, _ in expected]
        assert all(np.array_equal(vec(p.share), value) for p, (_, value) in zip(state.history, expected, strict=True))

    def _ClientLeft(self, event: events.ClientLeft, fx: Any) -> None:  # noqa: N802
        self.offline.add(event.client)
        for name, ask in self._working():
            if event.client in ask.awaited - ask.needed:
                ask.awaited.discard(event.client)
                self._next_round(name)

    def _ClientReturned(self, event: events.ClientReturned, fx: Any) -> None:  # noqa: N802
        self.offline.discard(event.client)

    def _working(self) -> list[tuple[str, Ask]]:
        return [(name, ask) for name, ask in self.asks.items() if ask.phase == "working"]

    def _begin_anew(self, fenced: str) -> None:
        for name, ask in self._working():
            if fenced in ask.asked_of | {owner[0] for owner in ask.helpers} and ask.client not in self.erased:
                covered = ask.client == fenced and fenced in self.fenced
                if not covered:
                    self._begin_rounds(name)

    def _begin_rounds(self, name: str) -> None:
        ask, options = self.asks[name], self.rules.method.options
        ask.model, ask.done, ask.helpers, self.stopped = self.total(), 0, set(), 0
        if options.procedure.rounds or options.heal:
            self._drop_jobs("guard")
        self._ask_everybody(ask, options.procedure.target)
        self._next_round(name)

    def _ask_everybody(self, ask: Ask, target: bool) -> None:
        procedure = self.rules.method.options.procedure
        ask.failures, ask.answers, ask.needed, ask.awaited = Counter(), [], set(), set()
        if ask.done < procedure.rounds:
            ask.awaited = set(self.epochs) - self.fenced - self.erased - self.offline
            ask.needed = {ask.client} if target else set()
            ask.awaited |= ask.needed | ({""} if procedure.server else set())
        ask.asked_of = set(ask.awaited)

    def _next_round(self, name: str) -> None:
        ask, options = self.asks[name], self.rules.method.options
        while not ask.awaited and ask.done < options.procedure.rounds:
            ask.model = sum(ask.answers, ask.model)
            ask.done += 1
            self._ask_everybody(ask, target=False)
        if not ask.awaited:
            ask.scrubbed = ask.model
            if not options.heal:
                self._release(name, None)

    def _AnswerArrived(self, event: events.AnswerArrived, fx: tuple[Any, ...]) -> None:  # noqa: N802
        work = self.tasks.get(event.task)
        if work is None or work.client != event.client or work.kind != "order":
            assert [type(e) for e in fx] == [effects.Quarantined]
            return
        del self.tasks[event.task]
        assert work.request is not None
        ask = self.asks[work.request]
        if not self._sound(event.delta):
            assert any(isinstance(e, effects.Quarantined) and e.client == event.client for e in fx)
            self._order_failed(work)
            return
        assert event.client in ask.awaited
        ask.awaited.discard(event.client)
        ask.answers.append(vec(event.delta))
        if event.client:
            ask.helpers.add((event.client, work.epoch))
        self._next_round(work.request)

    def _order_failed(self, work: Work) -> None:
        assert work.request is not None
        ask = self.asks[work.request]
        ask.failures[work.client] += 1
        away = work.client in self.offline or ask.failures[work.client] >= ATTEMPTS
        if away and work.client not in ask.needed:
            ask.awaited.discard(work.client)
            self._next_round(work.request)

    def _saw_Perform(self, effect: effects.Perform, after: State) -> None:  # noqa: N802
        ask = self.asks[effect.request]
        assert effect.client in ask.awaited, "somebody was asked who is not part of the round"
        assert np.array_equal(vec(effect.start), ask.model), "the round did not begin with what the last one gave"
        assert effect.client == ask.client or effect.client not in self.fenced | self.erased
        assert effect.client not in self.offline
        assert (effect.target, effect.whole) == (effect.client == ask.client, effect.client == ask.client and ask.whole)
        assert effect.epoch == self.epochs.get(effect.client, 0)
        assert not any(t.client == effect.client for t in self.tasks.values()), "a busy client was given an order"
        self.tasks[effect.task] = Work("order", effect.client, effect.epoch, self.clock, vec(effect.start), effect.request)

    def _drop_jobs(self, purpose: str) -> None:
        self.jobs = {n: j for n, j in self.jobs.items() if not n.startswith(purpose)}

    def _saw_ahead(self, effect: effects.Calibrate, job: Any) -> None:
        gone = frozenset((job.client, e) for e in range(self.epochs[job.client] + 1))
        base = self.total() - sum((e.value for e in self._of(gone)), np.zeros_like(self.origin))
        found, _ = self.ahead.get(job.client, (np.zeros_like(base), None))
        assert np.array_equal(vec(effect.student), base + found), "healing ahead did not begin with what it had found before"
        assert job.client not in self.fenced | self.erased
        assert np.array_equal(vec(effect.teachers[0]), self.total())
        self._drop_jobs("ahead")
        self.jobs[effect.job] = Work(client=job.client, base=base, knew=self.contributors())

    def _found_ahead(self, requests: tuple[str, ...]) -> tuple[Vec, frozenset[Owner]]:
        clients = {self.asks[r].client for r in requests if self.asks[r].scrubbed is None}
        found = [self.ahead[c] for c in clients if c in self.ahead]
        knew = frozenset(o for _, known in found for o in known)
        return sum((delta for delta, _ in found), np.zeros_like(self.origin)), knew

    def _saw_Calibrate(self, effect: effects.Calibrate, after: State) -> None:  # noqa: N802
        if effect.purpose == "ahead":
            if after.ahead is not None and after.ahead.id == effect.job:
                self._saw_ahead(effect, after.ahead)
            return
        job = after.heal if effect.purpose == "heal" else after.guard
        assert job is not None
        if job.id != effect.job:
            return
        knew = self.contributors()
        if effect.purpose == "guard" and effect.teachers:
            knew |= self.asks[job.requests[0]].knew
        for request in job.requests:
            if effect.purpose == "heal":
                self.asks[request].knew = knew
        self._drop_jobs(effect.purpose)
        base = vec(effect.student)
        if effect.purpose == "heal":
            self._drop_jobs("ahead")
            delta, known = self._found_ahead(job.requests)
            base, knew = base - delta, knew | known
        self.jobs[effect.job] = Work(base=base, knew=knew, requests=job.requests)


FATES = (effects.Applied, effects.Buffered, effects.Quarantined)


def outside(value: Vec, direction: Vec | None) -> Vec:
    """``value`` without what points along ``direction``."""
    if direction is None or not np.any(direction):
        return value
    back = float(value @ direction) / float(direction @ direction)
    return value - max(0.0, back) * direction
