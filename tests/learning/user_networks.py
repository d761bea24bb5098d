"""Networks as users write them, sound and unsound, loaded by name as ``user_networks:function``."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

CACHED = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))


def linear(channels: int, size: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))


def dropout(channels: int, size: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(channels * size * size, classes))


def convolution(channels: int, size: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, classes, size), nn.Flatten())


class Positions(nn.Module):
    """A constant buffer and two tied layers: both allowed."""

    def __init__(self, pixels: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("positions", torch.linspace(0, 1, pixels))
        self.mix = nn.Linear(pixels, pixels)
        self.again = self.mix
        self.head = nn.Linear(pixels, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.mix(images.flatten(1) + self.positions).relu()
        return self.head(self.again(hidden))


def positions(channels: int, size: int, classes: int) -> nn.Module:
    return Positions(channels * size * size, classes)


def shared(channels: int, size: int, classes: int) -> nn.Module:
    """Two layers, each of its own, with one weight."""
    pixels = channels * size * size
    first, second = nn.Linear(pixels, pixels), nn.Linear(pixels, pixels)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.Linear(pixels, classes))


class Scaled(nn.Module):
    """A parameter without dimensions, and a last linear layer that is not the output."""

    def __init__(self, pixels: int, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(pixels, 2 * classes)
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: Tensor) -> Tensor:
        first, second = self.head(images.flatten(1)).chunk(2, dim=1)
        return self.scale * torch.maximum(first, second)


def scaled(channels: int, size: int, classes: int) -> nn.Module:
    return Scaled(channels * size * size, classes)


def batch_norm(channels: int, size: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(channels), linear(channels, size, classes))


def batch_statistics(channels: int, size: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(channels, track_running_stats=False), linear(channels, size, classes))


class Odd(nn.Module):
    """A linear classifier with one oddity, so that each refusal has a network of its own."""

    def __init__(self, pixels: int, classes: int, oddity: str) -> None:
        super().__init__()
        self.head = nn.Linear(pixels, classes)
        self.oddity = oddity
        self.calls = 0
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.secret = torch.rand(pixels) if oddity == "hidden" else torch.zeros(pixels)
        self.register_buffer("noise", torch.rand(pixels) if oddity == "random buffer" else torch.zeros(pixels))

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.training:
            self.calls += 1
            self.steps += self.oddity == "counter"
        logits: Tensor = self.head(images.flatten(1) + self.secret + self.noise)
        match self.oddity:
            case "memory":
                return logits + self.calls
            case "dropout in eval":
                return nn.functional.dropout(logits, 0.5)
            case "not finite":
                return logits / 0
            case "not a tensor" | "auxiliary in training" if self.training or self.oddity == "not a tensor":
                return logits, logits
            case "detached":
                return logits.detach()
        return logits


def _odd(oddity: str):
    return lambda channels, size, classes: Odd(channels * size * size, classes, oddity)


counter, memory, hidden, random_buffer = _odd("counter"), _odd("memory"), _odd("hidden"), _odd("random buffer")
dropout_in_eval, not_finite, not_a_tensor = _odd("dropout in eval"), _odd("not finite"), _odd("not a tensor")
auxiliary, detached, own_tensor = _odd("auxiliary in training"), _odd("detached"), _odd("tensor of its own")


def numpy_weights(channels: int, size: int, classes: int) -> nn.Module:
    module = nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))
    module[1].bias.data = torch.from_numpy(np.random.default_rng().random(classes, dtype=np.float32))
    return module


def frozen(channels: int, size: int, classes: int) -> nn.Module:
    module = linear(channels, size, classes)
    module[1].bias.requires_grad_(False)
    return module


def lazy(channels: int, size: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))


def double(channels: int, size: int, classes: int) -> nn.Module:
    return linear(channels, size, classes).double()


def elsewhere(channels: int, size: int, classes: int) -> nn.Module:
    return linear(channels, size, classes).to("meta")


def empty(channels: int, size: int, classes: int) -> nn.Module:
    return nn.Flatten()


def too_many(channels: int, size: int, classes: int) -> nn.Module:
    return linear(channels, size, classes + 1)


def wrong_size(channels: int, size: int, classes: int) -> nn.Module:
    return linear(channels, size + 1, classes)


def cached(channels: int, size: int, classes: int) -> nn.Module:
    return CACHED


def not_a_module(channels: int, size: int, classes: int) -> str:
    return "resnet"


def crashes(channels: int, size: int, classes: int) -> nn.Module:
    raise ValueError("no such width")


def other_signature(width: int) -> nn.Module:
    return nn.Linear(width, 2)


constant = 3
