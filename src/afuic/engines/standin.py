"""A transport whose hospitals are in this process: they really train, and fail, come late or answer twice as a seed says.

For tests and for measuring the server's loop alone, without an engine between. What a hospital has been given and has not been told to be
durable lies in a folder, as at a real one, so that a killed server process finds its hospitals where they were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from afuic.engines.hospital.watermark import Highest
from afuic.engines.live.messages import Answer, Task, Verify, pack_answer, unpack_task
from afuic.engines.live.transport import Reply
from afuic.engines.simulator import computed
from afuic.engines.worker import Worker
from afuic.errors import AfuicError, TaskRefused
from afuic.params import Params
from afuic.rng import stream
from afuic.scores import Measured
from afuic.store.files import write_bytes

Groups = Mapping[str, tuple[str, ...]]
"""Patients by the salted digest under which they were withdrawn; what only hospitals know."""
Perform = Callable[[Task], Answer]
Spoil = Callable[[Reply], Reply]


@dataclass(frozen=True)
class Habits:
    """How a hospital behaves. ``work_s``: seconds for a task; ``away``: when it cannot be reached, as [from, to) in seconds of the clock;

    twice, lost, dies: shares of replies that come twice, never come, or are a failure instead; late_s: how much later the second comes.
    """

    work_s: float = 0.05
    away: tuple[tuple[float, float], ...] = ()
    twice: float = 0.0
    lost: float = 0.0
    dies: float = 0.0
    late_s: float = 0.2


@dataclass(frozen=True)
class _Due:
    t: float
    client: str
    task: str
    attempt: int
    repeats: bool = False


@dataclass
class StandIn:
    """Hospitals by name, with their habits. ``now``: the driver's clock; ``perform`` does a task; ``spoil`` may change any reply.

    ``told``: called with a hospital and the tasks that the server says are durable; ``gone``: whether one is away beyond its habits.
    """

    hospitals: Mapping[str, Habits]
    perform: Perform
    now: Callable[[], float]
    folder: Path
    seed: int = 0
    spoil: Spoil = lambda reply: reply
    told: Callable[[str, tuple[str, ...]], None] = lambda client, tasks: None
    gone: Callable[[str], bool] = lambda client: False
    _due: list[_Due] = field(default_factory=list)
    _attempts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hospitals go on with what they were given before."""
        for path in sorted(self.folder.glob("*/*.json")):
            client, task = path.parent.name, json.loads(path.read_text())["task"]
            self._begin(client, task)

    def present(self) -> frozenset[str]:
        """Hospitals that are not away."""
        return frozenset(name for name in self.hospitals if not self._away(name, self.now()))

    def send(self, client: str, task: str, document: bytes, tensors: bytes) -> None:
        """Give a hospital a task; it keeps it until its result is known to be durable."""
        self._receive(client, unpack_task(document, tensors))
        place = self._place(client, task)
        write_bytes(place.with_suffix(".safetensors"), tensors)
        write_bytes(place.with_suffix(".json"), json.dumps({"task": task, "document": document.decode()}).encode())
        self._begin(client, task)

    def receive(self) -> list[Reply]:
        """Whatever has become due."""
        t = self.now()
        ready = [due for due in self._due if due.t <= t and not self._away(due.client, t)]
        self._due = [due for due in self._due if due not in ready]
        return [reply for due in sorted(ready, key=lambda d: d.t) for reply in self._replies(due)]

    def forget(self, client: str, task: str) -> None:
        """A hospital is not told: it goes on, and its late reply comes."""

    def traces(self, pieces: Sequence[bytes]) -> tuple[str, ...]:
        """Nothing passes through a file here."""
        return ()

    def _begin(self, client: str, task: str) -> None:
        attempt = self._attempts[task] = self._attempts.get(task, 0) + 1
        busy = max((due.t for due in self._due if due.client == client), default=self.now())
        begun = max(busy, self.now())
        self._due.append(
            _Due(begun + self.hospitals[client].work_s * self._share(task, "speed", attempt, 0.5), client, task, attempt)
        )

    def _replies(self, due: _Due) -> list[Reply]:
        habits, place = self.hospitals[due.client], self._place(due.client, due.task).with_suffix(".json")
        if not place.exists() or self._happens(due, "lost", habits.lost):
            return []
        if self._happens(due, "twice", habits.twice) and not due.repeats:
            self._due.append(replace(due, t=due.t + habits.late_s, repeats=True))
        if self._happens(due, "dies", habits.dies):
            return [Reply(due.task, due.client, failure="the client's process died")]
        return [self.spoil(self._answer(due.client, due.task, place))]

    def _answer(self, client: str, task: str, place: Path) -> Reply:
        document = json.loads(place.read_text())["document"].encode()
        asked = unpack_task(document, place.with_suffix(".safetensors").read_bytes())
        highest = Highest(self.folder / client / "watermark")
        before = highest.read()
        try:
            highest.rise(asked.watermark, before)
            answer = self.perform(asked)
        except TaskRefused as refusal:
            answer = Answer(task, failed=str(refusal))
        return Reply(task, client, *pack_answer(replace(answer, seen=before)))

    def _receive(self, client: str, task: Task) -> None:
        """Delete what is durable at the server."""
        for name in task.received:
            for suffix in (".json", ".safetensors"):
                self._place(client, name).with_suffix(suffix).unlink(missing_ok=True)
        self.told(client, task.received)

    def _place(self, client: str, task: str) -> Path:
        return self.folder / client / hashlib.sha256(task.encode()).hexdigest()[:20]

    def _away(self, client: str, t: float) -> bool:
        return self.gone(client) or any(begin <= t < end for begin, end in self.hospitals[client].away)

    def _happens(self, due: _Due, what: str, share: float) -> bool:
        return share > 0 and float(stream(self.seed, what, due.task, due.attempt).random()) < share

    def _share(self, task: str, what: str, attempt: int, spread: float) -> float:
        return 1.0 + spread * (float(stream(self.seed, what, task, attempt).random()) - 0.5)


def performing(worker: Worker, groups: Groups) -> Perform:
    """Hospitals that do their tasks with ``worker``, which has the images of them all, and resolve withdrawn groups by ``groups``."""

    def perform(task: Task) -> Answer:
        work = task.assignment
        if isinstance(work, Verify):
            return Answer(work.task, numbers=_scores(worker, work))
        own = replace(worker, patients={**worker.patients, work.client: tuple(groups.get(name, ()) for name in task.withdrawn)})
        try:
            return Answer(work.task, _delta(own, work))
        except AfuicError as error:
            return Answer(work.task, failed=str(error))

    return perform


def _delta(worker: Worker, work: object) -> Params:
    event = computed(worker, 0.0, work)  # type: ignore[arg-type]
    delta = getattr(event, "delta", None)
    if delta is None:
        raise AfuicError(getattr(event, "reason", "no result"))
    return delta  # type: ignore[no-any-return]


def _scores(worker: Worker, work: Verify) -> Measured:
    data = worker.federation.clients[work.client]
    found = worker.network.logits(work.model, data.images).argmax(dim=1)
    return {"forget_accuracy": float((found == data.labels).float().mean())}


def habits(names: Iterable[str], slowest: float = 10.0, **common: float) -> dict[str, Habits]:
    """Hospitals alike but for the last, which takes ``slowest`` times as long."""
    listed = tuple(names)
    plain = Habits(**common)  # type: ignore[arg-type]
    return dict.fromkeys(listed[:-1], plain) | {listed[-1]: replace(plain, work_s=slowest * plain.work_s)}
