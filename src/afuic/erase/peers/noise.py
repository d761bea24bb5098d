"""Gaussian noise at the server, ordered like any work so that its random stream comes from the engine."""

from __future__ import annotations

import torch
from pydantic import Field

from afuic.erase.rounds import SERVER, Job, Order, Site
from afuic.params import Params


class Noise(Job):
    """z ~ N(0, σ²I), independent for every parameter."""

    sigma: float = Field(0.01, ge=0, description="standard deviation of the noise on each parameter")

    def passes(self, forget: int, retain: int) -> float:
        """No image is looked at."""
        return 0.0

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> dict[str, torch.Tensor]:
        """The noise, drawn in the order of the parameters' names."""
        draws = {name: torch.randn(start[name].shape, generator=generator) for name in sorted(start)}
        return {name: self.sigma * draw.to(start[name].dtype) for name, draw in draws.items()}


def perturb(model: Params, noise: Noise) -> Order:
    """The order for noise on ``model``; nothing may be released without it."""
    return Order(SERVER, model, noise, needed=True)
