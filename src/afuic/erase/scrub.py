"""Unlearning at the client, on its own images and device: it returns a change of the model, bounded in norm.

``ascent`` is projected gradient ascent (Halimi et al., arXiv 2207.05521, Algorithm 1): raise the loss on the forget set, stay in a ball
around θ_ref. ``capped`` stops caring about an image once its loss is that of a uniform guess, so that nothing is over-unlearned
(in the spirit of the bounded unlearning loss of FedOSD, arXiv 2412.20200). Both can descend on retained images of the same client at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field

from afuic.config import Section
from afuic.erase.calibrate import Forward, divergence
from afuic.params import Params, add, clip, sub, zeros_like

Images = tuple[torch.Tensor, torch.Tensor]
"""images [n, c, h, w] and labels [n]."""


class Scrub(Section):
    """``steps`` of SGD on the client. ``radius`` of the ball: a share of the mean distance between θ_ref and random models.

    ``stop_accuracy``: end when a batch of the forget set is classified no better than this. ``retain`` weighs cross-entropy and
    ``distil`` the divergence from the starting model, both on the client's retained images.
    """

    objective: Literal["ascent", "capped"] = Field("capped", description="capped ends at a uniform guess's loss")
    steps: int = Field(60, ge=1, description="steps of SGD at most")
    batch: int = Field(64, ge=1, description="images to forget, and retained ones, in a step")
    lr: float = Field(0.01, gt=0, description="learning rate")
    momentum: float = Field(0.0, ge=0, lt=1, description="of SGD; the ball takes nothing from it")
    radius: float = Field(1 / 3, gt=0, description="share of the mean distance from θ_ref to random models")
    stop_accuracy: float = Field(0.0, ge=0, lt=1, description="end when a forget batch is classified no better")
    retain: float = Field(1.0, ge=0, description="weight of the cross-entropy on retained images")
    distil: float = Field(1.0, ge=0, description="weight of KL(start ‖ model) on retained images")
    max_norm: float = Field(5.0, gt=0, description="clip of the gradient's norm")
    bound: float = Field(0.5, gt=0, description="bound on the change's norm, as a share of ‖C_c‖ at the server")
    passes: float = Field(2.0, gt=0, description="image passes in a step over its batch, for the clock")


def reference(model: Params, client_model: Params, clients: int) -> Params:
    """θ_ref = (N·θ − θ_c)/(N − 1): the model without the client's share of a plain average (arXiv 2207.05521, section 3)."""
    return add(model, sub(model, client_model), 1.0 / (clients - 1))


def scrub(
    forward: Forward,
    start: Params,
    centre: Params,
    radius: float,
    forget: Images,
    retain: Images | None,
    spec: Scrub,
    generator: torch.Generator,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, torch.Tensor]:
    """The change (unlearned − start). ``centre`` and ``radius`` (absolute) give the ball; ``stop`` is asked between batches.

    ``forget`` holds at least one image; ``retain`` None or empty leaves the retained terms out.
    """
    return scrubbed(forward, start, centre, radius, forget, retain, spec, generator, stop)[0]


def scrubbed(
    forward: Forward,
    start: Params,
    centre: Params,
    radius: float,
    forget: Images,
    retain: Images | None,
    spec: Scrub,
    generator: torch.Generator,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[dict[str, torch.Tensor], int]:
    """``scrub``, and how many steps it took."""
    model: Params = dict(start)
    velocity, steps = zeros_like(start), 0
    while steps < spec.steps and not stop():
        batches = _draw(forget, spec, generator), _draw(retain, spec, generator)
        gradient, accuracy = _gradient(forward, model, start, *batches, spec)
        velocity = add(gradient, velocity, spec.momentum) if spec.momentum else gradient
        moved = {name: tensor - spec.lr * velocity[name] for name, tensor in model.items()}
        model = add(centre, clip(sub(moved, centre), radius))
        steps += 1
        if accuracy <= spec.stop_accuracy:
            break
    return sub(model, start), steps


def forget_loss(logits: torch.Tensor, labels: torch.Tensor, objective: str) -> torch.Tensor:
    """The loss to lower: −CE for ascent; −min(CE, ln classes) per image for capped."""
    losses = F.cross_entropy(logits, labels, reduction="none")
    if objective == "capped":
        losses = losses.clamp(max=math.log(logits.shape[1]))
    return -losses.mean()


def _gradient(
    forward: Forward, model: Params, start: Params, forget: Images | None, retain: Images | None, spec: Scrub
) -> tuple[dict[str, torch.Tensor], float]:
    if forget is None:
        raise ValueError("the forget set is empty")
    leaf = {name: model[name].detach().clone().requires_grad_() for name in sorted(model)}
    logits = forward(leaf, forget[0])
    loss = forget_loss(logits, forget[1], spec.objective)
    if retain is not None and (spec.retain or spec.distil):
        loss = loss + _retain_loss(forward, leaf, start, retain, spec)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(leaf.values(), spec.max_norm)
    clipped = {n: torch.zeros_like(t) if t.grad is None else t.grad for n, t in leaf.items()}
    return clipped, float((logits.argmax(1) == forget[1]).float().mean())


def _retain_loss(forward: Forward, leaf: Params, start: Params, retain: Images, spec: Scrub) -> torch.Tensor:
    logits = forward(leaf, retain[0])
    with torch.no_grad():
        target = forward(start, retain[0]).softmax(dim=1)
    return spec.retain * F.cross_entropy(logits, retain[1]) + spec.distil * divergence(target, logits)


def _draw(data: Images | None, spec: Scrub, generator: torch.Generator) -> Images | None:
    if data is None or len(data[0]) == 0:
        return None
    index = torch.randperm(len(data[0]), generator=generator)[: spec.batch]
    return data[0][index], data[1][index]
