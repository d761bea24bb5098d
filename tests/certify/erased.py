"""A request that has ended, as the store's rows and the core's record tell it: what the tests certify."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from afuic.certify import envelope
from afuic.certify.facts import Books, Done, Facts, Guarantee, Line, Recorded, Verification
from afuic.certify.limits import RESTS_ON
from afuic.certify.statement import statement
from afuic.params import digest
from afuic.scores import Judgement, Measured
from afuic.store.rows import PurgeReport, RequestRow, VersionRow

BEFORE = {"w": torch.tensor([4.0, 3.0]), "b": torch.tensor([0.5])}
RELEASED = {"w": torch.tensor([3.0, 1.0]), "b": torch.tensor([0.25])}
ASKED = 1_790_000_000.0


def hashed(n: int) -> str:
    """A digest of nothing in particular."""
    return f"sha256:{n:064x}"


REQUEST = RequestRow(
    id="r-7f3a",
    client="hospital-1",
    patients=None,
    salted=None,
    reason="Mrs Example asked for it",
    who="hospital:hospital-1",
    asked_at=ASKED,
    phase="purging",
    version_before=41,
    released_version=42,
    released_at=ASKED + 65,
)


def row(version: int, model: Any, contributors: tuple[str, ...], taught_by: tuple[str, ...] = ()) -> VersionRow:
    """A version that is the sum of these contributors, with steps of the server's that those taught."""
    return VersionRow(version, version, 10.0 * version, ASKED, digest(model), contributors, taught_by, "update", True)


BOOKS = Books(
    42,
    (
        Line("origin", (), hashed(1)),
        Line("contributor", ("hospital-2@0",), hashed(2)),
        Line("server", ("hospital-1@0", "hospital-2@0"), hashed(3)),
    ),
)
JUDGED = Judgement(0.0625, "light square, top left", 0.03125, 0.0625)
DONE = Done("subtracted", ("hospital-1@0",), 2.5, True, (150, 0.75, 0.0625), None, (), JUDGED, 2.0, -0.25)
ALONE: Any = {"healing": None, "judgement": None, "median": None, "cosine": None}
"""Of a removal after which nothing was calibrated or set beside what stays."""
PURGE = PurgeReport("r-7f3a", (hashed(9), hashed(8)), 4096, ("base of an open task",), ASKED + 200)
SCORES: Measured = {
    "forget_loss": 1.5,
    "forget_accuracy": 0.5,
    "membership_auc": 0.53,
    "forget_images": 240,
    "held_out_images": 60,
}
GUARANTEE = Guarantee(1.0, 0.01, 0.025, RESTS_ON["sifu"])

FACTS = Facts(
    federation="eyes",
    agreed=hashed(5),
    number=0,
    previous=None,
    request=REQUEST,
    covers=("r-12", "r-13"),
    fenced_at=ASKED + 1,
    issued_at=ASKED + 300,
    before=row(41, BEFORE, ("hospital-1@0", "hospital-2@0")),
    after=row(42, RELEASED, ("hospital-2@0",), ("hospital-1@0", "hospital-2@0")),
    books=BOOKS,
    method="afuic",
    source="this project",
    options={"heal": {"lr": 1e-05, "steps": 1000}, "client": None},
    done=DONE,
    quarantined=1,
    lost=0,
    purge=PURGE,
    verification=Verification(SCORES, ASKED + 90),
    record=Recorded(77, hashed(77)),
    software="0.1.0",
)


FORMAL = replace(
    FACTS,
    method="sifu",
    options={"epsilon": 1.0, "delta": 0.01, "sigma": 0.025},
    done=replace(DONE, how="overwritten", steps_removed=False, guarantee=GUARANTEE, median=None, cosine=None),
)


def patients(facts: Facts) -> Facts:
    """The same for three patients of the hospital."""
    return replace(facts, covers=(), request=replace(REQUEST, patients=3, salted=hashed(77)))


def signed(key: Path, count: int = 1) -> list[str]:
    """A chain of so many certificates."""
    made: list[str] = []
    for number in range(count):
        previous = envelope.digest(made[-1]) if made else None
        record = replace(FACTS.record, links=FACTS.record.links + number)
        facts = replace(FACTS, number=number, previous=previous, issued_at=FACTS.issued_at + number, record=record)
        made.append(envelope.sign(statement(facts), key))
    return made
