"""How useful a model is to those who stay, so that forgetting is never bought with a model nobody can use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import recall_score, roc_auc_score

from afuic.evaluate.arrays import Floats, Ints, check, correct

BINS = 15


def utility(probs: Floats, labels: Ints) -> dict[str, float | None]:
    """``accuracy``, ``balanced_accuracy``, ``auroc`` and ``ece`` of probabilities [n, classes] on labels [n], in [0, 1].

    Balanced accuracy is the mean recall, and AUROC the mean one-versus-rest area, over the classes present in ``labels``; with a single
    class present there is nothing to rank it against, and AUROC is None. DataError when the arrays do not match.
    """
    check("utility", probs, labels)
    present = np.unique(labels)
    recall = recall_score(labels, probs.argmax(axis=1), labels=present, average="macro", zero_division=0.0)
    return {
        "accuracy": float(correct(probs, labels).mean()),
        "balanced_accuracy": float(recall),
        "auroc": _auroc(probs, labels, present),
        "ece": ece(probs, labels),
    }


def ece(probs: Floats, labels: Ints) -> float:
    """Expected calibration error over 15 equal-width bins of confidence, (0, 1/15] first (Guo et al. 2017, equation 3).

    DataError when the arrays do not match or are empty.
    """
    check("ece", probs, labels)
    confidence = probs.max(axis=1).astype(np.float64)
    bins = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    gap = np.bincount(bins, weights=correct(probs, labels) - confidence)
    return float(np.abs(gap).sum() / len(labels))


def sensitivity(probs: Floats, labels: Ints, classes: int) -> list[float | None]:
    """Recall of each of ``classes`` classes, in [0, 1]; None for a class without an image in ``labels``."""
    check("sensitivity", probs, labels)
    recalls = recall_score(labels, probs.argmax(axis=1), labels=range(classes), average=None, zero_division=0.0)
    present = set(labels.tolist())
    return [float(recall) if index in present else None for index, recall in enumerate(recalls)]


def per_client(probs: Floats, labels: Ints, client: Ints, names: Sequence[str]) -> dict[str, float | None]:
    """Accuracy on each hospital's own test images: ``client`` [n] indexes ``names``; None for a hospital without images."""
    check("per_client", probs, labels)
    hits = correct(probs, labels)
    return {name: _mean(hits[client == index]) for index, name in enumerate(names)}


def _mean(hits: np.ndarray) -> float | None:
    return float(hits.mean()) if len(hits) else None


def _auroc(probs: Floats, labels: Ints, present: Ints) -> float | None:
    if len(present) < 2:
        return None
    return float(np.mean([roc_auc_score(labels == index, probs[:, index]) for index in present]))
