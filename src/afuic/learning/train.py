"""A client's task: a few steps of SGD on its own images, the same in every engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from afuic.config import Training
from afuic.errors import DataError, TaskStopped
from afuic.learning.networks import Network
from afuic.learning.seeding import seeded
from afuic.params import Params, check_like


def local_update(  # noqa: PLR0917
    network: Network,
    params: Params,
    images: Tensor,
    labels: Tensor,
    training: Training,
    generator: torch.Generator,
    stop: Callable[[], bool] | None = None,
) -> dict[str, Tensor]:
    """What ``training.steps`` of SGD add to ``params``: new minus old, by name (Δ_k of the design).

    ``images``: float32 [n, channels, height, width]; ``labels``: int64 [n], 0 to classes - 1. Each step minimises the
    cross-entropy of min(batch, n) images; momentum starts at zero. The result depends on the arguments alone, dropout included.
    DataError: no images, or images and labels that do not fit; ParamsError: parameters of another network; TaskStopped:
    ``stop`` returned true, asked before each step.
    """
    _check(network, images, labels)
    module = network.module
    check_like(params, dict(module.named_parameters()), "model to train")
    _load(module, params)
    seed = int(torch.randint(2**62, (), generator=generator))
    with seeded(seed), _training(module):
        optimizer = _optimizer(module, training)
        for index in batches(len(images), training.batch, training.steps, generator):
            if stop is not None and stop():
                raise TaskStopped("local training was told to stop before its last batch; nothing of it is kept")
            _step(module, optimizer, images[index], labels[index], training.max_norm)
    return {name: new.detach() - params[name].detach() for name, new in module.named_parameters()}


def batches(n: int, batch: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """``steps`` index tensors of min(batch, n) out of 0 to n - 1, cut from shuffled epochs laid end to end."""
    size = min(batch, n)
    epochs = math.ceil(steps * size / n)
    order = torch.cat([torch.randperm(n, generator=generator) for _ in range(epochs)])
    return iter(torch.split(order[: steps * size], size))


def _check(network: Network, images: Tensor, labels: Tensor) -> None:
    if not len(images):
        raise DataError("local training: the client has no images; leave it out of the federation or give it some")
    if images.dtype != torch.float32 or images.ndim != 4 or images.shape[1] != network.channels:
        raise DataError(
            f"local training: images are {tuple(images.shape)} {images.dtype}; "
            f"give float32 [n, {network.channels}, height, width]"
        )
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise DataError(f"local training: labels are {tuple(labels.shape)} {labels.dtype}; give int64 [{len(images)}]")
    if int(labels.min()) < 0 or int(labels.max()) >= network.classes:
        raise DataError(f"local training: a label is outside 0 to {network.classes - 1}; check the labels or data set")


@torch.no_grad()
def _load(module: nn.Module, params: Params) -> None:
    for name, parameter in module.named_parameters():
        parameter.copy_(params[name])


@contextmanager
def _training(module: nn.Module) -> Iterator[None]:
    module.train()
    try:
        yield
    finally:
        module.eval()
        module.zero_grad(set_to_none=True)


def _optimizer(module: nn.Module, training: Training) -> torch.optim.SGD:
    return torch.optim.SGD(
        module.parameters(), training.lr, momentum=training.momentum, weight_decay=training.weight_decay, foreach=True
    )


def _step(module: nn.Module, optimizer: torch.optim.SGD, images: Tensor, labels: Tensor, max_norm: float) -> None:
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(nn.functional.cross_entropy(module(images), labels))
    nn.utils.clip_grad_norm_(module.parameters(), max_norm)
    optimizer.step()
