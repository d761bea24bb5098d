"""Server optimizers that are not linear in the updates, for users who never need removal.

FedAdam and FedYogi (Reddi et al., arXiv 2003.00295, Algorithm 2). Their step depends on all updates before it, so no
client's part can be told apart: the whole step goes to the server's side of the ledger, and methods that remove refuse them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from afuic.params import Params, add, scale, zeros_like

BETA1, BETA2, ADAPTIVITY = 0.9, 0.99, 1e-3


@dataclass(frozen=True)
class Moments:
    """First and second moments of the aggregated updates."""

    first: Params
    second: Params


def step(kind: str, moments: Moments | None, update: Params, lr: float) -> tuple[Moments, Params]:
    """The next moments and the model's step for the aggregated ``update`` (before the server's learning rate)."""
    before = moments or Moments(zeros_like(update), {name: torch.full_like(t, ADAPTIVITY**2) for name, t in update.items()})
    first = add(scale(before.first, BETA1), update, 1 - BETA1)
    second = {name: _second(kind, v, update[name].square()) for name, v in before.second.items()}
    move = {name: lr * m / (second[name].sqrt() + ADAPTIVITY) for name, m in first.items()}
    return Moments(first, second), move


def _second(kind: str, v: torch.Tensor, square: torch.Tensor) -> torch.Tensor:
    if kind == "yogi":
        return v - (1 - BETA2) * square * torch.sign(v - square)
    return BETA2 * v + (1 - BETA2) * square
