"""What the core asks an engine to do, and what it states as fact for the record."""

from __future__ import annotations

from dataclasses import dataclass

from afuic.erase.calibrate import Calibration
from afuic.erase.rounds import Job
from afuic.erase.scrub import Scrub
from afuic.params import Params


@dataclass(frozen=True)
class Train:
    """Train at the client from ``base`` on the data of its ``epoch``; ``number`` counts the client's tasks, for the random stream."""

    task: str
    client: str
    base: Params
    epoch: int
    number: int


@dataclass(frozen=True)
class Unlearn:
    """Unlearn at the client from ``start``. ``whole``: all its images are to be forgotten, else those withdrawn by ``epoch``.

    ``client_model`` is the client's last local model (None if it never sent one); ``clients`` is N of θ_ref.
    """

    task: str
    request: str
    client: str
    start: Params
    client_model: Params | None
    clients: int
    whole: bool
    epoch: int
    spec: Scrub


@dataclass(frozen=True)
class Perform:
    """Carry out an order of a method that works in rounds: ``job`` from ``start``, with ``models`` sent along, at the client or, where
    ``client`` is empty, at the server itself. ``target``: its own data are to be erased, all that it still has where ``whole``,
    else what was withdrawn by ``epoch``.
    """

    task: str
    request: str
    client: str
    start: Params
    models: tuple[Params, ...]
    job: Job
    target: bool
    whole: bool
    epoch: int


@dataclass(frozen=True)
class Cancel:
    """Stop this task if you can; its result will not be used."""

    task: str
    client: str


@dataclass(frozen=True)
class Calibrate:
    """Calibrate ``student`` at the server; ``purpose`` is "heal", "guard" or "ahead". The answers of ``teachers`` leave the classes
    ``omitted`` out. ``before``: the model that a released one is to be judged against; None: nothing is released with it.
    """

    job: str
    purpose: str
    student: Params
    teachers: tuple[Params, ...]
    spec: Calibration
    oracle: bool
    omitted: tuple[int, ...] = ()
    before: Params | None = None


@dataclass(frozen=True)
class SetTimer:
    """Send TimerFired for the request after ``after_s`` seconds."""

    request: str
    after_s: float


@dataclass(frozen=True)
class Purge:
    """Delete every durable copy of these models: snapshots, checkpoints and contributions that contain the erased data."""

    request: str
    client: str
    whole: bool


@dataclass(frozen=True)
class Applied:
    """Fact: the update of ``task`` is part of the model; ``staleness`` in aggregation steps."""

    task: str
    client: str
    staleness: int
    carrier: bool


@dataclass(frozen=True)
class Booked:
    """Fact: what a client made of the model by its own unlearning is in it, under ``contributor``; ``norm`` of the change."""

    request: str
    contributor: str
    norm: float


@dataclass(frozen=True)
class Buffered:
    """Fact: the update waits for others to form a step."""

    task: str
    client: str
    staleness: int


@dataclass(frozen=True)
class Quarantined:
    """Fact: the update never entered; its tensors are to be deleted and the reason recorded."""

    task: str
    client: str
    reason: str


@dataclass(frozen=True)
class Lost:
    """Fact: ``count`` updates of retained clients that had been applied, or should have been, are not in the model."""

    request: str | None
    count: int
    reason: str


@dataclass(frozen=True)
class Moved:
    """Fact: the request went from one state to another."""

    request: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True)
class Released:
    """Fact: from ``version`` on the model is without the data of this request."""

    request: str
    version: int


Effect = (
    Train
    | Unlearn
    | Perform
    | Cancel
    | Calibrate
    | SetTimer
    | Purge
    | Applied
    | Booked
    | Buffered
    | Quarantined
    | Lost
    | Moved
    | Released
)
