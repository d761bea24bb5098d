"""The last five minutes of a run: at one moment accuracy says as much about whose update came last as about the model.

Worked out from the curves, so that documents written before there was this measure have it too.
"""

from __future__ import annotations

from statistics import fmean

from afuic.bench.document import Arm, Curve, Retrained
from afuic.bench.measures import CURVED, LATE_S
from afuic.evaluate.gaps import spread, z

LATE = "late"
"""The phase: means over the evaluations in the last 300 virtual seconds, from the release on."""
SLACK_S = 1e-5
"""Curves are written with five decimals."""


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


def gap(value: float | None, retrained: Retrained, key: str) -> float | None:
    """z of a row's mean against those of the retrained models."""
    return z(value, **spread([v for v in of_models(retrained, key) if v is not None]))


def left_out(retrained: Retrained, key: str) -> tuple[float | None, ...]:
    """z of each retrained model's mean against those of the others."""
    every = of_models(retrained, key)
    others = [[v for j, v in enumerate(every) if j != i and v is not None] for i in range(len(every))]
    return tuple(z(value, **spread(rest)) for value, rest in zip(every, others, strict=True))


def points(curve: Curve, key: str, since: float) -> list[tuple[float, float]]:
    """Time and value of the evaluations from a moment on."""
    return [(t, v) for t, v in zip(curve.t, getattr(curve, key), strict=True) if v is not None and t >= since - SLACK_S]


def _mean(curve: Curve, since: float, key: str) -> float | None:
    known = points(curve, key, max(since, curve.t[-1] - LATE_S)) if key in CURVED and curve.t else []
    return fmean(v for _, v in known) if known else None
