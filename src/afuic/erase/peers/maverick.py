"""Maverick: make the model insensitive around the forgotten images, at the target alone.

Ong and Chan, MICCAI 2025. The local Lipschitz constant is estimated from Gaussian perturbations, ‖f_θ(x) − f(x + δ)‖/‖δ‖ with the
original model f, and lowered by SGD. Nobody else takes part and no rounds follow. The perturbation covers the whole image: in its
client mode the public code perturbs only the pixels of the trigger that forgetting is then scored with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field

from afuic.erase.method import Method
from afuic.erase.peers.calibrating import NeedsTarget, in_rounds
from afuic.erase.peers.local import Steps, descend
from afuic.erase.rounds import Images, Job, Order, Round, Site, View, averaged
from afuic.params import Params


def sensitivity(outputs: torch.Tensor, perturbed: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Mean of ‖f(x) − f(x + δ)‖/‖δ‖; outputs and perturbed [n, classes], noise [n, c, h, w]."""
    distance = torch.linalg.vector_norm(outputs - perturbed, dim=1)
    ratio: torch.Tensor = distance / torch.linalg.vector_norm(noise.flatten(1), dim=1)
    return ratio.mean()


class Smoothing(Job):
    """Steps that lower the sensitivity on the forgotten images, ``samples`` perturbations for each of them in a step."""

    steps: Steps
    samples: int
    sigma_min: float
    sigma_max: float

    def passes(self, forget: int, retain: int) -> float:
        """The images of the steps; a perturbed image is a forward pass."""
        return self.steps.images(forget) * (1 + self.samples / 3)

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> Params:
        """The change of the model. Each perturbation's deviation is uniform between the two bounds."""

        def loss(params: Params, batch: Images) -> torch.Tensor:
            outputs = site.forward(params, batch[0])
            noises = [self._noise(batch[0], generator) for _ in range(self.samples)]
            with torch.no_grad():
                perturbed = [site.forward(start, batch[0] + noise) for noise in noises]
            parts = [sensitivity(outputs, p, noise) for p, noise in zip(perturbed, noises, strict=True)]
            return torch.stack(parts).mean()

        return descend(loss, start, site.forget, self.steps, generator)

    def _noise(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        sigma = self.sigma_min + (self.sigma_max - self.sigma_min) * float(torch.rand((), generator=generator))
        return sigma * torch.randn(images.shape, generator=generator)


@dataclass(frozen=True)
class Memory:
    """The model that the target starts from."""

    model: Params


class Options(NeedsTarget):
    """The target's smoothing; its result is released."""

    local: Steps = Steps(steps=40, batch=64, lr=0.05, momentum=0.9)
    samples: int = Field(4, ge=1, description="perturbations of each image in a step")
    sigma_min: float = Field(0.5, gt=0, description="smallest deviation of the noise; images are in [−1, 1]")
    sigma_max: float = Field(1.0, gt=0, description="largest deviation of the noise")

    def begin(self, view: View) -> Round:
        """The target's work, the only one."""
        job = Smoothing(steps=self.local, samples=self.samples, sigma_min=self.sigma_min, sigma_max=self.sigma_max)
        return Round(view.model, (Order(view.target, view.model, job, needed=True),), Memory(view.model))

    def proceed(self, view: View, memory: Memory, answers: Mapping[str, Params]) -> Round:
        """What the target made of the model."""
        return Round(averaged(memory.model, answers))


SEARCH: tuple[dict[str, Any], ...] = (
    {},
    {"local": {"steps": 20, "momentum": 0.9}},
    {"local": {"steps": 20, "lr": 0.02, "momentum": 0.9}},
    {"local": {"steps": 40, "lr": 0.02, "momentum": 0.9}},
    {"sigma_min": 1.0, "sigma_max": 2.0},
    {"local": {"steps": 20, "momentum": 0.9}, "sigma_min": 1.0, "sigma_max": 2.0},
)
"""Settings to be compared on validation images, the first the defaults."""


METHOD = Method(
    name="maverick",
    source="Ong, Chan, MICCAI 2025; github.com/OngWinKent/Maverick",
    summary="Lower the local Lipschitz constant around the forgotten images, at the target alone.",
    needs_target=True,
    removes=False,
    options=Options,
    plan=in_rounds,
    pauses=True,
)
