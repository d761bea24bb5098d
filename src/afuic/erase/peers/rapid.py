"""Rapid Retraining (Liu et al., arXiv 2203.07320): retraining from scratch whose local steps are second-order, so that fewer rounds do.

A client's step is of Newton type, the Hessian replaced by the diagonal of the empirical Fisher information, both gradient and Fisher
smoothed by momentum. Nothing is inherited from the trained model; the retained clients train in synchronous rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field

from afuic.erase.calibrate import Forward
from afuic.erase.method import Method
from afuic.erase.peers.averaging import Retraining, answered, train
from afuic.erase.peers.calibrating import InRounds, in_rounds
from afuic.erase.rounds import Images, Job, Round, Site, View
from afuic.params import Params, sub, zeros_like


class FisherTraining(Job):
    """``steps`` of θ ← θ − lr · m̂/(v̂^power + damping), m̂ the smoothed gradient, v̂ the smoothed diagonal of the empirical Fisher.

    ``power`` 1 is the paper's Newton step, 1/2 Adam's (Kingma & Ba, arXiv 1412.6980, section 5), which takes the root of the same diagonal.
    """

    steps: int = Field(20, ge=1, description="steps of a client in a round")
    batch: int = Field(32, ge=1, description="images in a step")
    lr: float = Field(0.001, gt=0, description="learning rate")
    gradient_decay: float = Field(0.9, ge=0, lt=1, description="β1, momentum of the gradient")
    fisher_decay: float = Field(0.999, ge=0, lt=1, description="β2, momentum of the Fisher diagonal")
    damping: float = Field(0.01, gt=0, description="added to the curvature, so that flat directions do not explode")
    power: float = Field(1.0, gt=0, le=1, description="1: the inverse Fisher; 0.5: its root, as Adam")

    def passes(self, forget: int, retain: int) -> float:
        """Steps times images in a step: the Fisher diagonal is made of the gradient that is there anyway."""
        return float(self.steps * min(self.batch, max(retain, 1)))

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> Params:
        """Train from ``start``; a client without images that stay answers with no change."""
        if site.retain is None or not len(site.retain[0]):
            return zeros_like(start)
        return sub(self._trained(site.forward, start, site.retain, generator), start)

    def _trained(self, forward: Forward, start: Params, data: Images, generator: torch.Generator) -> Params:
        model, momentum, fisher = dict(start), zeros_like(start), zeros_like(start)
        for step, index in enumerate(self._batches(len(data[0]), generator), 1):
            gradient = _gradient(forward, model, data[0][index], data[1][index])
            for name in sorted(model):
                momentum[name] = torch.lerp(gradient[name], momentum[name], self.gradient_decay)
                fisher[name] = torch.lerp(gradient[name].square(), fisher[name], self.fisher_decay)
                unbiased = momentum[name] / (1 - self.gradient_decay**step)
                curvature = (fisher[name] / (1 - self.fisher_decay**step)) ** self.power
                model[name] = model[name] - self.lr * unbiased / (curvature + self.damping)
        return model

    def _batches(self, count: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
        pool = torch.empty(0, dtype=torch.int64)
        size = min(self.batch, count)
        for _ in range(self.steps):
            if len(pool) < size:
                pool = torch.cat([pool, torch.randperm(count, generator=generator)])
            yield pool[:size]
            pool = pool[size:]


def _gradient(forward: Forward, model: Params, images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    leaf = {name: model[name].detach().requires_grad_() for name in sorted(model)}
    loss = F.cross_entropy(forward(leaf, images), labels)
    found = torch.autograd.grad(loss, list(leaf.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(leaf, found, strict=True))


class Rapid(InRounds):
    """Synchronous rounds from θ_0."""

    rounds: int = Field(40, ge=1, description="synchronous rounds of retraining")
    training: FisherTraining = FisherTraining()

    def begin(self, view: View) -> Round:
        """The first round, from the initial model."""
        return train(view, view.origin, 0, self.rounds, self.training)

    def proceed(self, view: View, memory: Retraining, answers: Mapping[str, Params]) -> Round:
        """The next round."""
        return answered(view, memory, answers, self.rounds, self.training)


SEARCH: tuple[dict[str, Any], ...] = (
    {},
    {"rounds": 20},
    {"rounds": 20, "training": {"damping": 0.03}},
    {"rounds": 20, "training": {"damping": 1e-08, "power": 0.5}},
    {"rounds": 10, "training": {"damping": 1e-08, "power": 0.5}},
    {"rounds": 10, "training": {"steps": 40, "damping": 1e-08, "power": 0.5}},
)

METHOD = Method(
    name="rapid",
    source="Liu et al., Rapid Retraining, arXiv 2203.07320",
    summary="Retrain from scratch in synchronous rounds with second-order local steps.",
    needs_target=False,
    removes=False,
    options=Rapid,
    plan=in_rounds,
    pauses=True,
)
