"""How far a model's answers are from those of retrained models, beside how far those are from each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.special import rel_entr  # type: ignore[import-untyped]

from afuic import params
from afuic.evaluate.arrays import FLOOR, Floats
from afuic.params import Params


def js(p: Floats, q: Floats) -> float:
    """Mean Jensen-Shannon divergence over images, nats, in [0, ln 2]; ``p`` and ``q`` [n, classes] (Lin 1991, equation 4.1)."""
    p, q = p.astype(np.float64), q.astype(np.float64)
    middle = (p + q) / 2
    each = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / 2
    return float(np.clip(each, 0.0, np.log(2)).mean())


def kl(p: Floats, q: Floats) -> float:
    """Mean Kullback-Leibler divergence KL(p ‖ q) over images, nats, >= 0; q is raised to at least 1e-12."""
    each = rel_entr(p.astype(np.float64), np.maximum(q.astype(np.float64), FLOOR)).sum(axis=1)
    return float(np.maximum(each, 0.0).mean())


def js_to_set(p: Floats, others: Sequence[Floats]) -> float | None:
    """Mean of ``js(p, q)`` over the retrained models' probabilities; None when there are none."""
    return float(np.mean([js(p, q) for q in others])) if others else None


def floor(others: Sequence[Floats]) -> float | None:
    """Mean of ``js`` over unordered pairs of retrained models: no method can ask to be nearer; None below two models."""
    pairs = [js(p, q) for p, q in combinations(others, 2)]
    return float(np.mean(pairs)) if pairs else None


def l2(a: Params, b: Params) -> float:
    """Euclidean distance of two models' parameters. Shown, never argued with: two retrained models are far apart too."""
    return params.norm(params.sub(a, b))
