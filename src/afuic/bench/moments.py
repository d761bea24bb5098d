"""A second floor: retrained models at other moments, within five minutes of the one at which methods are compared with them.

Retrained models of one seed share a virtual clock, so that at one moment the same hospital's update came last in all of them, and where
hospitals differ they swing together. Their spread at that moment leaves the swing out. A model that is released at another point of it
is apart from them by that alone; by how much, retrained models themselves show a few minutes later, and the test counts it in.
"""

from __future__ import annotations

from collections.abc import Iterator

from afuic.bench.document import Case, Seed
from afuic.bench.measures import CURVED
from afuic.bench.statistics import Gapped, Summary, floor_of, gap_of, nearby, summary
from afuic.evaluate.gaps import pooled, yardstick


def of_moments(case: Case, phase: str, key: str) -> Summary:
    """Retrained models within 300 virtual seconds after their release, or before their end, each evaluation against the other models of
    its seed at that moment. Empty for other phases and for what curves do not hold. Both sides are read from curves, so from the same
    images.
    """
    found = [pair for s in case.seeds.values() for pair in _judged(s, phase, key)] if key in CURVED else []
    return summary([value for value, _ in found], [judged for _, judged in found])


def _judged(seed: Seed, phase: str, key: str) -> Iterator[tuple[float, Gapped]]:
    runs = [run for run in nearby(seed.retrained, phase, key) if run]
    for i, own in enumerate(runs):
        others = runs[:i] + runs[i + 1 :]
        first = [run[0] for run in others]
        against = yardstick(first, moments=pooled(others), floor=floor_of(seed, phase, key, first, curve=True))
        yield from ((value, gap_of(value, against, key)) for value in own[1:])
