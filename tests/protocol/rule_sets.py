"""The rule sets the protocol is tested under: every method, and every switch of the default method, with both ways to aggregate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from afuic.config import Aggregation, Config, Staleness
from afuic.erase import configured
from afuic.erase.calibrate import Calibration
from afuic.protocol import Rules

HEAL: dict[str, Any] = {"steps": 1, "batch": 2}
LOOSE = {"bound": 1e6}
NO_GUARD = {"versions": 0}
PAIRS = {"a": 0, "b": 0, "c": 1, "d": 1}


def rules(
    name: str, options: dict[str, Any] | None = None, *, buffer: int = 0, calibration: bool = True, ahead: bool = False
) -> Rules:
    """Rules whose arithmetic is exact on small dyadic numbers: η = 1/2, no discount, no clipping; ``buffer`` 0 is fedasync."""
    aggregation = Aggregation(
        rule="fedbuff" if buffer else "fedasync", lr=0.5, clip=1e6, buffer=max(1, buffer), staleness=Staleness(law="constant")
    )
    config = Config(aggregation=aggregation, options={name: options or {}})
    own = configured(config, name)
    healed_ahead, history = Calibration(**HEAL) if ahead else None, own.method.history
    return Rules(aggregation, own, calibration, average=True, last_models=True, ahead=healed_ahead, history=history)


def _afuic(*, buffer: int = 0, calibration: bool = True, **options: Any) -> Rules:
    base = {"heal": HEAL, "guard": NO_GUARD, "patients_client": LOOSE}
    return rules("afuic", base | options, buffer=buffer, calibration=calibration)


SETS: dict[str, Rules] = {
    "afuic": rules("afuic", {"guard": {"versions": 4, "calibration": HEAL}}),
    "afuic-buffered": rules("afuic", {"guard": {"versions": 3, "calibration": HEAL}}, buffer=2),
    "afuic-ahead": rules("afuic", {"heal": HEAL, "guard": {"versions": 3, "calibration": HEAL}}, ahead=True),
    "afuic-ahead-buffered": rules("afuic", {"heal": HEAL, "guard": NO_GUARD, "patients": "both"}, ahead=True, buffer=2),
    "afuic-no-guard": _afuic(),
    "afuic-no-calibration-set": _afuic(calibration=False),
    "afuic-no-heal-buffered": _afuic(heal=None, buffer=2),
    "afuic-remove-server-steps": _afuic(server_steps="remove", guard={"versions": 5, "calibration": HEAL}),
    "afuic-remove-server-steps-ahead": rules(
        "afuic", {"heal": HEAL, "guard": {"versions": 3, "calibration": HEAL}, "server_steps": "remove"}, ahead=True
    ),
    "afuic-damp": _afuic(carriers={"policy": "damp", "factor": 0.5}),
    "afuic-drop": _afuic(carriers={"policy": "drop"}),
    "afuic-drop-buffered": _afuic(carriers={"policy": "drop"}, buffer=2),
    "afuic-project": _afuic(carriers={"policy": "project"}, guard={"versions": 4, "project": True}),
    "afuic-slow-window": _afuic(guard={"versions": 5, "server_step": 0.5}, buffer=2),
    "afuic-average": _afuic(teacher="average", guard={"versions": 3, "calibration": HEAL}),
    "afuic-ensemble": _afuic(teacher="ensemble", guard={"versions": 3, "calibration": HEAL, "teacher": False}),
    "afuic-client": _afuic(client=LOOSE, guard={"versions": 2}),
    "afuic-client-guarded": _afuic(client=LOOSE, guard={"versions": 4, "calibration": HEAL}, heal=None),
    "afuic-patients-scrub": _afuic(patients="scrub"),
    "afuic-patients-scrub-guarded": _afuic(patients="scrub", guard={"versions": 3, "calibration": HEAL}, buffer=2),
    "afuic-patients-both": _afuic(patients="both", guard={"versions": 3}),
    "afuic-paper": rules("afuic-paper", {"ascent": LOOSE, "guard": {"versions": 4, "calibration": HEAL, "teacher": False}}),
    "afuic-paper-uncalibrated": rules("afuic-paper", {"ascent": LOOSE, "guard": {"versions": 2}}, calibration=False),
    "afuic-paper-buffered": rules("afuic-paper", {"ascent": LOOSE, "guard": {"versions": 2}}, buffer=4),
    "continue": rules("continue"),
    "continue-buffered": rules("continue", buffer=4),
    "retrain": rules("retrain"),
    "retrain-buffered": rules("retrain", buffer=2),
    "knot": replace(rules("knot"), clusters=PAIRS),
    "knot-buffered": replace(rules("knot", buffer=2), clusters=PAIRS),
    "knot-uneven": replace(rules("knot"), history=True, clusters={"a": 0, "b": 1, "c": 1, "d": 1}),
}
INEXACT = {"afuic-project"}
