"""Projected gradient ascent at the target, then a few rounds of recovery by the others.

Halimi et al., arXiv 2207.05521. The target maximises its own loss inside a ball around θ_ref, the average of the others' models, and stops
early; from what it sends the others train on without it. Training pauses meanwhile, as the paper's rounds demand: ``afuic-paper`` is the
asynchronous form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from afuic.erase.method import Method
from afuic.erase.peers.averaging import Retraining, answered
from afuic.erase.peers.calibrating import NeedsTarget, in_rounds
from afuic.erase.rounds import Job, LocalTraining, Order, Round, Site, View
from afuic.erase.scrub import Scrub, reference, scrubbed
from afuic.params import Params, add, norm, sub, zeros_like

RANDOM_MODELS = 10
BEFORE = -1
"""Rounds of recovery that are over while the target ascends."""


class Ascending(Scrub):
    """The ascent with the published settings where they are known: at most a third of the mean distance to random models away from
    θ_ref, over at 12 % accuracy on a batch, nothing but the images to be forgotten. ``bound`` and ``passes`` have no effect here.
    """

    objective: Literal["ascent", "capped"] = Field("ascent", description="ascent: −CE, as published")
    steps: int = Field(100, ge=1, description="steps of SGD at most")
    lr: float = Field(0.02, gt=0, description="learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD; the ball takes nothing from it")
    stop_accuracy: float = Field(0.12, ge=0, lt=1, description="end when a forget batch is classified no better")
    retain: float = Field(0.0, ge=0, description="weight of the cross-entropy on retained images; published: none")
    distil: float = Field(0.0, ge=0, description="weight of KL(start ‖ model) on retained images; published: none")


class ProjectedAscent(Job):
    """The target's part. ``clients`` is N of θ_ref; without a model of its own sent along the target trains one first."""

    ascent: Ascending = Ascending()
    clients: int = 2
    first: float = 0.0

    def passes(self, forget: int, retain: int) -> float:
        """Steps times images in a step, at most; and ``first`` for a model of its own."""
        return self.first + self.ascent.steps * min(self.ascent.batch, max(forget, 1))

    def spent(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> float:
        """The steps until the ascent stops, found by making them."""
        forget = len(site.forget[0]) if site.forget else 0
        return self.first + self._climbed(site, start, models, generator)[1] * min(self.ascent.batch, max(forget, 1))

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> Params:
        """From θ_ref up the loss; the change is counted from ``start``."""
        return self._climbed(site, start, models, generator)[0]

    def _climbed(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> tuple[Params, int]:
        if site.forget is None or not len(site.forget[0]):
            return zeros_like(start), 0
        own = models[0] if models else add(start, site.train(start, site.forget, None, generator))
        centre = reference(start, own, self.clients)
        distances = [norm(sub(site.initial(generator), centre)) for _ in range(RANDOM_MODELS)]
        radius = self.ascent.radius * sum(distances) / RANDOM_MODELS
        climbed, steps = scrubbed(site.forward, centre, centre, radius, site.forget, site.retain, self.ascent, generator)
        return add(sub(centre, start), climbed), steps


class Options(NeedsTarget):
    """The ascent, and the rounds after it."""

    last_models: ClassVar[bool] = True
    ascent: Ascending = Ascending()
    rounds: int = Field(5, ge=0, description="rounds of recovery by those who stay")
    steps: int | None = Field(None, ge=1, description="steps of a client in a round; none: as in any task")

    def begin(self, view: View) -> Round:
        """The target's ascent."""
        own = (view.last_models[view.target],) if view.target in view.last_models else ()
        clients, first = max(2, len({*view.clients, view.target})), 0.0 if own else LocalTraining().passes(0, 32)
        job = ProjectedAscent(ascent=self.ascent, clients=clients, first=first)
        order = Order(view.target, view.model, job, own, needed=True)
        return Round(view.model, (order,), Retraining(view.model, BEFORE))

    def proceed(self, view: View, memory: Retraining, answers: Mapping[str, Params]) -> Round:
        """What the target sent, then the mean of the others' answers, round after round."""
        return answered(view, memory, answers, self.rounds, LocalTraining(steps=self.steps))


SEARCH: tuple[dict[str, Any], ...] = (
    {},
    {"ascent": {"lr": 0.01}},
    {"ascent": {"lr": 0.01}, "rounds": 10},
    {"ascent": {"lr": 0.01, "stop_accuracy": 0.0}},
    {"ascent": {"stop_accuracy": 0.0}},
    {"ascent": {"lr": 0.01, "stop_accuracy": 0.0}, "rounds": 10},
)
"""Settings to be compared on validation images, the first the defaults: rate and momentum of the public code."""


METHOD = Method(
    name="halimi",
    source="Halimi, Kadhe, Rawat, Baracaldo, arXiv 2207.05521",
    summary="Projected gradient ascent at the target around the others' average, then rounds of recovery by those who stay.",
    needs_target=True,
    removes=False,
    options=Options,
    plan=in_rounds,
    pauses=True,
)
