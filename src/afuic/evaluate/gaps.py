"""What "like a retrained model" means: the unit in which every gap is stated, and the one test that calls a model apart.

The test is a prediction interval. n retrained models say where the next one would be found: within mean ± t · √(1 + 1/n) · s in 95 of 100
cases, with Student's t of n − 1 degrees of freedom. |z| ≤ 2 is another thing: it passes a perfect model in 82.8 % of runs with 4
references, in 85.8 % with 5, in 94.2 % with 32, so that no two rows with different n can be compared by it.

s is the models' own standard deviation, or the same over their evaluations within five minutes where that is larger, since all of
them share a clock and swing together. And no gap counts that is smaller than the sampling error of the images: models that agree on a
few hundred images, perhaps all at 100 %, would not agree to the last of any others. That error is known, so it needs no t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from statistics import fmean, stdev

from scipy.stats import norm  # type: ignore[import-untyped]
from scipy.stats import t as student

from afuic.evaluate.results import Sizes

AFTER = ("released", "final")
"""The phases that are compared with retraining."""
MEASURES = (
    "accuracy",
    "balanced_accuracy",
    "auroc",
    "ece",
    "forget_accuracy",
    "forget_loss",
    "asr",
    "asr_excess",
    "mia_auc",
)
"""What a gap is stated of, each a measure of one model alone."""
HIGHER, LOWER = 1, -1
BETTER = {
    **dict.fromkeys(("accuracy", "balanced_accuracy", "auroc", "accuracy_min", "worst_hospital", "own_hospital"), HIGHER),
    **dict.fromkeys(("ece", "asr", "asr_excess", "asr_excess_max", "dip", "js_to_retrain"), LOWER),
}
"""Measures of which more (or less) than retraining's harms nobody: useful to those who stay, or less of the mark. Of all others nearer is
better: who does worse on the erased images than a model that never saw them betrays them as much as who does better.
"""
MUTUAL = frozenset({"js_to_retrain"})
"""Measured between models, so that two have one value between them, and no spread."""
LEVEL = 0.95
CERTAIN = float(norm.ppf((1 + LEVEL) / 2))
"""Half an interval in units of a standard error that is known and not estimated from a few models: 1.96."""
FALSE_ALARMS = 0.034
"""Share of gaps of retrained models of this project's committed suites, each against the others of its seed, that are called apart."""
MOMENTS_S, SLACK_S = 300.0, 1e-5
"""How long before or after a moment evaluations count as of it; curves are written with five decimals."""
ROUNDING = 1e-9
"""A standard deviation of no more than this share of the mean, or of 1, is that of equal values with other last bits."""


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """``mean`` and sample standard deviation ``sd`` (n - 1) of retrained runs; ``sd`` is None for one run, both for none, and 0 where
    they differ by rounding alone.
    """
    mean, sd = fmean(values) if values else None, stdev(values) if len(values) > 1 else None
    rounding = sd is not None and mean is not None and sd <= ROUNDING * max(1.0, abs(mean))
    return {"mean": mean, "sd": 0.0 if rounding else sd}


def z(m: float | None, mean: float | None, sd: float | None) -> float | None:
    """(m - mean) / sd: the gap to retraining in units of its spread; None when a part is missing or the spread is 0."""
    return None if m is None or mean is None or not sd else (m - mean) / sd


@dataclass(frozen=True)
class Judged:
    """Where a value lies: ``z`` (None: no unit), ``apart`` by the test, ``side`` of retraining's mean, and whether that side is
    ``better`` for everybody.
    """

    z: float | None
    apart: bool
    side: str
    better: bool


@dataclass(frozen=True)
class Yardstick:
    """Retrained models' values of one measure. ``sd``: over the ``runs`` (None: of one); ``moments``: over their own evaluations nearby;
    ``floor``: the sampling error of the images. In the measure's unit; 0 where not known.
    """

    mean: float
    sd: float | None
    runs: int
    moments: float = 0.0
    floor: float = 0.0

    def z(self, value: float | None) -> float | None:
        """The gap in units of the models' spread, which is at least the sampling error."""
        return None if self.sd is None else z(value, self.mean, max(self.sd, self.floor))

    @property
    def margin(self) -> float | None:
        """How far from the mean another retrained model is found in 5 of 100 cases; None: one model has no spread."""
        if self.sd is None or self.runs < 2:
            return None
        return max(limit(self.runs) * max(self.sd, self.moments), CERTAIN * sqrt(1 + 1 / self.runs) * self.floor)

    def judge(self, key: str, value: float | None) -> Judged | None:
        """What the test says of a model's value of the measure ``key``; None where nothing can be said."""
        margin = self.margin
        if value is None or margin is None or (key in MUTUAL and self.runs < 3):
            return None
        gap = value - self.mean
        apart = abs(gap) > margin + ROUNDING * max(1.0, abs(self.mean))
        side = "higher" if gap > 0 else "lower"
        return Judged(self.z(value), apart, side, (HIGHER if gap > 0 else LOWER) == BETTER.get(key))


def yardstick(values: Sequence[float | None], *, moments: float = 0.0, floor: float = 0.0) -> Yardstick | None:
    """The reference of retrained models' values; None where none has one."""
    known = [v for v in values if v is not None]
    found = spread(known)
    return None if found["mean"] is None else Yardstick(found["mean"], found["sd"], len(known), moments, floor)


@cache
def limit(runs: int) -> float:
    """Half the prediction interval in units of s, for ``runs`` >= 2 references: 12.71 · √1.5 = 15.6 for 2, 3.04 for 5, 2.07 for 32."""
    return float(student.ppf((1 + LEVEL) / 2, runs - 1)) * sqrt(1 + 1 / runs)


def passes(runs: int, most: float = 2.0) -> float:
    """The share of perfect models for which |z| <= ``most`` against so many references, were all of them normal."""
    return 1 - 2 * float(student.sf(most / sqrt(1 + 1 / runs), runs - 1))


# -- the references' own moments --------------------------------------------------------------------------------------------


def window(points: Sequence[tuple[float, float]], phase: str) -> list[float]:
    """Values of a curve's (t, value) from the release on, in the order of time: those within 300 s after the first, or before the last
    where ``phase`` is "final"; that one first.
    """
    ordered = list(points if phase == "released" else reversed(points))
    return [value for t, value in ordered if abs(t - ordered[0][0]) <= MOMENTS_S + SLACK_S]


def pooled(runs: Sequence[Sequence[float]]) -> float:
    """Standard deviation of all values of several models about their common mean, as of as many independent ones as there are models;
    0 for fewer than two.
    """
    known = [run for run in runs if run]
    values = [value for run in known for value in run]
    if len(known) < 2:
        return 0.0
    mean = fmean(values)
    return sqrt(fmean((value - mean) ** 2 for value in values) * len(known) / (len(known) - 1))


# -- the images' own sampling error -----------------------------------------------------------------------------------------


def sampling(key: str, mean: float, sizes: Sizes | None, *, curve: bool = False, own: str | None = None) -> float:
    """Standard error of a measure whose mean over retrained models is ``mean``, had other images of the same kind been drawn.

    Shares: Agresti and Coull's √(p̃(1 − p̃) / (n + 4)) with p̃ = (np + 2) / (n + 4), above 0 at 0 and 1 too; of differences of two shares of
    the same images the least it can be. Areas: Hanley and McNeil (1982), averages of classes as if independent. 0 where sizes are not
    known, and of losses, divergences and counts, in which models are never alike by chance. ``curve``: measured on a curve's images;
    ``own``: the hospital.
    """
    if sizes is None:
        return 0.0
    test, forget, attacked = sizes.curve if curve else (sum(sizes.test), sizes.forget, sizes.attacked)
    classes = [n for n in sizes.test if n]
    shares = {"accuracy": test, "accuracy_min": test, "ece": test, "forget_accuracy": forget, "forget_accuracy_max": forget}
    shares |= dict.fromkeys(("asr", "asr_excess", "asr_excess_max"), attacked)
    shares |= {"worst_hospital": min((n for n in sizes.hospitals.values() if n), default=0)}
    shares |= {"own_hospital": sizes.hospitals.get(own or "", 0)}
    if key in shares:
        return of_share(abs(mean), shares[key])
    if key == "balanced_accuracy":
        return _of_classes([of_share(mean, n) for n in classes])
    if key == "auroc":
        return _of_classes([of_area(mean, n, sum(classes) - n) for n in classes])
    return of_area(mean, sizes.members, sum(classes)) if key == "mia_auc" else 0.0


def of_share(p: float, n: int) -> float:
    """Standard error of a share ``p`` of ``n`` images; 0 for none."""
    shrunk = (n * p + 2) / (n + 4)
    return sqrt(shrunk * (1 - shrunk) / (n + 4)) if n else 0.0


def of_area(area: float, first: int, second: int) -> float:
    """Standard error of an area under the curve between so many images of either kind; 0 where one is missing."""
    if not first or not second:
        return 0.0
    n = first + second
    a = (area * n + 2) / (n + 4)
    of_first, of_second = a / (2 - a) - a * a, 2 * a * a / (1 + a) - a * a
    return sqrt((a * (1 - a) + (first - 1) * of_first + (second - 1) * of_second) / (first * second))


def _of_classes(errors: Sequence[float]) -> float:
    return sqrt(sum(e * e for e in errors)) / len(errors) if errors else 0.0
