"""The deterministic simulator: a virtual clock in front of the protocol; training is real.

An effect becomes an entry in a queue, due when the client or server would be done. A client's result is computed only when it is due, so
that what is cancelled costs nothing and memory holds models, not history; the server's calibration is computed at once, since it ends
by itself and only its result tells when. Order is (time, priority, sequence).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from afuic.engines.fleet import Fleet
from afuic.engines.worker import Worker
from afuic.erase.rounds import SERVER, LocalTraining
from afuic.errors import AfuicError
from afuic.params import Params, nbytes
from afuic.protocol import Rules, State, clusters, step
from afuic.protocol import effects as fx
from afuic.protocol import events as ev
from afuic.protocol.effects import Effect
from afuic.protocol.events import Event
from afuic.store.codec import is_params

FIRST, NORMAL, LAST = 0, 1, 2
Work = fx.Train | fx.Unlearn | fx.Perform | fx.Calibrate


@dataclass(frozen=True)
class Due:
    """Something that happens at time ``t``: an event as it stands, work whose result makes the event, or calibration and its result."""

    t: float
    priority: int
    sequence: int
    event: Event | None
    work: Work | None

    def __lt__(self, other: Due) -> bool:
        return (self.t, self.priority, self.sequence) < (other.t, other.priority, other.sequence)


@dataclass(frozen=True)
class Account:
    """What erasure cost. bytes_moved: sent for unlearning, in rounds or for retraining; bytes_stored: most kept at once for erasure's sake;

    stall_client_s: seconds that retained, reachable clients had no work while an erasure was pending.
    """

    bytes_moved: int = 0
    bytes_stored: int = 0
    server_s: float = 0.0
    stall_client_s: float = 0.0


@dataclass
class World:
    """All that a simulation is at one moment: enough to checkpoint it and to branch from it."""

    state: State
    t: float
    queue: list[Due] = field(default_factory=list)
    sequence: int = 0
    account: Account = Account()


Watch = Callable[[Event, State, State, tuple[Effect, ...]], None]
"""Called after each event with the event, the state before, the state after, and the effects."""


class Simulator:
    """Runs a world under rules. ``watch`` sees every event that the protocol accepted."""

    def __init__(self, rules: Rules, fleet: Fleet, worker: Worker, world: World, watch: Watch) -> None:
        self.rules, self.fleet, self.worker, self.world, self.watch = rules, fleet, worker, world, watch
        self.model_bytes = nbytes(world.state.model)

    def schedule(self, event: Event, priority: int = NORMAL) -> None:
        """Put an event in the queue at its own time."""
        self._push(event.t, priority, event, None)

    def join(self, clients: Iterable[str]) -> None:
        """Every client joins now; its absences from now on are scheduled."""
        now = self.world.t
        for name in clients:
            self.schedule(ev.ClientJoined(now, name), FIRST)
            for begin, end in self.fleet.absences[name]:
                if end > now:
                    self.schedule(ev.ClientLeft(max(begin, now), name), FIRST)
                    if math.isfinite(end):
                        self.schedule(ev.ClientReturned(end, name), FIRST)

    def run_until(self, t: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen that is due by ``t``, or until ``stop`` says so after an event; then the clock shows ``t``."""
        while self.world.queue and self.world.queue[0].t <= t:
            due = heapq.heappop(self.world.queue)
            self._advance(due.t)
            event = self._event(due)
            if event is not None:
                self.happen(event)
            if stop():
                return
        self._advance(t)

    def happen(self, event: Event) -> None:
        """Give the protocol one event and take up its effects."""
        before = self.world.state
        after, effects = step(self.rules, before, event)
        self.world.state = after
        for effect in effects:
            self._take_up(effect)
        self._drop(lambda due: isinstance(due.work, fx.Calibrate) and not wanted(self.world.state, due.work))
        self._weigh_store()
        self.watch(event, before, after, effects)

    def _take_up(self, effect: Effect) -> None:
        now = self.world.t
        if isinstance(effect, fx.Train):
            self._at_client(effect, self._task_images(), effect.number)
        elif isinstance(effect, fx.Unlearn):
            spec = effect.spec
            self._at_client(effect, spec.steps * spec.batch * spec.passes, int(effect.task.rpartition("/")[2]))
        elif isinstance(effect, fx.Perform):
            self._order(effect)
        elif isinstance(effect, fx.Calibrate):
            self._at_server(effect)
        elif isinstance(effect, fx.Cancel) and (effect.client == SERVER or self.fleet.online(effect.client, now)):
            self._drop(lambda due: getattr(due.work, "task", None) == effect.task)
        elif isinstance(effect, fx.SetTimer):
            self.schedule(ev.TimerFired(now + effect.after_s, effect.request), LAST)
        elif isinstance(effect, fx.Purge):
            self.schedule(ev.Purged(now, effect.request), FIRST)

    def _drop(self, condition: Callable[[Due], bool]) -> None:
        """Take back what nobody waits for any more; the server is not charged for what it had not done yet."""
        dropped = [due for due in self.world.queue if condition(due)]
        if dropped:
            self.world.queue = [due for due in self.world.queue if not condition(due)]
            heapq.heapify(self.world.queue)
            left = sum(due.t - self.world.t for due in dropped if _at_the_server(due.work))
            self._count(server_s=-min(left, self.world.account.server_s))

    def _task_images(self) -> float:
        training = self.worker.config.training
        return training.steps * training.batch

    def _order(self, work: fx.Perform) -> None:
        images = passes(self.worker, work)
        if work.client != SERVER:
            self._at_client(work, images, int(work.task.rpartition("/")[2]), 1 + len(work.models))
            return
        seconds = self.fleet.server_s(images)
        self._count(server_s=seconds)
        self._push(self.world.t + seconds, NORMAL, None, work)

    def _at_client(self, work: fx.Train | fx.Unlearn | fx.Perform, images: float, number: int, sent: int = 1) -> None:
        nbytes = self.model_bytes
        t, died = self.fleet.due(work.client, number, self.world.t, images, sent * nbytes, nbytes)
        if not isinstance(work, fx.Train) or clusters.rebuilding(self.rules, self.world.state, work.client):
            self._count(bytes_moved=(sent + 1) * nbytes)
        if not math.isfinite(t):
            return
        failed = ev.TaskFailed(t, work.task, work.client, "the client's process died") if died else None
        self._push(t, NORMAL, failed, None if failed else work)

    def _at_server(self, job: fx.Calibrate) -> None:
        event = result(self.worker, self.world.state, self.world.t, job)
        if event is None:
            return
        steps = event.steps if isinstance(event, ev.CalibrationDone) else job.spec.steps
        images = len(self.worker.federation.calibration)
        seconds = self.fleet.server_s(job.spec.passes(images, len(job.teachers), steps))
        self._count(server_s=seconds)
        t = self.world.t + seconds
        self._push(t, NORMAL, replace(event, t=t), job)

    def _event(self, due: Due) -> Event | None:
        return (
            due.event if due.work is None or due.event is not None else result(self.worker, self.world.state, due.t, due.work)
        )

    def _push(self, t: float, priority: int, event: Event | None, work: Any) -> None:
        heapq.heappush(self.world.queue, Due(t, priority, self.world.sequence, event, work))
        self.world.sequence += 1

    def _advance(self, t: float) -> None:
        if any(r.phase.pending for r in self.world.state.requests.values()):
            busy = {task.client for task in self.world.state.tasks.values()}
            idle = sum(c.online and c.name not in busy for c in self.world.state.active())
            self._count(stall_client_s=idle * (t - self.world.t))
        self.world.t = t

    def _count(self, **more: float) -> None:
        account = self.world.account
        self.world.account = replace(account, **{k: getattr(account, k) + v for k, v in more.items()})

    def _weigh_store(self) -> None:
        held = stored_models(self.world.state, self.rules) * self.model_bytes
        if held > self.world.account.bytes_stored:
            self.world.account = replace(self.world.account, bytes_stored=held)


def stored_models(state: State, rules: Rules) -> int:
    """Models kept for erasure's sake, as far as the rules' method uses them: ledger, history, clients' last models, average and what was
    healed ahead, which a shared past may hold for others alone; snapshots, teachers, directions, what rounds remember and were answered.
    """
    needs = rules.method.needs
    kept: list[Params | None] = [*state.ledger.clients.values(), *state.ledger.server.values()] if needs.ledger else []
    kept += [c.last for c in state.clients.values()] if needs.last_models else []
    kept += [past.share for past in state.history] if needs.history else []
    kept += [state.average] if needs.average else []
    kept += [shadow.delta for shadow in state.shadows.values()] if rules.ahead is not None else []
    for r in state.requests.values():
        kept += [r.snapshot, r.scrubbed, r.direction, *r.teachers]
    for work in (r.work for r in state.requests.values() if r.work is not None):
        kept += [*work.answers.values(), work.round.model, *_models(work.round.memory)]
    return len({id(m) for m in kept if m is not None})


def _models(value: Any) -> Iterator[Params]:
    """The models in what a procedure remembers."""
    if is_params(value):
        yield value
    elif is_dataclass(value):
        yield from _models(tuple(getattr(value, f.name) for f in fields(value)))
    elif isinstance(value, Mapping | tuple | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _models(part)


def _at_the_server(work: Work | None) -> bool:
    return isinstance(work, fx.Calibrate) or (isinstance(work, fx.Perform) and work.client == SERVER)


def passes(worker: Worker, work: fx.Perform) -> float:
    """Image passes that an order takes its executor; the federation's own training takes the federation's settings."""
    job, training = work.job, worker.config.training
    if isinstance(job, LocalTraining):
        job = job.model_copy(update={"batch": training.batch, "usual": training.steps})
    return job.spent(worker.site(work), work.start, work.models, worker.performing(work))


def wanted(state: State, job: fx.Calibrate) -> bool:
    """Whether the core still waits for this calibration; if not, it need not be computed and its teachers need not be kept."""
    return job.job in {j.id for j in (state.heal, state.guard, state.ahead) if j is not None}


def result(worker: Worker, state: State, t: float, work: Work) -> Event | None:
    """The event that the work ends in; None when the core has meanwhile given it up, so that it need not be computed."""
    return None if isinstance(work, fx.Calibrate) and not wanted(state, work) else computed(worker, t, work)


def computed(worker: Worker, t: float, work: Work) -> Event:
    """The event that the work ends in, whoever waits for it."""
    if isinstance(work, fx.Calibrate):
        return _calibrated(worker, t, work)
    if isinstance(work, fx.Perform):
        return _answer(worker, t, work)
    if isinstance(work, fx.Unlearn):
        return ev.ScrubArrived(t, work.task, work.client, worker.unlearn(work))
    return ev.UpdateArrived(t, work.task, work.client, worker.train(work))


def _calibrated(worker: Worker, t: float, work: fx.Calibrate) -> Event:
    try:
        done = worker.calibrate(work)
        judgement = None if work.before is None else worker.judge(work.before, done.model)
        return ev.CalibrationDone(t, work.job, done.model, done.steps, done.gap, judgement)
    except AfuicError as error:
        return ev.CalibrationFailed(t, work.job, str(error))


def _answer(worker: Worker, t: float, work: fx.Perform) -> Event:
    try:
        return ev.AnswerArrived(t, work.task, work.client, worker.perform(work))
    except AfuicError as error:
        return ev.TaskFailed(t, work.task, work.client, str(error))
