"""The measures a report shows, with the name and the reading each has there, in one place for tables, figures and sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from afuic.evaluate.gaps import SLACK_S, Judged, Yardstick, pooled, sampling, window
from afuic.evaluate.results import CONTINUE, AfterName, Method, PhaseName, Point, Results, Retrained
from afuic.report.words import number, percent


@dataclass(frozen=True)
class Measure:
    """``show`` writes a value; ``hint`` says in a few words what it is and which way is good; ``undefined`` why it may have no value."""

    key: str
    label: str
    hint: str
    show: Callable[[float | None], str]
    undefined: str = ""


NO_MARK = "no mark was planted, or every test image is of its class"
FEW_MEMBERS = "fewer than two unmarked images to erase, or test images of their classes"
MEASURES = (
    Measure("accuracy", "Test accuracy", "share of test images classified right", percent),
    Measure("balanced_accuracy", "Balanced accuracy", "the same, every diagnosis counting alike", percent),
    Measure("auroc", "AUROC", "1 ranks perfectly, 0.5 is chance", number, "the test set shows one class only"),
    Measure("ece", "Calibration error", "0 is best", percent),
    Measure("forget_accuracy", "Forget accuracy", "on the images to erase; retraining's value is the aim", percent),
    Measure("forget_loss", "Forget loss", "on the images to erase; retraining's value is the aim", number),
    Measure("asr", "Attack success", "marked images taken for the planted class", percent, NO_MARK),
    Measure("asr_excess", "Excess attack success", "what the mark itself brings about; retraining: about 0", percent, NO_MARK),
    Measure("mia_auc", "Membership attack", "0.5: members cannot be told apart", number, FEW_MEMBERS),
    Measure(
        "js_to_retrain",
        "Distance to retrained models",
        "of the answers; 0: the same, 0.69: opposite",
        number,
        "no model was retrained",
    ),
)

DESCRIPTIONS = {
    "afuic": "subtracts what the hospital contributed, restores the model on images the server holds, and guards later training",
    "afuic-paper": "the published method: the hospital unlearns by itself and its result replaces the shared model",
    "continue": "not erased: the hospital merely stops taking part",
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
    if name == CONTINUE:
        return method.model_copy(update={"erasure_latency_s": None, "latency_to_retrain": None})
    return method.model_copy(update={"gaps": {}}) if name == "retrain" else method


def value(method: Method, phase: PhaseName, key: str) -> float | None:
    """A measure of a method at a phase; None when either is missing."""
    found = method.phases.get(phase)
    number: Any = getattr(found, key, None)
    return None if number is None else float(number)


def gap(results: Results, method: Method, phase: AfterName, key: str) -> float | None:
    """z of a measure; None when undefined, and for retraining itself."""
    against = None if method is results.methods.get("retrain") else reference(results, phase, key)
    return None if against is None else against.z(value(method, phase, key))


def judge(results: Results, method: Method, phase: AfterName, key: str) -> Judged | None:
    """What the test of ``evaluate.gaps`` says of a measure; None where it can say nothing, and of retraining itself."""
    against = None if method is results.methods.get("retrain") else reference(results, phase, key)
    return None if against is None else against.judge(key, value(method, phase, key))


def reference(results: Results, phase: AfterName, key: str) -> Yardstick | None:
    """What the retrained runs say of a measure; None when they were not run or lack it."""
    retrained = results.retrained
    spread = None if retrained is None else retrained.phases.get(phase, {}).get(key)
    if retrained is None or spread is None:
        return None
    floor = sampling(key, spread.mean, results.sizes)
    return Yardstick(spread.mean, spread.sd, retrained.runs, pooled(_nearby(results, retrained, phase, key)), floor)


def _nearby(results: Results, retrained: Retrained, phase: AfterName, key: str) -> list[list[float]]:
    """What the curve of each retrained run shows within five minutes of the phase; nothing where it is not known when they ended."""
    mean = results.methods["retrain"].phases.get("released") if "retrain" in results.methods else None
    since = retrained.released_t or (() if mean is None else (mean.t,) * len(retrained.curves))
    if key not in Point.model_fields or len(since) != len(retrained.curves):
        return []
    return [
        window([(p.t, v) for p in curve if p.t >= t - SLACK_S and (v := getattr(p, key)) is not None], phase)
        for curve, t in zip(retrained.curves, since, strict=True)
    ]


def label(name: str, method: Method) -> str:
    """A method's name, marked when it was shown the trigger."""
    return f"{name} (oracle)" if method.oracle else name
