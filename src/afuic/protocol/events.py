"""What can happen to a federation. An engine turns the world into these; nothing else ever reaches the core.

Every event carries the engine's time ``t`` in seconds, as data: the core compares and subtracts times, it never asks for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from afuic.params import Params
from afuic.scores import Judgement


@dataclass(frozen=True)
class ClientJoined:
    """A hospital takes part for the first time."""

    t: float
    client: str


@dataclass(frozen=True)
class ClientLeft:
    """A hospital can no longer be reached; what it was doing may still arrive."""

    t: float
    client: str


@dataclass(frozen=True)
class ClientReturned:
    """A hospital can be reached again."""

    t: float
    client: str


@dataclass(frozen=True)
class UpdateArrived:
    """A training task's result: ``delta`` = trained − base, same names and shapes as the model."""

    t: float
    task: str
    client: str
    delta: Params


@dataclass(frozen=True)
class ScrubArrived:
    """A client's unlearning result: ``delta`` = unlearned − start."""

    t: float
    task: str
    client: str
    delta: Params


@dataclass(frozen=True)
class AnswerArrived:
    """The answer to an order, by its client or, where ``client`` is empty, by the server: ``delta`` = result − start."""

    t: float
    task: str
    client: str
    delta: Params


@dataclass(frozen=True)
class TaskFailed:
    """A task ended without a result."""

    t: float
    task: str
    client: str
    reason: str


@dataclass(frozen=True)
class EraseRequested:
    """An erasure is asked for. ``patients``: how many of the client's, None for the whole client; ``salted``: digest of their ids."""

    t: float
    request: str
    client: str
    patients: int | None = None
    salted: str | None = None


@dataclass(frozen=True)
class RequestWithdrawn:
    """The request is taken back; possible until the release."""

    t: float
    request: str


@dataclass(frozen=True)
class CalibrationDone:
    """The server's calibration ``job`` gave ``model`` in ``steps`` steps; ``gap``: mean KL to the teacher before and after, in nats;
    ``judgement``: of what it would release.
    """

    t: float
    job: str
    model: Params
    steps: int = 0
    gap: tuple[float, float] | None = None
    judgement: Judgement | None = None


@dataclass(frozen=True)
class CalibrationFailed:
    """The server's calibration ``job`` ended without a usable model."""

    t: float
    job: str
    reason: str


@dataclass(frozen=True)
class TimerFired:
    """The time asked for with SetTimer for this request has passed."""

    t: float
    request: str


@dataclass(frozen=True)
class Purged:
    """Everything that the Purge effect named is gone."""

    t: float
    request: str


Event = (
    ClientJoined
    | ClientLeft
    | ClientReturned
    | UpdateArrived
    | ScrubArrived
    | AnswerArrived
    | TaskFailed
    | EraseRequested
    | RequestWithdrawn
    | CalibrationDone
    | CalibrationFailed
    | TimerFired
    | Purged
)
