"""Invariance calibration: the server's own training on unlabelled images, for healing and for guarding.

One objective serves both (design section 2, steps 3 and 6):
    E[ w_d · KL(f_T(x) ‖ f_θ(x)) + w_i · KL(sg f_θ(x) ‖ f_θ(Φ(x))) ].
With w_d alone it distils a teacher into the model from which a client was removed; with w_i alone it is the consistency term of Cai & Zhang
(arXiv 2604.26809, Eq. 4), its first argument without gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field

from afuic.config import Section
from afuic.erase.augment import Augment, Augmentation
from afuic.params import Params

Forward = Callable[[Params, torch.Tensor], torch.Tensor]
"""logits [n, classes] of a model on images [n, c, h, w], differentiable in the parameters."""


class Calibration(Section):
    """``steps`` of Adam or SGD with cosine decay on batches of the calibration set.

    ``distil`` weighs the teacher, ``invariance`` the consistency under Φ; ``augmented`` lets teacher and student see Φ(x) instead of x in
    the distillation, which makes few images go further.
    """

    steps: int = Field(600, ge=1, description="optimizer steps")
    batch: int = Field(32, ge=2, description="calibration images in a step")
    lr: float = Field(0.004, gt=0, description="learning rate at the start; it decays to 0 along a cosine")
    optimizer: Literal["adam", "sgd"] = Field("adam", description="sgd has momentum 0.9")
    distil: float = Field(1.0, ge=0, description="weight of KL(teacher ‖ student)")
    invariance: float = Field(0.0, ge=0, description="weight of the consistency under Φ")
    augmented: bool = Field(False, description="teacher and student see Φ(x) instead of x")
    augmentation: Augmentation = Augmentation()
    max_norm: float = Field(5.0, gt=0, description="clip of the gradient's norm")

    def passes(self, count: int, teachers: int) -> float:
        """Image passes, forward and backward, for ``count`` calibration images and that many teachers; a forward is a third of one.

        A teacher sees each image that is used once, unless it is augmented anew in every step.
        """
        used = self.steps * min(self.batch, count)
        taught = (used if self.augmented else min(used, count)) if self.distil else 0
        return used * (2.0 if self.invariance else 1.0) + taught * teachers / 3


def calibrate(
    forward: Forward,
    student: Params,
    teachers: tuple[Params, ...],
    images: torch.Tensor,
    spec: Calibration,
    phi: Augment,
    generator: torch.Generator,
) -> dict[str, torch.Tensor]:
    """The calibrated parameters. ``teachers`` are averaged in probability; without any, the distillation term is left out.

    images: float32 [m, c, h, w], m ≥ 1, unlabelled. A pure function of its arguments and the generator's state.
    """
    leaf = {name: student[name].clone().requires_grad_() for name in sorted(student)}
    optimizer, schedule = _optimizer(list(leaf.values()), spec)
    plan = list(_batches(len(images), spec, generator))
    soft = _taught_once(forward, teachers, images, plan) if teachers and spec.distil and not spec.augmented else None
    for index in plan:
        batch = images[index]
        target = None if soft is None else soft[index]
        if teachers and spec.distil and spec.augmented:
            batch = phi(batch, generator)
            target = _soft_labels(forward, teachers, batch)
        optimizer.zero_grad()
        _objective(forward, leaf, batch, target, spec, phi, generator).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(leaf.values(), spec.max_norm)
        optimizer.step()
        schedule.step()
    return {name: tensor.detach() for name, tensor in leaf.items()}


def divergence(target: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Mean KL(target ‖ softmax(logits)) in nats; ``target`` holds probabilities."""
    return F.kl_div(F.log_softmax(logits, dim=1), target, reduction="batchmean")


def _objective(
    forward: Forward,
    leaf: Params,
    batch: torch.Tensor,
    target: torch.Tensor | None,
    spec: Calibration,
    phi: Augment,
    generator: torch.Generator,
) -> torch.Tensor:
    logits = forward(leaf, batch)
    loss = logits.new_zeros(()) if target is None else spec.distil * divergence(target, logits)
    if spec.invariance:
        anchor = logits.detach().softmax(dim=1)
        loss = loss + spec.invariance * divergence(anchor, forward(leaf, phi(batch, generator)))
    return loss + 0.0 * logits.sum()


def _soft_labels(forward: Forward, teachers: tuple[Params, ...], images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        parts = [torch.stack([forward(t, x).softmax(dim=1) for t in teachers]).mean(0) for x in torch.split(images, 256)]
    return torch.cat(parts)


def _taught_once(
    forward: Forward, teachers: tuple[Params, ...], images: torch.Tensor, plan: list[torch.Tensor]
) -> torch.Tensor:
    """The teachers' probabilities for every image, computed only for those that the plan uses; NaN elsewhere."""
    used = torch.unique(torch.cat(plan))
    taught = _soft_labels(forward, teachers, images[used])
    return taught.new_full((len(images), taught.shape[1]), torch.nan).index_copy(0, used, taught)


def _batches(count: int, spec: Calibration, generator: torch.Generator) -> Iterator[torch.Tensor]:
    pool = torch.empty(0, dtype=torch.long)
    for _ in range(spec.steps):
        while len(pool) < min(spec.batch, count):
            pool = torch.cat([pool, torch.randperm(count, generator=generator)])
        yield pool[: spec.batch]
        pool = pool[spec.batch :]


def _optimizer(
    leaf: list[torch.Tensor], spec: Calibration
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.CosineAnnealingLR]:
    sgd = torch.optim.SGD(leaf, lr=spec.lr, momentum=0.9)
    optimizer = torch.optim.Adam(leaf, lr=spec.lr) if spec.optimizer == "adam" else sgd
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=spec.steps)
