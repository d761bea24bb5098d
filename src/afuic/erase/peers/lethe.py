"""A Lethe-like arm: unlearning that further training on the retained data does not bring back.

After the abstracts of Tan et al., arXiv 2601.22601 (versions 1 to 3); the paper's equations were not at hand. Reshape: a temporary
adapter ascends on the forgotten images, for a magnified update. Rectify: with the adapter on, the target's stream ascends and the
retained clients' streams train; layer by layer both are turned until they do not work against each other and nothing points
back against the adapter. Restore: the adapter is taken off and a few rounds of the others follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field

from afuic.erase.method import Method
from afuic.erase.peers.calibrating import NeedsTarget, in_rounds
from afuic.erase.peers.local import Steps, descend
from afuic.erase.rounds import Images, Job, LocalTraining, Order, Round, Site, View, average, averaged
from afuic.params import Params, add, sub

UP, DOWN = "lethe.up.", "lethe.down."


def adapted(model: Params, adapter: Params) -> dict[str, torch.Tensor]:
    """``model`` with the adapter on: W + B·A for each tensor that has one, as matrices [out, rest]."""
    return {n: t + (adapter[UP + n] @ adapter[DOWN + n]).view_as(t) if UP + n in adapter else t for n, t in model.items()}


def fresh(model: Params, rank: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """An adapter that changes nothing yet, for each tensor of two dimensions or more: A normal with variance 1/columns, B zero."""
    out: dict[str, torch.Tensor] = {}
    for name in sorted(n for n, t in model.items() if t.dim() >= 2):
        matrix = model[name].flatten(1)
        size = min(rank, *matrix.shape)
        out[DOWN + name] = torch.randn(size, matrix.shape[1], generator=generator) / matrix.shape[1] ** 0.5
        out[UP + name] = torch.zeros(matrix.shape[0], size)
    return out


class Reshape(Job):
    """Gradient ascent on the forgotten images by the adapter alone; the answer is what it adds to the model."""

    rank: int
    steps: Steps

    def passes(self, forget: int, retain: int) -> float:
        """The images of the steps."""
        return self.steps.images(forget)

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> Params:
        """B·A by name; zeros for the tensors without."""
        adapter = fresh(start, self.rank, generator)

        def loss(params: Params, batch: Images) -> torch.Tensor:
            return -F.cross_entropy(site.forward(adapted(start, params), batch[0]), batch[1])

        adapter = add(adapter, descend(loss, adapter, site.forget, self.steps, generator))
        return sub(adapted(start, adapter), start)


class Ascent(Job):
    """Gradient ascent on the forgotten images from the adapted model: the forget stream."""

    steps: Steps

    def passes(self, forget: int, retain: int) -> float:
        """The images of the steps."""
        return self.steps.images(forget)

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> Params:
        """The change of the model."""

        def loss(params: Params, batch: Images) -> torch.Tensor:
            return -F.cross_entropy(site.forward(params, batch[0]), batch[1])

        return descend(loss, start, site.forget, self.steps, generator)


def rectified(forget: Params, retain: Params, adapter: Params) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Both streams, layer by layer, after their mutual correction.

    The retain stream loses what points against the adapter, back to the forgotten. The forget stream loses what points against the
    retain stream. After that no layer of either undoes the other.
    """
    kept = {n: _without_opposite(t, adapter[n]) for n, t in retain.items()}
    return {n: _without_opposite(t, kept[n]) for n, t in forget.items()}, kept


def _without_opposite(step: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """``step`` without its part along ``other`` where that part is opposite to it."""
    length, along = float((other.double() ** 2).sum()), float((step.double() * other.double()).sum())
    return step - (along / length) * other if along < 0 < length else step


@dataclass(frozen=True)
class Memory:
    """The stage, how many of its rounds are done, the model without the adapter, and what the adapter adds."""

    stage: str
    done: int
    model: Params
    adapter: Params | None = None


class Options(NeedsTarget):
    """One round to reshape, some to rectify, some to restore."""

    rank: int = Field(4, ge=1, description="of the adapter")
    reshape: Steps = Steps(steps=20, batch=64, lr=0.05)
    forget: Steps = Steps(steps=5, batch=64, lr=0.02)
    weight: float = Field(8.0, gt=0, description="factor on the forget stream")
    rectify_rounds: int = Field(5, ge=1, description="rounds of the two streams with the adapter on")
    recover_rounds: int = Field(8, ge=0, description="rounds of the others with the adapter off")

    def begin(self, view: View) -> Round:
        """Reshape: the target trains the adapter."""
        job = Reshape(rank=self.rank, steps=self.reshape)
        return Round(view.model, (Order(view.target, view.model, job, needed=True),), Memory("reshape", 0, view.model))

    def proceed(self, view: View, memory: Memory, answers: Mapping[str, Params]) -> Round:
        """Rectify while its rounds last, then restore."""
        if memory.stage == "reshape":
            return self._rectify(view, replace(memory, stage="rectify", adapter=answers[view.target]))
        if memory.stage == "restore":
            return self._restore(view, replace(memory, done=memory.done + 1, model=averaged(memory.model, answers)))
        memory = replace(memory, done=memory.done + 1, model=self._streamed(view, memory, answers))
        if memory.done < self.rectify_rounds:
            return self._rectify(view, memory)
        return self._restore(view, Memory("restore", 0, memory.model))

    def _streamed(self, view: View, memory: Memory, answers: Mapping[str, Params]) -> Params:
        assert memory.adapter is not None  # noqa: S101 - the stages follow each other
        others = {name: answer for name, answer in answers.items() if name != view.target}
        forget, retain = rectified(answers[view.target], average(others, memory.model), memory.adapter)
        return add(add(memory.model, retain), forget, self.weight)

    def _rectify(self, view: View, memory: Memory) -> Round:
        assert memory.adapter is not None  # noqa: S101 - the stages follow each other
        start = add(memory.model, memory.adapter)
        target = Order(view.target, start, Ascent(steps=self.forget), needed=True)
        others = (Order(name, start, LocalTraining()) for name in view.clients if name != view.target)
        return Round(memory.model, (target, *others), memory)

    def _restore(self, view: View, memory: Memory) -> Round:
        if memory.done == self.recover_rounds:
            return Round(memory.model)
        return Round(memory.model, tuple(Order(name, memory.model, LocalTraining()) for name in view.clients), memory)


SEARCH: tuple[dict[str, Any], ...] = (
    {},
    {"recover_rounds": 4},
    {"weight": 4.0, "recover_rounds": 4},
    {"weight": 4.0, "rectify_rounds": 10, "recover_rounds": 2},
    {"weight": 16.0, "recover_rounds": 4},
    {"rank": 8, "reshape": {"steps": 40, "lr": 0.1}, "recover_rounds": 4},
)
"""Settings to be compared on validation images, the first the defaults."""


METHOD = Method(
    name="lethe",
    source="Lethe-like, after the abstracts of Tan et al., arXiv 2601.22601",
    summary="Lethe-like: an adapter ascends and guides both streams of updates, layer by layer; without it rounds follow.",
    needs_target=True,
    removes=False,
    options=Options,
    plan=in_rounds,
    pauses=True,
)
