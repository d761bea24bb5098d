"""A second floor: retrained models at other moments, within five minutes of the one at which methods are compared with them.

Retrained models of one seed share a virtual clock, so that at one moment the same hospital's update came last in all of them, and where
hospitals differ they swing together. Their spread at that moment leaves the swing out. A model that is released at another point of it
is apart from them by that alone; by how much, retrained models themselves show a few minutes later.
"""

from __future__ import annotations

from collections.abc import Iterator

from afuic.bench.document import Case, Curve, Retrained
from afuic.bench.statistics import Summary, summary
from afuic.evaluate.gaps import spread, z

WINDOW_S = 300.0
CURVED = ("accuracy", "forget_accuracy", "forget_loss", "asr_excess")
"""Measures that curves hold."""
SLACK_S = 1e-6


def of_moments(case: Case, phase: str, key: str) -> Summary:
    """Retrained models within 300 virtual seconds after their release, or before their end, each evaluation against all of them at that
    moment. Empty for other phases and for what curves do not hold. Both sides are read from curves, so from the same images.
    """
    found = [pair for s in case.seeds.values() for pair in _gaps(s.retrained, phase, key)] if key in CURVED else []
    return summary([value for value, _ in found], [gap for _, gap in found])


def _gaps(retrained: Retrained, phase: str, key: str) -> Iterator[tuple[float, float | None]]:
    if phase not in {"released", "final"} or len(retrained.curves) != len(retrained.released_t):
        return
    runs = [_points(curve, key, since) for curve, since in zip(retrained.curves, retrained.released_t, strict=True)]
    runs = [points if phase == "released" else points[::-1] for points in runs if points]
    moment = spread([points[0][1] for points in runs])
    for points in runs:
        for t, value in points[1:]:
            if abs(t - points[0][0]) <= WINDOW_S + SLACK_S:
                yield value, z(value, **moment)


def _points(curve: Curve, key: str, since: float) -> list[tuple[float, float]]:
    """Time and value of the evaluations from a moment on."""
    return [(t, v) for t, v in zip(curve.t, getattr(curve, key), strict=True) if v is not None and t >= since - SLACK_S]
