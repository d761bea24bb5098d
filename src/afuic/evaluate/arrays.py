"""What every measure shares: the check of its arrays and the per-image loss, so that no two clip or index differently."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from afuic.errors import DataError

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

FLOOR = 1e-12
"""Probabilities are raised to this before a logarithm, so one certain mistake costs 27.6 nats and not infinity."""


def check(what: str, probs: Floats, labels: Ints) -> None:
    """Raise DataError unless ``probs`` is [n, classes], ``labels`` [n] with values in 0..classes-1, and n > 0."""
    if probs.ndim != 2 or labels.shape != probs.shape[:1] or not len(labels):
        raise DataError(
            f"{what}: probabilities {probs.shape} and labels {labels.shape} do not match; give [n, classes] and [n] with n > 0"
        )
    if labels.min() < 0 or labels.max() >= probs.shape[1]:
        raise DataError(f"{what}: labels run from {labels.min()} to {labels.max()}; give 0 to {probs.shape[1] - 1}")


def losses(probs: Floats, labels: Ints) -> npt.NDArray[np.float64]:
    """Cross-entropy of each image in nats, [n], from probabilities [n, classes] and labels [n]; 0 to 27.6."""
    chosen = np.take_along_axis(probs, labels[:, None], axis=1)[:, 0]
    return -np.log(np.clip(chosen.astype(np.float64), FLOOR, 1.0))


def correct(probs: Floats, labels: Ints) -> npt.NDArray[np.bool_]:
    """Whether the most probable class is the label, [n]; the first class wins a tie."""
    return np.asarray(probs.argmax(axis=1) == labels)
