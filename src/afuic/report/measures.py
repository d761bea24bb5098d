"""The measures a report shows, with the name and the reading each has there, in one place for tables, figures and sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from afuic.evaluate.results import AfterName, Method, PhaseName, Results
from afuic.report.words import number, percent


@dataclass(frozen=True)
class Measure:
    """``show`` writes a value; ``hint`` says in a few words what it is and which way is good."""

    key: str
    label: str
    hint: str
    show: Callable[[float | None], str]


MEASURES = (
    Measure("accuracy", "Test accuracy", "share of test images classified right", percent),
    Measure("balanced_accuracy", "Balanced accuracy", "the same, every diagnosis counting alike", percent),
    Measure("auroc", "AUROC", "1 ranks perfectly, 0.5 is chance", number),
    Measure("ece", "Calibration error", "0 is best", percent),
    Measure("forget_accuracy", "Forget accuracy", "on the images to erase; retraining's value is the aim", percent),
    Measure("forget_loss", "Forget loss", "on the images to erase; retraining's value is the aim", number),
    Measure("asr", "Attack success", "marked images taken for the planted class", percent),
    Measure("asr_excess", "Excess attack success", "what the mark itself brings about; retraining: about 0", percent),
    Measure("mia_auc", "Membership attack", "0.5: members cannot be told apart", number),
    Measure("js_to_retrain", "Distance to retrained models", "of the answers; 0: the same, 0.69: opposite", number),
)

DESCRIPTIONS = {
    "afuic": "subtracts what the hospital contributed, restores the model on images the server holds, and guards later training",
    "afuic-paper": "the published method: the hospital unlearns by itself and its result replaces the shared model",
    "continue": "the hospital merely stops taking part; nothing is erased",
    "halimi": "the hospital raises the loss on its own images, then the others train on together; everybody waits meanwhile",
    "not": "the first layer's weights change their sign, then the others train on together; everybody waits meanwhile",
    "retrain": "training starts again from nothing without the data; the yardstick for all others",
}


def readable(results: Results) -> Results:
    """The results without figures that would mislead: a release where nothing was erased, the yardstick's gap to itself, a yardstick all
    of whose models failed.
    """
    retrained = results.retrained if results.retrained and results.retrained.runs else None
    methods = {name: _readable(name, found) for name, found in results.methods.items()}
    return results.model_copy(update={"methods": methods, "retrained": retrained})


def _readable(name: str, method: Method) -> Method:
    if name == "continue":
        return method.model_copy(update={"erasure_latency_s": None, "latency_to_retrain": None})
    return method.model_copy(update={"gaps": {}}) if name == "retrain" else method


def value(method: Method, phase: PhaseName, key: str) -> float | None:
    """A measure of a method at a phase; None when either is missing."""
    found = method.phases.get(phase)
    number: Any = getattr(found, key, None)
    return None if number is None else float(number)


def gap(method: Method, phase: AfterName, key: str) -> float | None:
    """z of a measure; None when undefined."""
    return method.gaps.get(phase, {}).get(key)


def reference(results: Results, phase: AfterName, key: str) -> tuple[float, float | None] | None:
    """Mean and standard deviation over the retrained runs; None when they were not run or lack the measure."""
    phases: Mapping[Any, Any] = results.retrained.phases if results.retrained else {}
    spread = phases.get(phase, {}).get(key)
    return None if spread is None else (spread.mean, spread.sd)


def label(name: str, method: Method) -> str:
    """A method's name, marked when it was shown the trigger."""
    return f"{name} (oracle)" if method.oracle else name
