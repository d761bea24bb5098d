"""A linear classifier with the interface of a network: small enough to differentiate by hand."""

from __future__ import annotations

import torch

from afuic.params import Params
from afuic.rng import torch_stream


def forward(params: Params, images: torch.Tensor) -> torch.Tensor:
    """Logits [n, classes] = W·x + b of flattened images."""
    return images.flatten(1) @ params["w"].T + params["b"]


def model(seed: int, classes: int = 3, pixels: int = 16) -> dict[str, torch.Tensor]:
    """Random weights."""
    g = torch_stream(seed, "linear")
    return {"w": torch.randn(classes, pixels, generator=g), "b": torch.randn(classes, generator=g)}


def images(seed: int, count: int = 40, side: int = 4) -> torch.Tensor:
    """Random images [count, 1, side, side] in [−1, 1]."""
    return torch.rand(count, 1, side, side, generator=torch_stream(seed, "images")) * 2 - 1
