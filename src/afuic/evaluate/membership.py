"""Whether an outsider could tell from the loss that an image was trained on: the weakest attack, for comparison only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from afuic.evaluate.arrays import Floats, Ints, losses

LEAST = 2
"""Fewer members or non-members than this rank nothing: the AUC of one image is that image's place among the others, by chance anywhere."""


def population_auc(member_probs: Floats, member_labels: Ints, other_probs: Floats, other_labels: Ints) -> float | None:
    """AUC in [0, 1] of the negative loss as a score of membership (Yeom et al., arXiv 1709.01604, without a threshold).

    Non-members are reweighted to the members' distribution of classes, or a hospital of unusual patients would look remembered;
    classes without a non-member are dropped. None where fewer than two members, or than two non-members of their classes, are left.
    Probabilities [n, classes], labels [n].
    """
    kept = np.isin(member_labels, other_labels)
    weights = _weights(member_labels[kept], other_labels)
    if min(kept.sum(), np.count_nonzero(weights)) < LEAST:
        return None
    score = -np.concatenate([losses(member_probs[kept], member_labels[kept]), losses(other_probs, other_labels)])
    truth = np.concatenate([np.ones(kept.sum(), int), np.zeros(len(other_labels), int)])
    area = roc_auc_score(truth, score, sample_weight=np.concatenate([np.ones(kept.sum()), weights]))
    return float(np.clip(area, 0.0, 1.0))


def _weights(members: Ints, others: Ints) -> npt.NDArray[np.float64]:
    """One weight per non-member: members of its class over non-members of its class."""
    classes = 1 + max(members.max(initial=0), others.max(initial=0))
    wanted, had = np.bincount(members, minlength=classes), np.bincount(others, minlength=classes)
    return np.asarray(wanted[others] / np.maximum(had[others], 1), dtype=np.float64)
