"""The last five minutes of a run: at one moment accuracy says as much about whose update came last as about the model.

Worked out from the curves, so that documents written before there was this measure have it too.
"""

from __future__ import annotations

from statistics import fmean

from afuic.bench.document import Arm, Curve, Retrained
from afuic.bench.measures import CURVED, LATE_S
from afuic.evaluate.gaps import SLACK_S

LATE = "late"
"""The phase: means over the evaluations in the last 300 virtual seconds, from the release on."""


def of_arm(arm: Arm, key: str) -> float | None:
    """A row's mean; None where it released nothing or diverged, or where curves do not hold the measure."""
    if arm.outcome != "released" or arm.curve is None or arm.released_t is None:
        return None
    return _mean(arm.curve, arm.released_t, key)


def of_models(retrained: Retrained, key: str) -> tuple[float | None, ...]:
    """The same of each retrained model; nothing where it was not noted when each was released."""
    if len(retrained.curves) != len(retrained.released_t):
        return ()
    return tuple(_mean(curve, since, key) for curve, since in zip(retrained.curves, retrained.released_t, strict=True))


def points(curve: Curve, key: str, since: float) -> list[tuple[float, float]]:
    """Time and value of the evaluations from a moment on."""
    return [(t, v) for t, v in zip(curve.t, getattr(curve, key), strict=True) if v is not None and t >= since - SLACK_S]


def _mean(curve: Curve, since: float, key: str) -> float | None:
    known = points(curve, key, max(since, curve.t[-1] - LATE_S)) if key in CURVED and curve.t else []
    return fmean(v for _, v in known) if known else None
