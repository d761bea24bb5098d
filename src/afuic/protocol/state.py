"""What the core knows: one immutable value, from which everything it does next follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from afuic.aggregate import Contribution
from afuic.aggregate.server_optimizer import Moments
from afuic.config import Aggregation
from afuic.erase import Configured
from afuic.erase.calibrate import Calibration
from afuic.erase.ledger import Contributor, Ledger, contributor
from afuic.erase.rounds import Past
from afuic.params import Params
from afuic.protocol.requests import Phase, Record


@dataclass(frozen=True)
class Rules:
    """What does not change during a run. ``average`` and ``last_models`` say which teachers have to be kept ready, ``history`` whether
    every update applied is kept. ``clusters``: each client's cluster, where clusters train apart; None: all train one model.

    ``head``: the weight of the network's last linear layer, by name, one row a class; None: it has none.

    ``ahead``: how the server heals ahead of any request, one client after the other, while it has nothing else to do; None: it does not.
    """

    aggregation: Aggregation
    method: Configured
    calibration: bool
    average: bool = False
    last_models: bool = False
    ahead: Calibration | None = None
    history: bool = False
    clusters: Mapping[str, int] | None = None
    head: str | None = None


@dataclass(frozen=True)
class Client:
    """A hospital: whether it answers, its data epoch (bumped when patients withdraw), and whether it is fenced or erased."""

    name: str
    online: bool = True
    epoch: int = 0
    fenced_by: str | None = None
    erased: bool = False
    tasks: int = 0
    applied: int = 0
    last: Params | None = None


@dataclass(frozen=True)
class Task:
    """Work handed to a client, or to the server itself (``client`` empty): "train", "scrub" or, of a method that works in rounds, "order".

    ``base`` is the model it started from; version and aggregation step are those of the federation's model then.
    """

    id: str
    kind: str
    client: str
    epoch: int
    base: Params
    base_version: int
    base_step: int
    request: str | None = None


@dataclass(frozen=True)
class Job:
    """Calibration under way at the server: its result counts as a step away from ``base``.

    For "heal", ``requests`` says for whom, ``begun_t`` when it began and ``again`` whether that was anew, for one that came later; for
    "ahead", ``client`` says for whom, and ``version`` is that of the model it began with.
    """

    id: str
    purpose: str
    requests: tuple[str, ...]
    base: Params
    contained: tuple[Contributor, ...]
    client: str = ""
    version: int = 0
    begun_t: float = 0.0
    again: bool = False


@dataclass(frozen=True)
class Shadow:
    """What healing would add if this client were removed, found ahead of any request with the model of ``version`` as the teacher."""

    delta: Params
    contained: tuple[Contributor, ...]
    version: int


@dataclass(frozen=True)
class State:
    """``version`` counts changes of the model, ``steps`` aggregation steps (staleness is measured in these).

    ``history``: every update that entered the model, if the rules keep it, without those of contributors that have been erased.
    """

    version: int
    steps: int
    model: Params
    ledger: Ledger
    buffer: tuple[Contribution, ...] = ()
    moments: Moments | None = None
    clients: Mapping[str, Client] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    requests: Mapping[str, Record] = field(default_factory=dict)
    heal: Job | None = None
    guard: Job | None = None
    ahead: Job | None = None
    shadows: Mapping[str, Shadow] = field(default_factory=dict)
    guarded_version: int = -1
    jobs: int = 0
    average: Params | None = None
    history: tuple[Past, ...] = ()
    applied: int = 0
    quarantined: int = 0
    lost: int = 0

    def active(self) -> list[Client]:
        """Clients that take part in training, in the order they joined."""
        return [c for c in self.clients.values() if c.fenced_by is None and not c.erased]

    @property
    def paused(self) -> bool:
        """Whether nobody trains: a request works in rounds, or what they gave is being healed."""
        return any(r.plan.procedure is not None for r in self.in_phase(Phase.WORKING, Phase.HEALING))

    def task_of(self, client: str) -> Task | None:
        """The client's task under way, if any."""
        return next((t for t in self.tasks.values() if t.client == client), None)

    def in_phase(self, *phases: Phase) -> list[Record]:
        """Requests in one of these phases, oldest first."""
        return [r for r in self.requests.values() if r.phase in phases]

    def epochs(self, client: str) -> tuple[Contributor, ...]:
        """The contributors a client has been so far, and what it refined after its erasure."""
        return (*(contributor(client, e) for e in range(self.clients[client].epoch + 1)), *self.refined(client))

    def refined(self, client: str) -> tuple[Contributor, ...]:
        """The account after a client's last, where it refined the model that was released without it; else none."""
        after = contributor(client, self.clients[client].epoch + 1)
        return (after,) if after in self.ledger.clients else ()


def initial(origin: Params) -> State:
    """A federation before anybody joined, holding the initial model θ_0."""
    return State(version=0, steps=0, model=origin, ledger=Ledger(origin, {}, {}))
