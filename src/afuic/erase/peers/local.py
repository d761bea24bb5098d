"""Mini-batch descent at one client, shared by the published methods whose losses are their own.

Training with the federation's own loss is the site's (``Site.train``). What is here minimises any other loss over the client's
images: unlearning losses, contrasts, sensitivities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from pydantic import Field

from afuic.config import Section
from afuic.erase.rounds import Images
from afuic.params import Params, sub, zeros_like

Loss = Callable[[Params, Images], torch.Tensor]
"""A batch's loss, a scalar, differentiable in the parameters."""


class Steps(Section):
    """``steps`` of an optimizer on batches of ``batch`` images, cut from shuffled epochs laid end to end."""

    steps: int = Field(10, ge=1, description="optimizer steps")
    batch: int = Field(64, ge=1, description="images in a step")
    lr: float = Field(0.05, gt=0, description="learning rate")
    momentum: float = Field(0.0, ge=0, lt=1, description="sgd only")
    optimizer: Literal["sgd", "adam"] = Field("sgd", description="adam has its usual moments, 0.9 and 0.999")
    max_norm: float = Field(5.0, gt=0, description="clip of the gradient's norm")

    def images(self, count: int) -> float:
        """Images that the steps see where there are ``count``."""
        return float(self.steps * min(self.batch, count))


def descend(loss: Loss, start: Params, data: Images | None, spec: Steps, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """The change that ``spec`` makes to ``start`` in lowering ``loss``; zeros where there are no images or no parameters.

    A pure function of its arguments and the generator's state. Parameters that the loss does not reach stay as they are.
    """
    if data is None or not len(data[0]) or not start:
        return zeros_like(start)
    leaf = {name: start[name].detach().clone().requires_grad_() for name in sorted(start)}
    optimizer = _optimizer(list(leaf.values()), spec)
    for index in batches(len(data[0]), spec, generator):
        optimizer.zero_grad()
        loss(leaf, (data[0][index], data[1][index])).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(leaf.values(), spec.max_norm)
        optimizer.step()
    return sub({name: tensor.detach() for name, tensor in leaf.items()}, start)


def batches(count: int, spec: Steps, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """``spec.steps`` index tensors of min(batch, count) out of 0 to count − 1."""
    size = min(spec.batch, count)
    epochs = math.ceil(spec.steps * size / count)
    order = torch.cat([torch.randperm(count, generator=generator) for _ in range(epochs)])
    return iter(torch.split(order[: spec.steps * size], size))


def _optimizer(leaf: list[torch.Tensor], spec: Steps) -> torch.optim.Optimizer:
    if spec.optimizer == "adam":
        return torch.optim.Adam(leaf, lr=spec.lr)
    return torch.optim.SGD(leaf, lr=spec.lr, momentum=spec.momentum)
