"""FedEraser (Liu et al., arXiv 2012.13891): replay the retained clients' stored updates, each turned into the direction it would take now.

How far a client's update went is remembered, where it goes is asked again: the retained clients train briefly from the model rebuilt so
far, and the stored update's norm is given to the direction of that training (section III.B). Only the first round needs no calibration,
since the initial model has not met the target. Rounds are blocks of an asynchronous history here (``blocks``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from afuic.erase.method import Method
from afuic.erase.peers.blocks import Block, blocks, by_client
from afuic.erase.peers.calibrating import InRounds, in_rounds
from afuic.erase.rounds import LocalTraining, Order, Past, Round, View
from afuic.params import Params, add, norm, scale, total


class Brief(LocalTraining):
    """E_cali: ten of a task's twenty steps, the paper's ratio r = 0.5."""

    steps: int | None = Field(20, ge=1, description="steps of the calibration training; none: as many as any task")


@dataclass(frozen=True)
class Replay:
    """Memory: the model rebuilt so far, and the number of the block under way."""

    model: Params
    block: int


class FedEraser(InRounds):
    """``interval`` is the paper's Δt, the retaining interval."""

    interval: int = Field(2, ge=1, description="every so many blocks are replayed; the updates in between are left out")
    calibration: Brief = Brief()

    def begin(self, view: View) -> Round:
        """θ_0 and what the first block added from models without the target; then the first calibration."""
        met, head = _met(view), blocks(view.history)[:1]
        clean = [past.share for block in head for past in block if _clean(view, past, met)]
        return self._from(view, add(view.origin, total(clean, view.origin)), 0)

    def proceed(self, view: View, memory: Replay, answers: Mapping[str, Params]) -> Round:
        """Add the calibrated updates of the block and go to the next."""
        stored, model = _stored(view, self._kept(view)[memory.block], memory.block), memory.model
        for client in sorted(answers):
            model = add(model, calibrated(stored[client], answers[client]))
        return self._from(view, model, memory.block + 1)

    def _from(self, view: View, model: Params, start: int) -> Round:
        for number, block in enumerate(self._kept(view)[start:], start):
            stored = _stored(view, block, number)
            orders = tuple(Order(client, model, self.calibration) for client in view.clients if client in stored)
            if orders:
                return Round(model, orders, Replay(model, number))
        return Round(model)

    def _kept(self, view: View) -> tuple[Block, ...]:
        return blocks(view.history)[:: self.interval]


def calibrated(stored: Params, fresh: Params) -> Params:
    """‖U‖·Û/‖Û‖: as long as the stored update U, in the direction of the fresh one Û; a zero Û has none and stays zero."""
    size = norm(fresh)
    return scale(fresh, norm(stored) / size) if size > 0 else fresh


def _stored(view: View, block: Block, number: int) -> dict[str, Params]:
    """What of the block is to be calibrated, by client; in the first, without what was clean."""
    met = _met(view)
    todo = [past for past in block if not (view.whole and past.contributor in view.gone)]
    return by_client([past for past in todo if number > 0 or not _clean(view, past, met)])


def _met(view: View) -> float:
    """The first version that held something of what is to be erased."""
    return min((past.version for past in view.history if past.contributor in view.gone), default=math.inf)


def _clean(view: View, past: Past, met: float) -> bool:
    """Whether an update was made by someone else from a model that had not met the target."""
    return past.contributor not in view.gone and past.base_version < met


SEARCH: tuple[dict[str, Any], ...] = (
    {},
    {"calibration": {"steps": 10}},
    {"interval": 1, "calibration": {"steps": 10}},
    {"interval": 1, "calibration": {"steps": 5}},
    {"calibration": {"steps": 5}},
    {"interval": 4},
)

METHOD = Method(
    name="federaser",
    source="Liu et al., FedEraser, arXiv 2012.13891",
    summary="Replay the others' stored updates, each with its norm and the direction of a short new training.",
    needs_target=False,
    removes=True,
    options=FedEraser,
    plan=in_rounds,
    history=True,
    pauses=True,
)
