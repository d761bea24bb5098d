"""FedOSD: unlearn along the steepest direction that no retained client objects to, and do not come back afterwards.

Pan et al., AAAI 2025, arXiv 2412.20200. In an unlearning round the target descends on the unlearning cross-entropy, everyone else
on the usual one, and the model takes the step closest to the target's among those orthogonal to all the others. In a post-training
round each retained client's step loses its part along the way that unlearning has gone, so that it cannot lead back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field

from afuic.erase.method import Method
from afuic.erase.peers.calibrating import NeedsTarget, in_rounds
from afuic.erase.peers.local import Steps, descend
from afuic.erase.rounds import Images, Job, LocalTraining, Order, Round, Site, View, averaged
from afuic.params import Params, add, dot, norm, scale, sub

CUTOFF = 1e-9
"""Directions of the retained steps whose share of the Gram matrix is smaller count as none (the inverse is a pseudo-inverse)."""


def unlearning_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean of −ln(1 − p_y/2): between 0, where nothing of the label is left, and ln 2, so that descent converges."""
    own = F.softmax(logits, dim=1).gather(1, labels[:, None])
    return -torch.log1p(-own / 2).mean()


class Descent(Job):
    """A few steps of plain SGD, whose change stands for the gradient: on what is to be forgotten, or on what stays."""

    loss: Literal["unlearning", "training"]
    steps: Steps

    def passes(self, forget: int, retain: int) -> float:
        """The images of the steps."""
        return self.steps.images(forget if self.loss == "unlearning" else retain)

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> Params:
        """The change of the model, −rate times the sum of the gradients."""
        data = site.forget if self.loss == "unlearning" else site.retain
        criterion = unlearning_cross_entropy if self.loss == "unlearning" else F.cross_entropy

        def loss(params: Params, batch: Images) -> torch.Tensor:
            return criterion(site.forward(params, batch[0]), batch[1])

        return descend(loss, start, data, self.steps, generator)


def orthogonal(target: Params, others: tuple[Params, ...]) -> Params:
    """The step closest to ``target`` that is orthogonal to all ``others``, as long as ``target`` is; zeros where there is none.

    u − Aᵀ(AAᵀ)⁺Au with the others' steps as the rows of A, computed in the space of the rows: inner products in float64.
    """
    if not others:
        return target
    gram = torch.tensor([[dot(a, b) for b in others] for a in others], dtype=torch.float64)
    along = torch.tensor([dot(a, target) for a in others], dtype=torch.float64)
    weights = (torch.linalg.pinv(gram, rtol=CUTOFF, hermitian=True) @ along).tolist()
    left = target
    for other, weight in zip(others, weights, strict=True):
        left = add(left, other, -weight)
    return _as_long_as(left, target)


def without_way_back(step: Params, way: Params) -> Params:
    """``step`` without its part along ``way``, as long as it was; zeros where it was all along it."""
    length = dot(way, way)
    return _as_long_as(add(step, way, -dot(step, way) / length), step) if length else step


def _as_long_as(direction: Params, model: Params) -> Params:
    """``direction`` with the norm of ``model``; what is rounding error of it alone counts as zero."""
    size, wanted = norm(direction), norm(model)
    return scale(direction, wanted / size) if size > 1e-6 * wanted else scale(direction, 0.0)


@dataclass(frozen=True)
class Memory:
    """The stage, how many of its rounds are done, and the model that the answers start from."""

    stage: str
    done: int
    model: Params


class Options(NeedsTarget):
    """Rounds of unlearning, then of post-training with the projection against reverting."""

    unlearn_rounds: int = Field(5, ge=1, description="rounds in which the target unlearns")
    recover_rounds: int = Field(4, ge=0, description="rounds of the others afterwards")
    local: Steps = Steps(steps=10, batch=64, lr=0.2)
    project: bool = Field(True, description="take the way back out of each step of the post-training")

    def begin(self, view: View) -> Round:
        """Everyone's steps at the model of the request."""
        return self._unlearn(view, Memory("unlearn", 0, view.model))

    def proceed(self, view: View, memory: Memory, answers: Mapping[str, Params]) -> Round:
        """Take the round's step, and ask for the next until all rounds are done."""
        done = replace(memory, done=memory.done + 1)
        if memory.stage == "recover":
            return self._recover(view, replace(done, model=self._post_trained(view, memory.model, answers)))
        others = tuple(answers[name] for name in sorted(answers) if name != view.target)
        moved = add(memory.model, orthogonal(answers[view.target], others))
        if done.done < self.unlearn_rounds:
            return self._unlearn(view, replace(done, model=moved))
        return self._recover(view, Memory("recover", 0, moved))

    def _unlearn(self, view: View, memory: Memory) -> Round:
        start = memory.model
        target = Order(view.target, start, Descent(loss="unlearning", steps=self.local), needed=True)
        others = (name for name in view.clients if name != view.target)
        orders = (Order(name, start, Descent(loss="training", steps=self.local)) for name in others)
        return Round(start, (target, *orders), memory)

    def _recover(self, view: View, memory: Memory) -> Round:
        if memory.done == self.recover_rounds:
            return Round(memory.model)
        return Round(memory.model, tuple(Order(name, memory.model, LocalTraining()) for name in view.clients), memory)

    def _post_trained(self, view: View, model: Params, answers: Mapping[str, Params]) -> Params:
        way = sub(model, view.model)
        steps = {n: without_way_back(s, way) for n, s in answers.items()} if self.project else answers
        return averaged(model, steps)


SEARCH: tuple[dict[str, Any], ...] = (
    {},
    {"local": {"lr": 0.1}},
    {"local": {"lr": 0.05}},
    {"unlearn_rounds": 10, "local": {"lr": 0.1}},
    {"recover_rounds": 8, "local": {"lr": 0.1}},
    {"unlearn_rounds": 10, "local": {"steps": 5, "lr": 0.1}},
)
"""Settings to be compared on validation images, the first the defaults."""


METHOD = Method(
    name="fedosd",
    source="Pan et al., AAAI 2025, arXiv 2412.20200",
    summary="Unlearn along the steepest direction orthogonal to the others' gradients, then train without the way back.",
    needs_target=True,
    removes=False,
    options=Options,
    plan=in_rounds,
    pauses=True,
)
