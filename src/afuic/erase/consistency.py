"""The consistency of Cai & Zhang (arXiv 2604.26809, Eq. 4) as parts that any method may add: after its unlearning and beside what follows.

Both train the server's model to answer alike on x and Φ(x), with no teacher, so that what they are worth can be told from what the
method does that they are added to.
"""

from __future__ import annotations

from pydantic import Field

from afuic.erase.calibrate import Calibration
from afuic.erase.method import Guard, Guarding

ENDLESS = 100_000
"""Aggregation steps of a guard that no run lives to see the end of: "after every later aggregation" has none."""


class Consistency(Calibration):
    """Calibration with the defaults of the paper's, after unlearning; the number of steps and the rate are ours."""

    steps: int = Field(50, ge=1, description="optimizer steps")
    batch: int = Field(64, ge=2, description="calibration images in a step")
    lr: float = Field(0.0005, gt=0, description="learning rate; it decays to 0 along a cosine")
    gain: float | None = Field(None, gt=0, lt=1, description="share of the gap that a stretch must close; none: make all steps")
    distil: float = Field(0.0, ge=0, description="weight of KL(teacher ‖ student); published: none")
    invariance: float = Field(1.0, ge=0, description="weight of the consistency under Φ")
    turned: bool = Field(False, description="use every image in all its orientations")


class Lasting(Guarding):
    """The same beside the training, whenever the model has changed."""

    distil: float = Field(0.0, ge=0, le=0, description="there is no teacher beside the training")
    invariance: float = Field(1.0, ge=0, description="weight of the consistency under Φ")
    turned: bool = Field(False, description="use every image in all its orientations")


def guarded(lasting: Lasting | None) -> Guard:
    """The guard without a teacher that makes it so, for ever; none: no guard."""
    if lasting is None:
        return Guard(versions=0, calibration=None)
    return Guard(versions=ENDLESS, calibration=Guarding(**lasting.model_dump()), teacher=False)
