"""The facts that a certificate states, gathered from what the server knows about a request that has ended.

Rows of the store come as whatever has their fields, so that this layer needs no database. A fact that is missing is None here and "none"
in the certificate: nothing is filled in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from afuic.certify import limits
from afuic.certify.form import How
from afuic.scores import Judgement, Measured

if TYPE_CHECKING:
    from afuic.erase import Configured
    from afuic.erase.ledger import Ledger
    from afuic.erase.method import Plan
    from afuic.protocol.requests import Record


class RequestLike(Protocol):
    """A request as the store has it (``store.rows.RequestRow``). Its reason is never certified: people write names there."""

    @property
    def id(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def patients(self) -> int | None: ...
    @property
    def salted(self) -> str | None: ...
    @property
    def who(self) -> str: ...
    @property
    def asked_at(self) -> float: ...
    @property
    def released_at(self) -> float | None: ...


class VersionLike(Protocol):
    """A version as the store has it (``store.rows.VersionRow``)."""

    @property
    def version(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def contributors(self) -> tuple[str, ...]: ...
    @property
    def taught_by(self) -> tuple[str, ...]: ...


class PurgeLike(Protocol):
    """What a purge did (``store.rows.PurgeReport``)."""

    @property
    def removed(self) -> tuple[str, ...]: ...
    @property
    def removed_bytes(self) -> int: ...
    @property
    def unreachable(self) -> tuple[str, ...]: ...
    @property
    def scanned_at(self) -> float: ...
    @property
    def left(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Verification:
    """The hospital's own scores of the released model, and when they came (seconds since 1970, UTC)."""

    numbers: Measured
    at: float


@dataclass(frozen=True)
class Guarantee:
    """(ε, δ), the noise's σ, and what they rest on."""

    epsilon: float
    delta: float
    sigma: float
    rests_on: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One sum of the ledger: the initial model, a contributor's, or the server's by whom its teachers had learned from."""

    FORMER: ClassVar = ("afuic.certify.form.Entry",)

    kind: Literal["origin", "contributor", "server"]
    names: tuple[str, ...]
    digest: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))


@dataclass(frozen=True)
class Books:
    """The ledger at ``version``, each model in it by its digest."""

    version: int
    entries: tuple[Line, ...]


@dataclass(frozen=True)
class Done:
    """What the protocol did. ``gone``: contributors erased; ``norm``: of what they had put in; ``healing``: steps, gap before and after,
    each None where it was not measured; ``median``: norm of the others' contributions, ``cosine``: the least of what was subtracted to one.
    """

    how: How
    gone: tuple[str, ...]
    norm: float
    steps_removed: bool
    healing: tuple[int, float | None, float | None] | None
    guarantee: Guarantee | None
    notes: tuple[str, ...]
    judgement: Judgement | None = None
    median: float | None = None
    cosine: float | None = None


@dataclass(frozen=True)
class Recorded:
    """The chain of the server's records before the certificate: how many links, and the digest of all of them."""

    links: int
    head: str


@dataclass(frozen=True)
class Facts:
    """All of it. ``number`` and ``previous``: place in the chain; ``covers``: requests that ended with this one; times: seconds since 1970.

    ``quarantined``: the hospital's results refused since the fence; ``lost``: the others' updates that this request cost; ``software``:
    afuic's version.
    """

    federation: str
    agreed: str
    number: int
    previous: str | None
    request: RequestLike
    covers: tuple[str, ...]
    fenced_at: float
    issued_at: float
    before: VersionLike
    after: VersionLike
    books: Books
    method: str
    source: str
    options: Mapping[str, Any]
    done: Done
    quarantined: int
    lost: int
    purge: PurgeLike
    verification: Verification | None
    record: Recorded
    software: str


def books(ledger: Ledger, version: int) -> Books:
    """The ledger's lines with their digests. Reads every model in it once; best taken in the turn that released."""
    from afuic.params import digest  # noqa: PLC0415 - brings torch along, which verifying does not need

    lines = [Line("origin", (), digest(ledger.origin))]
    lines += [Line("contributor", (n,), digest(ledger.clients[n])) for n in sorted(ledger.clients)]
    lines += [Line("server", k, digest(ledger.server[k])) for k in sorted(ledger.server)]
    return Books(version, tuple(lines))


def done(record: Record) -> Done:
    """What became of a request, from the core's own record of it; its tensors are not needed and may be gone."""
    plan, (before, after) = record.plan, record.heal_gap or (None, None)
    healing = None if record.heal_steps is None else (record.heal_steps, _gap(before), _gap(after))
    steps_removed = plan.merge == "restart" or (plan.remove and plan.answer)
    told = Done(how(plan), record.gone, record.size, steps_removed, healing, _guarantee(plan), record.notes, record.judgement)
    if record.beside is None:
        return told
    return replace(told, median=record.beside.median, cosine=min(record.beside.cosines.values(), default=None))


def _gap(nats: float | None) -> float | None:
    """None as well where a model gave no numbers: that must not prevent the certificate."""
    return max(nats, 0.0) if nats is not None and math.isfinite(nats) else None


def how(plan: Plan) -> How:
    """In which way a plan takes influence out of the model."""
    if plan.procedure is not None or plan.merge == "replace":
        return "overwritten"
    if plan.merge == "restart":
        return "restarted"
    if plan.remove:
        return "subtracted"
    return "unlearned at the hospital" if plan.scrub is not None else "nothing"


def method(configured: Configured) -> tuple[str, str, dict[str, Any]]:
    """Name, source and every option."""
    return configured.method.name, configured.method.source, configured.options.model_dump(mode="json")


def _guarantee(plan: Plan) -> Guarantee | None:
    """What the plan that was carried out (not one that it fell back from) claims; nothing once Φ has been shown the trigger."""
    found = getattr(plan.procedure, "guarantee", None)
    if found is None or plan.oracle:
        return None
    return Guarantee(found.epsilon, found.delta, found.sigma, (*(s.strip() for s in found.rests_on.split(";")), limits.SEED))
