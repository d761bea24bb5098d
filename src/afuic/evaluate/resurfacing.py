"""Whether what was erased comes back while the others train on: the worst value after the release, not the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MEASURES = ("asr_excess", "forget_accuracy")


def resurfacing(curve: Sequence[Mapping[str, Any]], since_t: float) -> dict[str, float | None]:
    """``asr_excess_max`` and ``forget_accuracy_max`` over points with ``t`` >= ``since_t``, seconds; None if none has it."""
    after = [point for point in curve if point["t"] >= since_t]
    return {f"{name}_max": _highest(after, name) for name in MEASURES}


def _highest(points: Sequence[Mapping[str, Any]], name: str) -> float | None:
    return max((float(point[name]) for point in points if point.get(name) is not None), default=None)
