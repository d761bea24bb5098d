"""What the store says about a federation, as plain values: what the API shows, what a certificate is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from afuic.scores import Measured


@dataclass(frozen=True)
class Command:
    """Something asked of the server through the API, durable before it is acknowledged. ``kind``: "erase" or "withdraw".

    ``key``: the asker's own, so that asking twice is asking once; ``request``: the erasure's id. ``outcome``: None while the server has not
    taken it up, then "taken", or "refused: " and why. Times are seconds since 1970, UTC.
    """

    id: int
    kind: str
    request: str
    client: str
    patients: int | None
    salted: str | None
    reason: str
    who: str
    key: str
    asked_at: float
    outcome: str | None = None


@dataclass(frozen=True)
class RequestRow:
    """An erasure request and how far it is; ``phase`` is "asked" until the server has taken it up, "refused" where it could not.

    ``version_before``: the model's version when it was fenced, from the release on the last one before that. ``history``: its moves, each
    with seq, t, at, before, after and reason. ``uncertified``: why it has ended but has no certificate; None where that is not so.

    ``beside``: norm of what was subtracted, median norm of the others' contributions, cosines to each of them, and ``against`` whom it
    points; ``judgement``: divergence, probe, before, after and ``jump`` of the released model (``afuic.erase.judgement``).
    """

    id: str
    client: str
    patients: int | None
    salted: str | None
    reason: str
    who: str
    asked_at: float
    phase: str
    notes: tuple[str, ...] = ()
    version_before: int | None = None
    released_version: int | None = None
    released_at: float | None = None
    completed_at: float | None = None
    uncertified: str | None = None
    beside: dict[str, Any] | None = None
    judgement: dict[str, Any] | None = None
    history: tuple[dict[str, Any], ...] = ()

    @property
    def doubtful(self) -> bool:
        """Whether the operator should look at the release, and at who stays."""
        return bool((self.judgement or {}).get("jump") or (self.beside or {}).get("against"))


@dataclass(frozen=True)
class VersionRow:
    """A version of the global model. ``contributors`` (``client@epoch``): whoever is in the sum that it is; ``taught_by``: whoever the
    teachers of the server's steps in it had learned from, which says nothing of a contribution's being there. ``other_contributors`` and
    ``other_taught_by``: hospitals that are counted and not named, because another one reads this row.

    ``kept``: whether its tensors are still there; ``why``: what made it ("update", "heal", "guard", "release", …).
    """

    version: int
    step: int
    t: float
    at: float
    digest: str
    contributors: tuple[str, ...]
    taught_by: tuple[str, ...]
    why: str
    kept: bool
    pinned_by: tuple[str, ...] = ()
    other_contributors: int = 0
    other_taught_by: int = 0


@dataclass(frozen=True)
class ClientRow:
    """A hospital as the server sees it. ``staleness``: mean of its last updates, in aggregation steps; ``last_at``: of the last one.

    ``failures``: its tasks that have failed since its last result; ``failed_at`` and ``failure``: when and why the last one did, in the
    hospital's own words or in those of the gate. ``state``: "erased", "fenced", "away", "failing" (3 failures or more), else "online".
    """

    name: str
    online: bool
    epoch: int
    fenced_by: str | None
    erased: bool
    applied: int
    task: str | None
    staleness: float | None
    last_at: float | None
    failures: int = 0
    failed_at: float | None = None
    failure: str | None = None
    state: str = "online"


@dataclass(frozen=True)
class MeasureRow:
    """How a version fared on images of the server's own. ``loss`` (nats) and ``accuracy``: on its labelled validation images;

    ``change``: mean KL divergence (nats) on its calibration images from the version measured before. None: not measured.
    """

    version: int
    at: float
    loss: float | None
    accuracy: float | None
    change: float | None


@dataclass(frozen=True)
class Head:
    """How many links the record's chain has (``store.chain``), and the head of the last."""

    links: int
    head: str


NOTHING = Head(0, "sha256:" + "0" * 64)


@dataclass(frozen=True)
class Watermark:
    """How far a store has come: how often it was ``restored``, its record's newest link, the ids of all ``requests`` that it knows.

    It only grows, in each of these; a store that shows less has been set back. ``seal``: by which the store knows that it said so itself.
    """

    restored: int
    links: int
    head: str
    requests: tuple[str, ...] = ()
    seal: str = ""


@dataclass(frozen=True)
class ProcessRow:
    """A process of the server's machine, as its supervisor told last: its stage for so many ``seconds``, and in its own words why.

    ``stage``: waiting, starting, ready, silent (it runs, but does not do its work), done or failed; ``failures``: in a row.
    """

    name: str
    stage: str
    seconds: float
    starts: int
    failures: int
    why: str


def processes(lives: Any, now: float) -> tuple[ProcessRow, ...]:
    """From what a supervisor tells (``settings.PROCESSES``) at ``now`` of this machine's monotonic clock; nothing of anything else."""
    try:
        return tuple(
            ProcessRow(name, life["stage"], max(0.0, now - life["since"]), life["starts"], life["failures"], life["why"])
            for name, life in lives.items()
        )
    except (AttributeError, KeyError, TypeError):
        return ()


@dataclass(frozen=True)
class Status:
    """The federation at a glance. ``identity_gap``: how far θ is from θ_0 + ΣC_k + S, relative (rounding: below 1e-4).

    ``uncertified``: requests that have ended and could not be certified, each with the reason. ``doubtful``: requests whose release is a
    jump from the model before, or subtracted what points against a contribution that stays.
    ``record``: the newest link of the record's chain; ``halted``: why no work is handed out; ``fault``: what the last check found, which
    ended at ``checked_at``. ``measures``: the newest, oldest first.
    """

    federation: str
    version: int
    step: int
    t: float
    events: int
    applied: int
    quarantined: int
    lost: int
    identity_gap: float
    store_bytes: int
    free_bytes: int
    heartbeat_at: float | None
    clients: tuple[ClientRow, ...]
    pending: tuple[str, ...]
    uncertified: dict[str, str] = field(default_factory=dict)
    doubtful: tuple[str, ...] = ()
    record: Head = NOTHING
    halted: str | None = None
    checked_at: float | None = None
    fault: str | None = None
    processes: tuple[ProcessRow, ...] = ()
    measures: tuple[MeasureRow, ...] = ()


@dataclass(frozen=True)
class CertificateRow:
    """A certificate: its place in the chain (from 0), request, the DSSE envelope as JSON text, and the SHA-256 of that text."""

    number: int
    request: str
    envelope: str
    digest: str
    issued_at: float


@dataclass(frozen=True)
class VerificationRow:
    """How the verification of a released model ended: the hospital's ``numbers``, or ``why`` there are none."""

    client: str
    numbers: Measured
    at: float
    why: str = ""


@dataclass(frozen=True)
class UncertifiedRow:
    """A request that has ended and could not be certified: the reason, how often it was tried, and when last."""

    request: str
    why: str
    tries: int
    at: float


@dataclass(frozen=True)
class PurgeReport:
    """What a purge removed and what it could not reach: digests of tensors, and places with the reason."""

    request: str
    removed: tuple[str, ...]
    removed_bytes: int
    unreachable: tuple[str, ...]
    scanned_at: float
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tip:
    """Where the store stands after its last event: its number (0: none yet), the engine's time then, and the model's digest."""

    seq: int
    t: float
    version: int
    digest: str


@dataclass(frozen=True)
class ContributionRow:
    """An update that entered. ``version``: the first that contains it, None while it waits in a buffer; ``norm``: as the update came."""

    task: str
    client: str
    epoch: int
    at: float
    staleness: int
    norm: float
    base_version: int
    carrier: bool
    version: int | None


@dataclass(frozen=True)
class QuarantineRow:
    """A result that never entered, and why. ``event``: the number of its event, None where it was held before it became one."""

    task: str
    client: str
    reason: str
    digest: str | None
    norm: float | None
    at: float
    event: int | None


@dataclass(frozen=True)
class AuditRow:
    """One line of the record of who did what through the API. ``id``: its number, which grows with time."""

    id: int
    at: float
    who: str
    role: str
    action: str
    subject: str
    outcome: str
