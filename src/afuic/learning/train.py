"""A client's task: a few steps of SGD on its own images, the same in every engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from afuic.config import Training
from afuic.errors import DataError, TaskStopped
from afuic.learning.devices import CPU
from afuic.learning.networks import Network
from afuic.learning.seeding import seeded
from afuic.params import Params, check_like


def local_update(
    network: Network,
    params: Params,
    images: Tensor,
    labels: Tensor,
    training: Training,
    generator: torch.Generator,
    stop: Callable[[], bool] | None = None,
) -> dict[str, Tensor]:
    """What ``training.steps`` of SGD add to ``params``: new minus old, by name (Δ_k of the design).

    ``images``: float32 [n, channels, size, size]; ``labels``: int64 [n], 0 to classes - 1. Each step minimises the
    cross-entropy of min(batch, n) images; momentum starts at zero. The result depends on the arguments alone, dropout included.
    DataError: no images, or images and labels that do not fit; ParamsError: parameters of another network; TaskStopped:
    ``stop`` returned true, asked before each step.
    """
    _check(network, images, labels)
    module = network.module
    check_like(params, dict(module.named_parameters()), "model to train")
    seed = int(torch.randint(2**62, (), generator=generator))
    device = network.device
    with seeded(seed, device), _training(module):
        sgd = _Sgd(module, params, training, device)
        for index in batches(len(images), training.batch, training.steps, generator):
            if stop is not None and stop():
                raise TaskStopped("local training was told to stop before its last batch; nothing of it is kept")
            loss = nn.functional.cross_entropy(module(images[index].to(device)), labels[index].to(device))
            torch.autograd.backward(loss)
            sgd.step()
    return {name: new - params[name].detach() for name, new in sgd.params().items()}


def batches(n: int, batch: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """``steps`` index tensors of min(batch, n) out of 0 to n - 1, cut from shuffled epochs laid end to end."""
    size = min(batch, n)
    epochs = math.ceil(steps * size / n)
    order = torch.cat([torch.randperm(n, generator=generator) for _ in range(epochs)])
    return iter(torch.split(order[: steps * size], size))


def _check(network: Network, images: Tensor, labels: Tensor) -> None:
    if not len(images):
        raise DataError("local training: the client has no images; leave it out of the federation or give it some")
    shape = (network.channels, network.size, network.size)
    if images.dtype != torch.float32 or images.shape[1:] != shape:
        raise DataError(
            f"local training: images are {tuple(images.shape)} {images.dtype}, but the network takes float32 [n, {shape[0]}, "
            f"{shape[1]}, {shape[2]}]; convert them or build the network for them"
        )
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise DataError(f"local training: labels are {tuple(labels.shape)} {labels.dtype}; give int64 [{len(images)}]")
    if int(labels.min()) < 0 or int(labels.max()) >= network.classes:
        raise DataError(f"local training: a label is outside 0 to {network.classes - 1}; check the labels or data set")


@contextmanager
def _training(module: nn.Module) -> Iterator[None]:
    module.train()
    try:
        yield
    finally:
        module.eval()
        module.zero_grad(set_to_none=True)


class _Sgd:
    """SGD with momentum on one vector whose slices the module's parameters and gradients become.

    The numbers are those of ``clip_grad_norm_`` and ``torch.optim.SGD``; one vector costs a kernel where they pay one a tensor.
    Weight decay reaches every parameter, whether the loss depends on it or not.
    """

    def __init__(self, module: nn.Module, params: Params, training: Training, device: torch.device) -> None:
        self.training = training
        self.shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
        self.weights = torch.cat([params[name].detach().flatten() for name in self.shapes]).to(device)
        self.gradient = torch.zeros_like(self.weights)
        self.velocity = torch.zeros_like(self.weights)
        weights, gradients = self._parts(self.weights), self._parts(self.gradient)
        for name, parameter in module.named_parameters():
            parameter.data, parameter.grad = weights[name], gradients[name]

    def params(self) -> dict[str, Tensor]:
        """The weights as they are now, on the CPU."""
        return self._parts(self.weights.to(CPU))

    def _parts(self, vector: Tensor) -> dict[str, Tensor]:
        parts = torch.split(vector, [shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    @torch.no_grad()
    def step(self) -> None:
        """Clip the gradient that backward left, move the weights by it, and clear it for the next batch."""
        norm = torch.linalg.vector_norm(self.gradient)
        self.gradient.mul_(torch.clamp(self.training.max_norm / (norm + 1e-6), max=1.0))
        self.gradient.add_(self.weights, alpha=self.training.weight_decay)
        self.velocity.mul_(self.training.momentum).add_(self.gradient)
        self.weights.sub_(self.velocity, alpha=self.training.lr)
        self.gradient.zero_()
