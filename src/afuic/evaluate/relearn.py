"""How fast the erased data is learned again, beside how fast a model learns it that never saw it.

A model may answer as if it had forgotten and yet hold what it takes to remember. So the data is given back, and the steps are counted until
the forget accuracy from before the request is reached; retrained models do the same. A ratio near 1 is what erasure aims at: below
1 the model remembers, above 1 it was made to resist, which also tells it from a retrained one. The ratio is the anamnesis index (Chundawat
et al., arXiv 2201.05629) with SGD steps for its time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from afuic.errors import DataError


@dataclass(frozen=True)
class Relearned:
    """``steps`` of SGD until ``target`` accuracy was reached; ``censored``: it was not, and ``steps`` is where counting stopped."""

    steps: int
    target: float
    censored: bool


@dataclass(frozen=True)
class Ratio:
    """Steps over the retrained models' median. ``value`` is exact, or only a bound where counting had stopped before; None: undefined."""

    value: float | None
    bound: Literal["exact", "at least", "at most", "unknown"]


def steps_to(curve: Iterable[tuple[int, float]], target: float) -> Relearned:
    """The first step whose accuracy is ``target`` or more; (step, accuracy) in the order of steps, from step 0 on.

    ``curve`` may be an iterator that trains: it is read no further than needed. DataError when it is empty.
    """
    step = None
    for step, accuracy in curve:
        if accuracy >= target:
            return Relearned(step, target, censored=False)
    if step is None:
        raise DataError("relearning: the curve is empty; measure at least the model itself, at step 0")
    return Relearned(step, target, censored=True)


def ratio(model: Relearned, retrained: Sequence[Relearned]) -> Ratio:
    """The model's steps over the median of the retrained models'.

    The median, since it stays exact as long as fewer than half of them are censored. Undefined without a retrained model, and
    where their median is 0: then they are as accurate as the target without the data, and there is nothing to relearn.
    """
    median, open_end = _median(retrained)
    if not median or (model.censored and open_end):
        return Ratio(None, "unknown")
    value = model.steps / median
    return Ratio(value, "at least" if model.censored else "at most" if open_end else "exact")


def _median(found: Sequence[Relearned]) -> tuple[float | None, bool]:
    """The median of the steps, and whether a censored one is in it (then the true one is larger)."""
    order = sorted(found, key=lambda r: (r.steps, r.censored))
    middle = order[(len(order) - 1) // 2 : len(order) // 2 + 1]
    if not middle:
        return None, False
    return sum(r.steps for r in middle) / len(middle), any(r.censored for r in middle)
