"""Whether a user's network can be kept in a contribution ledger; if not, one sentence says why and what to change.

The ledger holds a model as the sum of what its parameters received. Anything else that a forward pass changes or depends on
(running statistics, counters, random buffers, other images of the batch) would escape removal, so such a network is refused.
Buffers that are constant, such as positional encodings, are allowed, and so are tied parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from afuic.errors import ModelError
from afuic.learning.devices import VARIABLE
from afuic.learning.seeding import seeded
from afuic.params import Params
from afuic.rng import torch_stream

Fresh = Callable[[int], nn.Module]
Run = Callable[[Tensor], object]


def vet(name: str, fresh: Fresh, channels: int, size: int, classes: int) -> None:
    """Raise ModelError unless the modules that ``fresh(seed)`` builds, in eval mode, fit the ledger."""
    module = fresh(0)
    check_parameters(name, module)
    brightness = torch.arange(1, 5).view(4, 1, 1, 1) / 4
    images = torch.rand(4, channels, size, size, generator=torch_stream(0, "probe")) * brightness
    check_output(name, module, images, classes)
    check_state(name, module, images, classes)
    check_builds(name, fresh, images)


def check_parameters(name: str, module: nn.Module) -> None:
    """Float32 parameters on the CPU, at least one, all initialised and trainable; buffers likewise initialised and on the CPU."""
    parameters = dict(module.named_parameters())
    if not parameters:
        raise ModelError(f"model {name}: has no parameters, so there is nothing to train; register its weights as nn.Parameter")
    for key, tensor in [*parameters.items(), *module.named_buffers()]:
        if nn.parameter.is_lazy(tensor):
            raise ModelError(f"model {name}: {key!r} is lazy, without a shape; give its layer the input size")
        if tensor.device.type != "cpu":
            raise ModelError(f"model {name}: {key!r} is on device {tensor.device}; build the module on the CPU")
    for key, tensor in parameters.items():
        if tensor.dtype != torch.float32:
            raise ModelError(f"model {name}: parameter {key!r} is {tensor.dtype}; use torch.float32")
        if not tensor.requires_grad:
            raise ModelError(f"model {name}: parameter {key!r} is frozen; register it as a buffer instead")


def check_output(name: str, module: nn.Module, images: Tensor, classes: int) -> None:
    """In eval mode: finite logits [n, classes], repeatable, each image's independent of the others in its batch."""
    output = _logits(name, module, images, classes)
    if not torch.equal(output, _logits(name, module, images, classes, seed=1)):
        raise ModelError(f"model {name}: two eval forwards on the same images differ; switch off randomness in eval mode")
    alone = torch.cat([_logits(name, module, image, classes) for image in torch.split(images, 1)])
    if not torch.allclose(output, alone, rtol=1e-3, atol=1e-4):
        raise ModelError(f"model {name}: an image's output depends on the others in its batch; use GroupNorm")


def check_state(name: str, module: nn.Module, images: Tensor, classes: int) -> None:
    """A step's forward and backward in training mode change no buffer and nothing else that the output depends on."""
    output = _logits(name, module, images, classes)
    before = _buffers(module)
    _backward(name, module.train(), images, classes)
    after = dict(module.eval().named_buffers())
    for key in sorted(before.keys() | after.keys()):
        if key not in before or key not in after or not torch.equal(before[key], after[key]):
            raise ModelError(
                f"model {name}: buffer {key!r} changes in training and could not be removed with a client; "
                "replace BatchNorm by GroupNorm, or drop the running statistic"
            )
    if not torch.equal(output, _logits(name, module, images, classes)):
        raise ModelError(f"model {name}: a training forward changed its eval output; keep no state but parameters")


def check_builds(name: str, fresh: Fresh, images: Tensor) -> None:
    """The seed decides every parameter, and nothing but parameters depends on the seed."""
    first, again, other = fresh(0), fresh(0), fresh(1)
    if first is again:
        raise ModelError(f"model {name}: returned the same module twice; build a new one in each call")
    if not _same(dict(first.named_parameters()), dict(again.named_parameters())):
        raise ModelError(f"model {name}: two builds from one torch seed differ; draw weights with torch's random functions")
    if not _same(_buffers(first), _buffers(other)):
        raise ModelError(f"model {name}: a buffer differs from build to build; make it constant, or a parameter")
    params: dict[str, Tensor] = dict(first.named_parameters())
    moved = _forward(name, lambda x: torch.func.functional_call(other, params, (x,)), images)
    if not torch.equal(_forward(name, first, images), moved):
        raise ModelError(f"model {name}: equal parameters give different outputs; register every tensor that it uses")


def check_device(name: str, module: nn.Module, channels: int, size: int, device: torch.device) -> None:
    """The module, moved to ``device``, takes images there: it makes no tensors of its own on another."""
    try:
        _forward(name, module, torch.zeros(1, channels, size, size, device=device))
    except ModelError as error:
        raise ModelError(f"{error}, on {device}; make tensors on the device of the images, or set {VARIABLE}=cpu") from error


def _buffers(module: nn.Module) -> dict[str, Tensor]:
    return {key: tensor.clone() for key, tensor in module.named_buffers()}


def _same(a: Params, b: Params) -> bool:
    return a.keys() == b.keys() and all(torch.equal(tensor, b[key]) for key, tensor in a.items())


def _backward(name: str, module: nn.Module, images: Tensor, classes: int) -> None:
    logits = _logits(name, module, images, classes)
    try:
        logits.sum().backward()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise ModelError(f"model {name}: backward failed ({error}); keep the logits differentiable") from error


def _logits(name: str, run: Run, images: Tensor, classes: int, seed: int = 0) -> Tensor:
    output, shape = _forward(name, run, images, seed), (len(images), classes)
    if tuple(output.shape) != shape or output.dtype != torch.float32:
        raise ModelError(f"model {name}: output is {tuple(output.shape)} {output.dtype}; return float32 logits {shape}")
    if not torch.isfinite(output).all():
        raise ModelError(f"model {name}: output has NaN or infinite entries from the start; check its initialisation")
    return output


def _forward(name: str, run: Run, images: Tensor, seed: int = 0) -> Tensor:
    try:
        with seeded(seed):
            output = run(images)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ModelError(f"model {name}: forward on {tuple(images.shape)} float32 failed with {reason}") from error
    if not isinstance(output, Tensor):
        raise ModelError(f"model {name}: forward returned {type(output).__name__}; return one tensor of logits")
    return output
