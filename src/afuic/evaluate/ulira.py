"""Whether an outsider could tell an unlearned model from a retrained one by its answers on the erased images, image by image.

U-LiRA (Hayes et al., arXiv 2403.01218): a population attack treats all images alike and so overstates the protection; this one has an
attacker of its own for each image. Shadow models show how confident unlearned and retrained models are about that image, two
Gaussians are fitted, and a model that neither has seen is scored by their likelihood ratio. Shadow i of either kind is held out
together with its counterpart, so every model is scored exactly once, and both members of a pair by the same Gaussians: were unlearning
perfect, the two scores would be exchangeable and the mean AUC of the pairs exactly 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata  # type: ignore[import-untyped]

from afuic.errors import DataError
from afuic.evaluate.arrays import FLOOR, Floats, Ints

Scores = npt.NDArray[np.float64]

CHEAP, FULL = 4, 32
"""Shadow models of each kind: enough to see a gross difference, and enough for a variance of its own for each image."""
LEAST = 3
SHARED_BELOW = 16
"""With fewer shadows all images share one variance (Carlini et al., arXiv 2112.03570, do so where shadows are few): two or three
confidences say too little about one image's."""
MIN_SD = 1e-3
"""Least standard deviation of a Gaussian, in logits: where all shadows agree, or are cut off at the same floor."""
FPR = 0.01
GRID = tuple(float(f) for f in np.geomspace(1e-3, 1.0, 31))
"""False-positive rates at which a ROC curve is written down."""


@dataclass(frozen=True)
class ULira:
    """The attack's success. ``shadows`` of each kind, ``examples`` (images).

    ``auc``: mean over the pairs of the AUC of a pair's images, in [0, 1]; 0.5 is chance. ``tpr``: share of unlearned (model, image)
    pairs recognised at a threshold that at most ``fpr`` of all retrained ones exceed; ``fpr`` is chance; None with fewer than 1 / fpr of
    those. ``p``: probability of an AUC at least this large were unlearned and retrained models alike, by swapping pairs; at least
    1 / 2^(shadows − 1). ``roc``: (false, true) positive rates, from one retrained score in a thousand on.
    """

    shadows: int
    examples: int
    auc: float
    auc_interval: tuple[float, float]
    fpr: float
    tpr: float | None
    tpr_interval: tuple[float, float] | None
    p: float
    roc: tuple[tuple[float, float], ...]


def confidence(probs: Floats, labels: Ints) -> Scores:
    """φ = ln(p / (1 − p)) of each image's label, [..., n], from probabilities [..., n, classes] and labels [n]; ±27.6 at most.

    1 − p is the sum of the other classes, exact where p is nearly 1; both are raised to 1e-12 (Carlini et al., arXiv 2112.03570).
    DataError when the shapes or the labels do not fit.
    """
    if probs.ndim < 2 or labels.shape != probs.shape[-2:-1] or not len(labels):
        raise DataError(
            f"confidence: probabilities {probs.shape} and labels {labels.shape} do not match; give [..., n, classes], [n]"
        )
    if labels.min() < 0 or labels.max() >= probs.shape[-1]:
        raise DataError(f"confidence: labels run from {labels.min()} to {labels.max()}; give 0 to {probs.shape[-1] - 1}")
    own = np.zeros(probs.shape[-2:], bool)
    own[np.arange(len(labels)), labels] = True
    wide = probs.astype(np.float64)
    chosen, rest = np.where(own, wide, 0.0).sum(axis=-1), np.where(own, 0.0, wide).sum(axis=-1)
    return np.asarray(np.log(np.maximum(chosen, FLOOR)) - np.log(np.maximum(rest, FLOOR)))


def held_out(unlearned: Floats, retrained: Floats, *, shared: bool | None = None) -> tuple[Scores, Scores]:
    """Log-likelihood ratios, unlearned over retrained, of every model's every image, [shadows, examples] each; nats.

    Confidences φ are [shadows, examples]; shadow i of both kinds is scored by Gaussians fitted to all others. ``shared``: one variance
    for all images, the mean of theirs; None: with fewer than 16 shadows. DataError: fewer than 3 shadows, unequal shapes, NaN.
    """
    _check(unlearned, retrained)
    a, b = unlearned.astype(np.float64), retrained.astype(np.float64)
    shared = len(a) < SHARED_BELOW if shared is None else shared
    here, there = _others(a, shared), _others(b, shared)
    return _log(a, here) - _log(a, there), _log(b, here) - _log(b, there)


def attack(
    unlearned: Floats, retrained: Floats, generator: np.random.Generator, *, fpr: float = FPR, draws: int = 500
) -> ULira:
    """U-LiRA on confidences [shadows, examples] of the erased images, one row for each shadow model of either kind.

    The intervals are 95 % percentiles of ``draws`` bootstrap samples of pairs and of images, from ``generator``. Clopper-Pearson would be
    wrong: the images of one model are not independent. The Gaussians are not fitted anew, and few pairs are few: with 4 of
    them the interval is a hint. DataError as ``held_out``, and for an ``fpr`` outside 0 to 1.
    """
    if not 0 < fpr < 1 or draws < 1:
        raise DataError(f"U-LiRA: fpr is {fpr}, draws {draws}; give an fpr between 0 and 1 and at least one draw")
    positive, negative = held_out(unlearned, retrained)
    samples = [_resampled(positive, negative, generator) for _ in range(draws)]
    known = negative.size * fpr >= 1
    return ULira(
        shadows=len(positive),
        examples=positive.shape[1],
        auc=pair_auc(positive, negative),
        auc_interval=_interval([pair_auc(*s) for s in samples]),
        fpr=fpr,
        tpr=tpr_at(positive, negative, fpr) if known else None,
        tpr_interval=_interval([tpr_at(*s, fpr) for s in samples]) if known else None,
        p=swapped(unlearned, retrained, generator, draws),
        roc=tuple((f, tpr_at(positive, negative, f)) for f in GRID if negative.size * f >= 1),
    )


def pair_auc(positive: Scores, negative: Scores) -> float:
    """Mean over rows of the AUC of a row's positive scores against its negative ones; a tie counts half."""
    n = positive.shape[1]
    ranks = rankdata(np.concatenate([positive, negative], axis=1), axis=1)[:, :n].sum(axis=1)
    return float(((ranks - n * (n + 1) / 2) / (n * negative.shape[1])).mean())


def tpr_at(positive: Scores, negative: Scores, fpr: float) -> float:
    """Share of all positive scores above the lowest threshold that at most ``fpr`` of all negative ones exceed."""
    flat = negative.ravel()
    allowed = int(fpr * flat.size + 1e-9)
    if allowed >= flat.size:
        return 1.0
    threshold = np.partition(flat, flat.size - 1 - allowed)[flat.size - 1 - allowed]
    return float((positive > threshold).mean())


def swapped(unlearned: Floats, retrained: Floats, generator: np.random.Generator, draws: int) -> float:
    """Permutation p-value of the AUC: pairs change sides, in all 2^(shadows − 1) ways or, if those are more, ``draws`` random ones.

    Swapping all pairs gives the same AUC, so the first is never swapped. Random draws count the observed one in.
    """
    observed, ways = pair_auc(*held_out(unlearned, retrained)), 2 ** (len(unlearned) - 1)
    every, free = ways <= draws, len(unlearned) - 1
    sides = np.arange(ways)[:, None] >> np.arange(free) & 1 if every else generator.integers(0, 2, (draws, free))
    found = [_swap(unlearned, retrained, np.concatenate([[False], side.astype(bool)])) for side in sides]
    reached = sum(f >= observed - 1e-12 for f in found)
    return reached / ways if every else (reached + 1) / (draws + 1)


def _swap(a: Floats, b: Floats, side: npt.NDArray[np.bool_]) -> float:
    change = side[:, None]
    return pair_auc(*held_out(np.where(change, b, a), np.where(change, a, b)))


def _others(values: Scores, shared: bool) -> tuple[Scores, Scores]:
    """Mean and standard deviation of all rows but one, for each row left out; [shadows, examples] each."""
    n = len(values) - 1
    mean = (values.sum(axis=0) - values) / n
    centred = values - values.mean(axis=0)
    squares = (centred**2).sum(axis=0) - centred**2 * (n + 1) / n
    variance = np.maximum(squares, 0.0) / (n - 1)
    if shared:
        variance = np.broadcast_to(variance.mean(axis=1, keepdims=True), values.shape)
    return mean, np.maximum(np.sqrt(variance), MIN_SD)


def _log(values: Scores, fitted: tuple[Scores, Scores]) -> Scores:
    """Log density without the constant that cancels in the ratio."""
    mean, sd = fitted
    return np.asarray(-np.log(sd) - ((values - mean) / sd) ** 2 / 2)


def _resampled(positive: Scores, negative: Scores, generator: np.random.Generator) -> tuple[Scores, Scores]:
    pairs, images = (generator.integers(0, n, n) for n in positive.shape)
    chosen = np.ix_(pairs, images)
    return positive[chosen], negative[chosen]


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _check(unlearned: Floats, retrained: Floats) -> None:
    if unlearned.ndim != 2 or unlearned.shape != retrained.shape or not unlearned.size:
        raise DataError(
            f"U-LiRA: confidences are {unlearned.shape} and {retrained.shape}; give [shadows, examples] twice, alike"
        )
    if len(unlearned) < LEAST:
        raise DataError(
            f"U-LiRA: {len(unlearned)} shadow models of each kind; give at least {LEAST} (cheap {CHEAP}, full {FULL})"
        )
    if not (np.isfinite(unlearned).all() and np.isfinite(retrained).all()):
        raise DataError("U-LiRA: a confidence is NaN or infinite; leave out the shadow models that diverged")
