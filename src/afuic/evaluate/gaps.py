"""The unit in which every result is stated: the spread of retrained models."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

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
