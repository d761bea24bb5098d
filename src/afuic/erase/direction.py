"""Keeping the model from moving back: the part of a step that points along an erased contribution is taken out."""

from __future__ import annotations

from collections.abc import Iterable

from afuic.params import Params, add, dot


def without_return(step: Params, directions: Iterable[Params]) -> Params:
    """``step`` minus its positive components along each erased direction C: Δ − max(0, ⟨Δ,C⟩/⟨C,C⟩)·C.

    Only movement back towards what was removed is taken out; movement away or across stays. Directions are treated one after
    the other, newest last. Zero directions change nothing. (FedOSD, arXiv 2412.20200, projects against reverting in
    the same spirit.)
    """
    for direction in directions:
        size = dot(direction, direction)
        back = dot(step, direction) / size if size > 0 else 0.0
        if back > 0:
            step = add(step, direction, -back)
    return step
