"""Whether one method differs from another over seeds, without reading more into a handful of seeds than is in it.

Methods that share a seed share its division, its traces and its past, so they are compared seed by seed: on |z|, the distance to
retraining, or on a raw measure. The test flips the signs of the differences in every way (Fisher's exact permutation test); it
assumes nothing but that without a difference either sign is as likely. With 5 seeds its smallest two-sided p is 2/32 = 0.0625: no result on
5 seeds can be significant at 0.05, whatever the numbers, and 6 are needed (2/64) before any correction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import permutation_test, ttest_1samp  # type: ignore[import-untyped]

from afuic.errors import DataError

MOST_EXACT = 20
"""Seeds up to which all 2^n signs are tried; beyond, use fewer seeds or another test."""


@dataclass(frozen=True)
class Comparison:
    """One method against another over ``seeds`` that both have.

    ``difference``: mean of first minus second; ``sd`` of the differences (n − 1) and ``interval``, Student's t, both None for one
    seed; ``p``: two-sided, by all sign flips; ``smallest_p``: what no data on so many seeds can fall below; ``corrected``: ``p`` after
    Holm's correction over all comparisons made together.
    """

    seeds: int
    difference: float
    sd: float | None
    interval: tuple[float, float] | None
    p: float
    smallest_p: float
    corrected: float


def compare(first: Sequence[float | None], second: Sequence[float | None], *, level: float = 0.95) -> Comparison | None:
    """First against second, seed by seed in the same order; a seed where either has None is left out. None when no seed is left.

    DataError: different lengths, values that are not finite, or more than 20 seeds. ``corrected`` is ``p``: one comparison.
    """
    if len(first) != len(second):
        raise DataError(
            f"paired comparison: {len(first)} values against {len(second)}; give one for each seed, None if missing"
        )
    d = np.array([a - b for a, b in zip(first, second, strict=True) if a is not None and b is not None], dtype=np.float64)
    if not len(d):
        return None
    if not np.isfinite(d).all() or len(d) > MOST_EXACT:
        raise DataError(f"paired comparison: {len(d)} seeds, some perhaps not finite; give at most {MOST_EXACT} finite values")
    several = len(d) > 1
    p = sign_flip(d)
    return Comparison(
        seeds=len(d),
        difference=float(d.mean()),
        sd=float(d.std(ddof=1)) if several else None,
        interval=_interval(d, level) if several else None,
        p=p,
        smallest_p=smallest_p(len(d)),
        corrected=p,
    )


def against(
    values: Mapping[str, Mapping[str, Sequence[float | None]]], reference: str, *, level: float = 0.95
) -> dict[str, dict[str, Comparison]]:
    """Every other method against ``reference`` on every measure: ``values[measure][method]`` holds one value a seed.

    Differences are method minus ``reference``; for |z| give absolute values (``magnitudes``), and a positive difference then means farther
    from retraining than ``reference``. Holm's correction runs over everything returned, all measures and methods together.
    Result: measure → method → comparison, without those that no seed has.
    """
    made: dict[tuple[str, str], Comparison] = {}
    for measure, methods in values.items():
        if reference not in methods:
            raise DataError(f"paired comparison: {measure!r} has no values of {reference!r}; it has {', '.join(methods)}")
        for method, own in methods.items():
            found = None if method == reference else compare(own, methods[reference], level=level)
            if found is not None:
                made[measure, method] = found
    corrected = holm([c.p for c in made.values()])
    result: dict[str, dict[str, Comparison]] = {}
    for ((measure, method), comparison), p in zip(made.items(), corrected, strict=True):
        result.setdefault(measure, {})[method] = replace(comparison, corrected=p)
    return result


def magnitudes(values: Sequence[float | None]) -> list[float | None]:
    """|z| of each seed, None where it is None."""
    return [None if v is None else abs(v) for v in values]


def sign_flip(differences: Sequence[float] | np.ndarray) -> float:
    """Exact two-sided p of the differences' mean under all 2^n sign flips, in [2 / 2^n, 1]; 1 for a single difference."""
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < 2:
        return 1.0
    found = permutation_test((d,), _mean, permutation_type="samples", vectorized=True, n_resamples=2 ** len(d), batch=4096)
    return float(found.pvalue)


def smallest_p(seeds: int) -> float:
    """The least p that ``sign_flip`` can give: 2 / 2^n, and 1 for a single seed."""
    return min(1.0, 2.0 ** (1 - seeds))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979), in the order given: the k-th smallest of m times m − k + 1, never below its predecessor,
    at most 1. It bounds the chance of any false finding, however the comparisons depend on each other.
    """
    order = np.argsort(np.asarray(p), kind="stable")
    stepped = np.maximum.accumulate([p[i] * (len(p) - rank) for rank, i in enumerate(order)]) if len(p) else np.empty(0)
    result = np.empty(len(p))
    result[order] = np.minimum(stepped, 1.0)
    return [float(v) for v in result]


def _mean(x: np.ndarray, axis: int) -> np.ndarray:
    return np.asarray(np.mean(x, axis=axis))


def _interval(d: np.ndarray, level: float) -> tuple[float, float]:
    """Student's t interval of the mean; a single point where all differences are equal."""
    if np.ptp(d) == 0:
        return float(d[0]), float(d[0])
    found = ttest_1samp(d, 0.0).confidence_interval(confidence_level=level)
    return float(found.low), float(found.high)
