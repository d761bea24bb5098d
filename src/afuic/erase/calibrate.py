"""Invariance calibration: the server's own training on unlabelled images, for healing and for guarding.

One objective serves both (design section 2, steps 3 and 6):
    E[ w_d · KL(f_T(x) ‖ f_θ(x)) + w_i · KL(sg f_θ(x) ‖ f_θ(Φ(x))) ].
With w_d alone it distils a teacher into the model from which a client was removed; with w_i alone it is the consistency term of Cai & Zhang
(arXiv 2604.26809, Eq. 4), its first argument without gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field

from afuic.config import Section
from afuic.erase.augment import Augment, Augmentation
from afuic.erase.orient import TURNS, Views
from afuic.params import Params

HELD_OUT_LEAST, HELD_OUT_MOST = 16, 128
AVERAGE = 0.99
CHUNK = 256
Forward = Callable[[Params, torch.Tensor], torch.Tensor]
"""logits [n, classes] of a model on images [n, c, h, w], differentiable in the parameters."""


class Calibration(Section):
    """``steps`` of Adam or SGD on batches of the calibration set, or fewer where it stops by itself.

    ``distil`` weighs the teacher, ``invariance`` the consistency under Φ; ``augmented`` lets teacher and student see Φ(x) instead of x in
    the distillation, which makes few images go further and brings more of what the teacher knows of the erased data with it.

    With ``gain`` an eighth of the images is held out and the gap, the mean KL(teacher ‖ model) on them in nats, is measured every
    ``check`` steps: calibration ends once a stretch has closed less than ``gain`` of it, or once it is no more than ``enough``.
    The rate is then constant and the model is the moving average of the steps. Without ``gain`` all steps are made, along a cosine.

    ``turned``: every image is distilled in all its orientations, mirrored and turned by right angles. That makes few images go further, and
    unlike Φ adds nothing to them that the teacher could take for what is to be erased (decision 0010).
    """

    steps: int = Field(400, ge=1, description="optimizer steps, at most")
    batch: int = Field(32, ge=2, description="calibration images in a step")
    lr: float = Field(0.004, gt=0, description="learning rate; without gain it decays to 0 along a cosine")
    gain: float | None = Field(0.05, gt=0, lt=1, description="share of the gap that a stretch must close; none: make all steps")
    check: int = Field(50, ge=1, description="steps between two looks at the gap")
    enough: float = Field(0.01, ge=0, description="gap in nats at which there is nothing to heal")
    optimizer: Literal["adam", "sgd"] = Field("adam", description="sgd has momentum 0.9")
    distil: float = Field(1.0, ge=0, description="weight of KL(teacher ‖ student)")
    invariance: float = Field(0.0, ge=0, description="weight of the consistency under Φ")
    turned: bool = Field(True, description="distil every image in all its orientations")
    augmented: bool = Field(False, description="teacher and student see Φ(x) instead of x")
    augmentation: Augmentation = Augmentation()
    max_norm: float = Field(5.0, gt=0, description="clip of the gradient's norm")

    @property
    def augments(self) -> bool:
        """Whether Φ is part of it."""
        return self.augmented or self.invariance > 0

    def held_out(self, count: int) -> int:
        """How many of ``count`` images are held out to see when to stop; 0 when there are too few or all steps are made anyway."""
        most = min(HELD_OUT_MOST, max(HELD_OUT_LEAST, count // 8))
        return most if self.gain and self.distil and count >= 2 * HELD_OUT_LEAST else 0

    def passes(self, count: int, teachers: int, steps: int) -> float:
        """Image passes, forward and backward, of ``steps`` steps on ``count`` calibration images; a forward is a third of one.

        A teacher sees each view of an image that is used once, unless it is augmented anew in every step. ``turned`` images are taken to be
        square.
        """
        held = self.held_out(count)
        views = (count - held) * (TURNS if self.turned else 1)
        used = steps * min(self.batch, views)
        taught = (used if self.augmented else min(used, views)) if self.distil else 0
        looks = held * (teachers + 1 + math.ceil(steps / self.check))
        return used * (2.0 if self.invariance else 1.0) + (taught * teachers + looks) / 3


@dataclass(frozen=True)
class Calibrated:
    """What calibration gave: the model, the steps it took, and the gap before and after in nats (None where it was not measured)."""

    model: dict[str, torch.Tensor]
    steps: int
    gap: tuple[float, float] | None


def calibrate(
    forward: Forward,
    student: Params,
    teachers: tuple[Params, ...],
    images: torch.Tensor,
    spec: Calibration,
    phi: Augment,
    generator: torch.Generator,
    omitted: tuple[int, ...] = (),
) -> Calibrated:
    """Calibrate ``student``. ``teachers`` are averaged in probability; without any, the distillation term is left out.

    images: float32 [m, c, h, w], m ≥ 1, unlabelled. ``omitted``: classes that the teachers' answers leave out, the others scaled up to 1.
    A pure function of its arguments and the generator's state.
    """
    held = spec.held_out(len(images)) if teachers else 0
    taught = _Teaching(forward, teachers, omitted)
    judge = _Gap(taught, images[:held]) if held else None
    walk = _Walk(taught, student, images[held:], spec, phi, generator)
    before = gap = judge.of(student) if judge else None
    while walk.steps < spec.steps and (gap is None or gap > spec.enough):
        walk.stretch(min(spec.check, spec.steps - walk.steps) if judge else spec.steps)
        previous, gap = gap, judge.of(walk.model()) if judge else None
        if previous is not None and gap is not None and gap > (1 - (spec.gain or 0)) * previous:
            break
    return Calibrated(walk.model(), walk.steps, None if before is None or gap is None else (before, gap))


@dataclass(frozen=True)
class _Teaching:
    """What the teachers say, without the classes left out."""

    forward: Forward
    teachers: tuple[Params, ...]
    omitted: tuple[int, ...]

    @torch.no_grad()
    def labels(self, images: torch.Tensor) -> torch.Tensor:
        """Probabilities [m, classes], the mean over the teachers."""
        parts = [torch.stack([self._answers(t, x) for t in self.teachers]).mean(0) for x in torch.split(images, CHUNK)]
        return torch.cat(parts)

    def once(self, views: Views, plan: list[torch.Tensor]) -> torch.Tensor:
        """The same for every view, computed only for those that the plan uses; NaN elsewhere."""
        used = torch.unique(torch.cat(plan))
        taught = torch.cat([self.labels(views[part]) for part in torch.split(used, CHUNK)])
        return taught.new_full((len(views), taught.shape[1]), torch.nan).index_copy(0, used, taught)

    def _answers(self, teacher: Params, images: torch.Tensor) -> torch.Tensor:
        logits = self.forward(teacher, images)
        if self.omitted:
            logits = logits.index_fill(1, torch.tensor(self.omitted), -torch.inf)
        return logits.softmax(dim=1)


class _Gap:
    """Mean KL(teachers ‖ model) on held-out images, in nats."""

    def __init__(self, taught: _Teaching, images: torch.Tensor) -> None:
        self.forward, self.images = taught.forward, images
        self.target = taught.labels(images)

    def of(self, model: Params) -> float:
        """Never below 0, which rounding can give where the two are the same."""
        with torch.no_grad():
            return max(0.0, float(divergence(self.target, self.forward(model, self.images))))


class _Walk:
    """The optimizer's path from the student on; without ``gain`` it ends where its rate reaches 0, with it in the average."""

    def __init__(
        self,
        taught: _Teaching,
        student: Params,
        images: torch.Tensor,
        spec: Calibration,
        phi: Augment,
        generator: torch.Generator,
    ) -> None:
        self.forward, self.taught, self.views = taught.forward, taught, Views(images, spec.turned)
        self.spec, self.phi, self.generator = spec, phi, generator
        self.leaf = {name: student[name].clone().requires_grad_() for name in sorted(student)}
        self.average = {name: leaf.detach().clone() for name, leaf in self.leaf.items()} if spec.gain else None
        self.optimizer, self.schedule = _optimizer(list(self.leaf.values()), spec)
        self.plan = list(_batches(len(self.views), spec, generator))
        once = bool(taught.teachers) and spec.distil and not spec.augmented
        self.soft = taught.once(self.views, self.plan) if once else None
        self.steps = 0

    def stretch(self, steps: int) -> None:
        """Make ``steps`` further steps."""
        for index in self.plan[self.steps : self.steps + steps]:
            self._step(index)

    def model(self) -> dict[str, torch.Tensor]:
        """Where the walk stands."""
        at = self.leaf if self.average is None else self.average
        return {name: tensor.detach().clone() for name, tensor in at.items()}

    def _step(self, index: torch.Tensor) -> None:
        batch, target = self.views[index], None if self.soft is None else self.soft[index]
        if self.taught.teachers and self.spec.distil and self.spec.augmented:
            batch = self.phi(batch, self.generator)
            target = self.taught.labels(batch)
        self.optimizer.zero_grad()
        loss = _objective(self.forward, self.leaf, batch, target, self.spec, self.phi, self.generator)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.leaf.values(), self.spec.max_norm)
        self.optimizer.step()
        self.schedule.step()
        self.steps += 1
        if self.average is not None:
            weight = min(AVERAGE, self.steps / (self.steps + 9))
            for name, average in self.average.items():
                average.mul_(weight).add_(self.leaf[name].detach(), alpha=1 - weight)


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


def _batches(count: int, spec: Calibration, generator: torch.Generator) -> Iterator[torch.Tensor]:
    pool = torch.empty(0, dtype=torch.long)
    for _ in range(spec.steps):
        while len(pool) < min(spec.batch, count):
            pool = torch.cat([pool, torch.randperm(count, generator=generator)])
        yield pool[: spec.batch]
        pool = pool[spec.batch :]


def _optimizer(
    leaf: list[torch.Tensor], spec: Calibration
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    sgd = torch.optim.SGD(leaf, lr=spec.lr, momentum=0.9)
    optimizer = torch.optim.Adam(leaf, lr=spec.lr) if spec.optimizer == "adam" else sgd
    if spec.gain:
        return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=spec.steps)
