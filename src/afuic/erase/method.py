"""What an erasure method is: a plan for one request, made of parts that the protocol knows how to carry out.

A method decides, it does not act. It is asked once per request and answers with a Plan; the protocol, the same for all methods, fences,
hands out the work and releases. A new method is one file with a ``METHOD``, one line in the registry, one page of documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Literal

from pydantic import Field, ValidationError

from afuic.config import Section
from afuic.erase.calibrate import Calibration
from afuic.erase.carriers import Carriers
from afuic.erase.rounds import Procedure
from afuic.erase.scrub import Scrub
from afuic.errors import ConfigError

Merge = Literal["rebase", "replace", "restart", "none"]
Teacher = Literal["snapshot", "average", "ensemble"]
PER_CLIENT = 6


class Guarding(Calibration):
    """Calibration with a guard's defaults: a few careful steps."""

    steps: int = Field(3, ge=1, description="optimizer steps each time the model has changed")
    batch: int = Field(64, ge=2, description="calibration images in a step")
    lr: float = Field(0.0005, gt=0, description="learning rate at the start; it decays to 0 along a cosine")
    gain: float | None = Field(None, gt=0, lt=1, description="share of the gap that a stretch must close; none: make all steps")


class Guard(Section):
    """What keeps the influence from coming back, for ``versions`` aggregation steps after the release (``PER_CLIENT`` per staying client).

    ``calibration`` runs beside the training whenever the model has changed (None: nothing); ``teacher`` False leaves only its consistency;
    ``project`` takes out of each step what points back along C_c; ``server_step`` scales each step while the window is open.
    """

    versions: int | None = Field(None, ge=0, description="aggregation steps; none: six per client that stays; 0: no guard")
    calibration: Guarding | None = Guarding()
    teacher: bool = Field(True, description="distil the model before removal; false: consistency alone")
    project: bool = Field(False, description="take out of each step what points back along C_c")
    server_step: float = Field(1.0, gt=0, le=1, description="factor on each step while the window is open")

    def length(self, clients: int) -> int:
        """Aggregation steps of the window where ``clients`` stay."""
        return PER_CLIENT * clients if self.versions is None else self.versions


@dataclass(frozen=True)
class Ask:
    """What a method may know when it plans: the request's scope, whether the target answers now, whether the server holds images."""

    whole: bool
    reachable: bool
    calibration: bool
    elapsed_s: float


@dataclass(frozen=True)
class Plan:
    """How one request is to be fulfilled.

    merge: ``rebase`` adds the change to whatever the model is by then; ``replace`` overwrites it; ``restart`` begins anew,
    with the client's ``cluster`` alone where that is set; ``none`` releases at once. ``scrub_first``: the release waits for the client;
    otherwise its work refines what was released.
    ``fallback``: the plan when the client has not answered by ``deadline_s``; None: the request fails.
    ``procedure``: training pauses and this decides, round after round, until it has a model, which is then healed (where ``heal`` is
    set) and overwrites the paused one (``merge`` "replace").
    ``omit_untaught``: the server's teachers are not imitated in classes that nobody who stays has ever taught (``untaught``).
    """

    merge: Merge
    remove: bool = False
    answer: bool = True
    heal: Calibration | None = None
    teacher: Teacher = "snapshot"
    scrub: Scrub | None = None
    scrub_first: bool = False
    procedure: Procedure | None = None
    fallback: Plan | None = None
    deadline_s: float = 3600.0
    guard: Guard = Guard(versions=0, calibration=None)
    carriers: Carriers = Carriers()
    restart_s: float = 0.0
    cluster: bool = False
    oracle: bool = False
    omit_untaught: bool = False

    @property
    def directions(self) -> bool:
        """Whether C_c has to be kept as a direction until the guard's window closes."""
        return self.guard.project or self.carriers.policy == "project"

    @property
    def last_models(self) -> bool:
        """Whether it uses what clients last trained: to teach, for θ_ref where a client unlearns, or in its rounds."""
        taught = self.heal is not None and self.teacher == "ensemble"
        return taught or self.scrub is not None or (self.procedure is not None and self.procedure.last_models)

    @property
    def augments(self) -> bool:
        """Whether Φ is part of a calibration of its."""
        return any(c is not None and c.augments for c in (self.heal, self.guard.calibration))


@dataclass(frozen=True)
class Needs:
    """What has to be kept for a method while nobody has asked for anything: contributions, every update, the clients' last models, a
    moving average of the model.
    """

    ledger: bool
    history: bool
    last_models: bool
    average: bool


@dataclass(frozen=True)
class Method:
    """A registered method. ``removes``: it subtracts contributions, so the server's optimizer has to be linear. ``history``: it needs
    every update since the beginning kept; ``pauses``: nobody trains until its release; ``clusters``: its clients train in clusters from the
    beginning, as many as its option ``clusters`` says, so it has a past of its own.
    """

    name: str
    source: str
    summary: str
    needs_target: bool
    removes: bool
    options: type[Section]
    plan: Callable[[Any, Ask], Plan]
    history: bool = False
    pauses: bool = False
    clusters: bool = False

    def configure(self, values: Mapping[str, Any]) -> Configured:
        """This method with checked options; ConfigError names the key."""
        try:
            return Configured(self, self.options.model_validate(dict(values)))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(["options", self.name, *(str(p) for p in first["loc"])])
            what = "unknown key" if first["type"] == "extra_forbidden" else f"{first['msg']} (got {first['input']!r})"
            raise ConfigError(f"{place}: {what}") from None


@dataclass(frozen=True)
class Configured:
    """A method with its options."""

    method: Method
    options: Any

    def plan(self, ask: Ask) -> Plan:
        """The plan for one request."""
        return self.method.plan(self.options, ask)

    @cached_property
    def needs(self) -> Needs:
        """What its plans rest on, whatever may be asked."""
        plans = list(self._plans())
        return Needs(
            ledger=self.method.clusters or any(p.remove or p.directions for p in plans),
            history=self.method.history,
            last_models=any(p.last_models for p in plans),
            average=any(p.heal is not None and p.teacher == "average" for p in plans),
        )

    @property
    def augments(self) -> bool:
        """Whether Φ is part of any calibration that it may plan."""
        return any(plan.augments for plan in self._plans())

    def _plans(self) -> Iterator[Plan]:
        for whole, reachable, calibration in product((True, False), repeat=3):
            plan: Plan | None = self.plan(Ask(whole, reachable, calibration, elapsed_s=0.0))
            while plan is not None:
                yield plan
                plan = plan.fallback
