"""PUF: the target trains once more as in any round, and what it sends enters with the opposite sign, scaled.

Mora et al., arXiv 2504.05822. A client's update stands for a gradient; its negation is a step of ascent on the client's loss. It
enters with the others' updates in one normal round (``regular``) or alone (``special``); normal rounds without the target follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import Field

from afuic.erase.method import Method
from afuic.erase.peers.calibrating import NeedsTarget, in_rounds
from afuic.erase.rounds import LocalTraining, Order, Round, Site, View, averaged
from afuic.params import Params, scale, zeros_like


class ForgottenTraining(LocalTraining):
    """The federation's own local training, on the images that are to be forgotten."""

    def passes(self, forget: int, retain: int) -> float:
        """Steps times images in a step."""
        return super().passes(0, forget)

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: Any) -> Params:
        """The usual update from ``start``; no change where there is nothing to forget."""
        if site.forget is None or not len(site.forget[0]):
            return zeros_like(start)
        return site.train(start, site.forget, self.steps, generator)


@dataclass(frozen=True)
class Memory:
    """Rounds done, and the model that the answers start from."""

    done: int
    model: Params


class Options(NeedsTarget):
    """One round (or more) with the negated update, then rounds without the target."""

    mode: Literal["regular", "special"] = Field("regular", description="the negated update enters with the others', or alone")
    rate: float = Field(30.0, gt=0, description="factor on the negated update")
    unlearn_rounds: int = Field(1, ge=1, description="rounds with the negated update")
    recover_rounds: int = Field(10, ge=0, description="rounds of the others afterwards")

    def begin(self, view: View) -> Round:
        """The first round with the target."""
        return self._round(view, Memory(0, view.model))

    def proceed(self, view: View, memory: Memory, answers: Mapping[str, Params]) -> Round:
        """Average the round's answers, the target's negated and scaled."""
        if memory.done < self.unlearn_rounds:
            answers = {**answers, view.target: scale(answers[view.target], -self.rate)}
        return self._round(view, replace(memory, done=memory.done + 1, model=averaged(memory.model, answers)))

    def _round(self, view: View, memory: Memory) -> Round:
        unlearning = memory.done < self.unlearn_rounds
        if memory.done == self.unlearn_rounds + self.recover_rounds:
            return Round(memory.model)
        names = () if unlearning and self.mode == "special" else view.clients
        others = (Order(name, memory.model, LocalTraining()) for name in names if not (unlearning and name == view.target))
        target = (Order(view.target, memory.model, ForgottenTraining(), needed=True),) if unlearning else ()
        return Round(memory.model, (*target, *others), memory)


SEARCH: tuple[dict[str, Any], ...] = (
    {},
    {"recover_rounds": 5},
    {"rate": 12.0, "recover_rounds": 5},
    {"rate": 20.0, "recover_rounds": 5},
    {"mode": "special", "rate": 2.0, "recover_rounds": 5},
    {"mode": "special", "rate": 4.0, "recover_rounds": 5},
)
"""Settings to be compared on validation images, the first the defaults. Published (CIFAR-10 and -100, ResNet-18, ten clients): 20, which
weighs 20/10 = 2 in the mean, and 2 for the special mode; among six clients 12 weighs as much."""


METHOD = Method(
    name="puf",
    source="Mora, Mazzocca, Montanari, Bellavista, arXiv 2504.05822",
    summary="The target trains once more and its update enters negated and scaled; rounds of the others follow.",
    needs_target=True,
    removes=False,
    options=Options,
    plan=in_rounds,
    pauses=True,
)
