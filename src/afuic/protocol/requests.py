"""The life of an erasure request as a table: which event may move it where. Everything else is illegal and changes nothing.

The diagram in docs/protocol.md is drawn from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from afuic.erase.judgement import Beside
from afuic.erase.ledger import Contributor
from afuic.erase.method import Plan
from afuic.erase.rounds import Round
from afuic.errors import IllegalEvent
from afuic.params import Params
from afuic.scores import Judgement


class Phase(Enum):
    """Where a request stands. The last four are terminal; only a superseded request starts again, if its cover is withdrawn."""

    WAITING = "waiting"
    SCRUBBING = "scrubbing"
    HEALING = "healing"
    REBUILDING = "rebuilding"
    WORKING = "working"
    GUARDING = "guarding"
    PURGING = "purging"
    COMPLETED = "completed"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Whether the request has ended."""
        return self in TERMINAL

    @property
    def pending(self) -> bool:
        """Whether the data is fenced but a model without it is not yet released."""
        return self in PENDING


TERMINAL = frozenset({Phase.COMPLETED, Phase.SUPERSEDED, Phase.WITHDRAWN, Phase.FAILED})
BUSY = frozenset({Phase.SCRUBBING, Phase.HEALING, Phase.REBUILDING, Phase.WORKING})
PENDING = BUSY | {Phase.WAITING}

TABLE: Mapping[tuple[Phase, str], frozenset[Phase]] = {
    (Phase.WAITING, "its turn"): BUSY,
    (Phase.SCRUBBING, "client's result"): frozenset({Phase.HEALING, Phase.GUARDING}),
    (Phase.SCRUBBING, "deadline, fallback"): frozenset({Phase.HEALING, Phase.GUARDING}),
    (Phase.SCRUBBING, "deadline, no fallback"): frozenset({Phase.FAILED}),
    (Phase.HEALING, "calibrated"): frozenset({Phase.GUARDING}),
    (Phase.HEALING, "nothing to calibrate"): frozenset({Phase.GUARDING}),
    (Phase.HEALING, "calibration failed"): frozenset({Phase.GUARDING}),
    (Phase.REBUILDING, "trained long enough"): frozenset({Phase.GUARDING}),
    (Phase.WORKING, "rounds done"): frozenset({Phase.HEALING, Phase.GUARDING}),
    (Phase.WORKING, "rounds failed, fallback"): BUSY,
    (Phase.WORKING, "rounds failed, no fallback"): frozenset({Phase.FAILED}),
    (Phase.GUARDING, "window closed"): frozenset({Phase.PURGING}),
    (Phase.PURGING, "purged"): frozenset({Phase.COMPLETED}),
    (Phase.WAITING, "withdrawn"): frozenset({Phase.WITHDRAWN}),
    (Phase.SCRUBBING, "withdrawn"): frozenset({Phase.WITHDRAWN}),
    (Phase.HEALING, "withdrawn"): frozenset({Phase.WITHDRAWN}),
    (Phase.WORKING, "withdrawn"): frozenset({Phase.WITHDRAWN}),
    (Phase.WAITING, "covered by another"): frozenset({Phase.SUPERSEDED}),
    (Phase.SCRUBBING, "covered by another"): frozenset({Phase.SUPERSEDED}),
    (Phase.HEALING, "covered by another"): frozenset({Phase.SUPERSEDED}),
    (Phase.REBUILDING, "covered by another"): frozenset({Phase.SUPERSEDED}),
    (Phase.WORKING, "covered by another"): frozenset({Phase.SUPERSEDED}),
    (Phase.SUPERSEDED, "cover withdrawn"): PENDING,
}


def allowed(before: Phase, trigger: str, after: Phase) -> None:
    """Raise IllegalEvent unless the table has this move."""
    if after not in TABLE.get((before, trigger), frozenset()):
        raise IllegalEvent(f"a request that is {before.value} cannot become {after.value} on {trigger!r}")


@dataclass(frozen=True)
class Work:
    """The round that a request works in. ``version``: of the model that has been paused.

    open: executors whose answers are missing; answers: by executor; failures: how often an executor's order has failed in this round;
    until: when a needed client that is away is given up; failed: why the rounds cannot go on.
    """

    round: Round
    version: int
    open: tuple[str, ...]
    answers: Mapping[str, Params] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    until: float | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Record:
    """One request and what the core keeps for it. Tensors are dropped when it is purged.

    gone: the contributors to be removed. snapshot: θ when the work on it began; scrubbed: the client's result or the rounds', as a model;
    direction: C_c while it is needed; size: ‖C_c‖. applied_since: retained updates that overwriting the model now would lose.
    heal_steps: steps that healing took; heal_gap: mean KL to its teacher before and after, in nats.
    judgement: of the released model; beside: what was subtracted, beside what stayed. work: its round, while it works in
    rounds; helpers: whoever has answered in one, or has unlearned by itself.
    """

    id: str
    client: str
    patients: int | None
    salted: str | None
    asked_t: float
    phase: Phase
    plan: Plan
    gone: tuple[Contributor, ...]
    epoch: int
    asked_step: int
    snapshot: Params | None = None
    scrubbed: Params | None = None
    direction: Params | None = None
    teachers: tuple[Params, ...] = ()
    taught_by: tuple[Contributor, ...] = ()
    size: float = 0.0
    task: str | None = None
    applied_since: int = 0
    released_t: float | None = None
    released_step: int | None = None
    released_version: int | None = None
    guard_until: int | None = None
    covered_by: str | None = None
    heal_steps: int | None = None
    heal_gap: tuple[float, float] | None = None
    judgement: Judgement | None = None
    beside: Beside | None = None
    work: Work | None = None
    helpers: tuple[Contributor, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def whole(self) -> bool:
        """Whether the whole client is to be erased."""
        return self.patients is None
