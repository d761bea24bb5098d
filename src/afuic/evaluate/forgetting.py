"""What a model still knows of the erased data: its forget set, and the backdoor planted there as a probe."""

from __future__ import annotations

from afuic.evaluate.arrays import Floats, Ints, check, correct, losses


def forget(probs: Floats, labels: Ints) -> dict[str, float]:
    """``forget_accuracy`` in [0, 1] and ``forget_loss``, the mean cross-entropy in nats, on the erased images as held.

    The aim is the value of a retrained model, not 0: what is common to all hospitals may be known without the erased ones.
    """
    check("forget", probs, labels)
    return {"forget_accuracy": float(correct(probs, labels).mean()), "forget_loss": float(losses(probs, labels).mean())}


def attack(probs_triggered: Floats, probs_clean: Floats, labels: Ints, target_class: int) -> dict[str, float | None]:
    """Attack success on images of other classes than ``target_class``, with and without the trigger (same images, same order).

    ``asr`` and ``asr_clean`` are the shares taken for the target class, in [0, 1]; ``asr_excess`` their difference, in [-1, 1]:
    what the trigger itself brings about, as opposed to ordinary mistakes. All None when no image is of another class.
    """
    check("attack", probs_triggered, labels)
    check("attack", probs_clean, labels)
    others = labels != target_class
    if not others.any():
        return {"asr": None, "asr_clean": None, "asr_excess": None}
    asr, clean = (float((probs[others].argmax(axis=1) == target_class).mean()) for probs in (probs_triggered, probs_clean))
    return {"asr": asr, "asr_clean": clean, "asr_excess": asr - clean}
