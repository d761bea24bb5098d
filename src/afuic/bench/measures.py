"""What the tables of a suite show: measures by phase, costs, with the name and the reading each has there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from afuic.report import measures as report
from afuic.report.words import MISSING, duration, number, percent, size

Show = Callable[[float | None], str]
PHASES = {
    "released": "at the release",
    "final": "at the end",
    "late": "over the last five minutes",
    "after": "worst after the release",
    "extra": "further measures",
}


@dataclass(frozen=True)
class Shown:
    """``key`` in the document, its name, and how a value is written."""

    key: str
    label: str
    show: Show


def whole(value: float | None) -> str:
    """A count, or a mean of counts with one decimal where it is none."""
    return MISSING if value is None else f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def amount(value: float | None) -> str:
    """Bytes."""
    return MISSING if value is None else size(round(value))


def rate(value: float | None) -> str:
    """A plain number with two decimals."""
    return number(value, 2)


AT = (
    *(Shown(m.key, m.label, m.show) for m in report.MEASURES),
    Shown("worst_hospital", "Worst hospital", percent),
    Shown("own_hospital", "Its own hospital", percent),
)
"""Measures of a model at one moment."""
LATE_S = 300.0
CURVED = ("accuracy", "forget_accuracy", "forget_loss", "asr_excess")
"""Measures that curves hold."""
SINCE = (
    Shown("asr_excess_max", "Highest excess attack success", percent),
    Shown("forget_accuracy_max", "Highest forget accuracy", percent),
    Shown("accuracy_min", "Lowest accuracy", percent),
    Shown("dip", "Evaluations in a dip", percent),
)
"""What the curve shows from the release on."""
EXTRA = (
    Shown("relearn_steps", "Steps to relearn", whole),
    Shown("relearn_censored", "… not within the limit", percent),
    Shown("relearn_ratio", "… over retraining's", rate),
    Shown("ulira_auc", "U-LiRA AUC", number),
    Shown("ulira_auc_low", "… from", number),
    Shown("ulira_auc_high", "… to", number),
    Shown("ulira_auc_control", "… on test images", number),
    Shown("ulira_tpr", "U-LiRA TPR at 1 % FPR", number),
    Shown("ulira_tpr_low", "… from", number),
    Shown("ulira_tpr_high", "… to", number),
    Shown("ulira_p", "U-LiRA p", number),
)
BY_PHASE = {"released": AT, "final": AT, "late": tuple(s for s in AT if s.key in CURVED), "after": SINCE, "extra": EXTRA}
COSTS = (
    Shown("latency_s", "Latency", duration),
    Shown("latency_to_retrain", "… of retraining's", percent),
    Shown("stall_client_s", "Others' stall", duration),
    Shown("updates_lost", "Updates lost", whole),
    Shown("staleness", "Versions to the release", whole),
    Shown("server_s", "Server's work", duration),
    Shown("bytes_moved", "Data sent", amount),
    Shown("bytes_stored", "Data kept", amount),
    Shown("updates_after", "Updates per hospital after", whole),
)
SPENT = (
    Shown("cpu_s", "CPU", duration),
    Shown("own_s", "… protocol, ledger, files", duration),
    Shown("checkpoint_bytes", "Checkpoint", amount),
)
"""Of the machine, not of the virtual clock."""
TESTED = (
    *(
        ("final", key)
        for key in ("accuracy", "auroc", "forget_accuracy", "forget_loss", "asr_excess", "mia_auc", "js_to_retrain")
    ),
    ("released", "accuracy"),
    ("released", "forget_accuracy"),
    ("released", "asr_excess"),
    ("after", "asr_excess_max"),
    ("cost", "latency_s"),
    ("cost", "stall_client_s"),
    ("cost", "updates_lost"),
)
"""What is compared with afuic seed by seed, all corrected together; measures by |z|, costs by their values."""


def shown(key: str) -> Shown:
    """The measure or cost of that key."""
    return next(s for s in (*AT, *SINCE, *EXTRA, *COSTS, *SPENT) if s.key == key)
