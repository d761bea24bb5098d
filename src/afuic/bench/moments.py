"""A second floor: retrained models at other moments, within five minutes of the one at which methods are compared with them.

Retrained models of one seed share a virtual clock, so that at one moment the same hospital's update came last in all of them, and where
hospitals differ they swing together. Their spread at that moment leaves the swing out. A model that is released at another point of it
is apart from them by that alone; by how much, retrained models themselves show a few minutes later.
"""

from __future__ import annotations

from collections.abc import Iterator

from afuic.bench.document import Case, Retrained
from afuic.bench.late import SLACK_S, points
from afuic.bench.measures import CURVED, LATE_S
from afuic.bench.statistics import Summary, summary
from afuic.evaluate.gaps import spread, z


def of_moments(case: Case, phase: str, key: str) -> Summary:
    """Retrained models within 300 virtual seconds after their release, or before their end, each evaluation against all of them at that
    moment. Empty for other phases and for what curves do not hold. Both sides are read from curves, so from the same images.
    """
    found = [pair for s in case.seeds.values() for pair in _gaps(s.retrained, phase, key)] if key in CURVED else []
    return summary([value for value, _ in found], [gap for _, gap in found])


def _gaps(retrained: Retrained, phase: str, key: str) -> Iterator[tuple[float, float | None]]:
    if phase not in {"released", "final"} or len(retrained.curves) != len(retrained.released_t):
        return
    every = [points(curve, key, since) for curve, since in zip(retrained.curves, retrained.released_t, strict=True)]
    runs = [one if phase == "released" else one[::-1] for one in every if one]
    moment = spread([one[0][1] for one in runs])
    for one in runs:
        for t, value in one[1:]:
            if abs(t - one[0][0]) <= LATE_S + SLACK_S:
                yield value, z(value, **moment)
