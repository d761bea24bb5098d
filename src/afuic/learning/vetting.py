"""Whether a user's network can be kept in a contribution ledger; if not, one sentence says why and what to change.

The ledger holds a model as the sum of what its parameters received. Anything else that a forward pass changes or depends on
(running statistics, counters, random buffers, the other images of the batch) would escape removal, so such a network is refused.
Buffers that are constant, such as positional encodings, are allowed, and so are tied parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from afuic.errors import ModelError
from afuic.learning.seeding import seeded
from afuic.rng import torch_stream

Fresh = Callable[[int], nn.Module]


def vet(name: str, fresh: Fresh, channels: int, size: int, classes: int) -> None:
    """Raise ModelError unless modules from ``fresh(seed)`` fit the ledger."""
    module = fresh(0)
    check_parameters(name, module)
    images = torch.rand(4, channels, size, size, generator=torch_stream(0, "probe"))
    check_output(name, module, images, classes)
    check_state(name, module, images)
    check_builds(name, fresh, images)


def check_parameters(name: str, module: nn.Module) -> None:
    """Float32 parameters on the CPU, at least one, all initialised and trainable."""
    parameters = dict(module.named_parameters())
    if not parameters:
        raise ModelError(f"model {name}: has no parameters; there is nothing to train")
    for key, tensor in [*parameters.items(), *module.named_buffers()]:
        if nn.parameter.is_lazy(tensor):
            raise ModelError(f"model {name}: {key!r} is lazy, without a shape; give its layer the input size")
        if tensor.device.type != "cpu":
            raise ModelError(f"model {name}: {key!r} is on {tensor.device}; build the module on the CPU")
    for key, tensor in parameters.items():
        if tensor.dtype != torch.float32:
            raise ModelError(f"model {name}: parameter {key!r} is {tensor.dtype}; use torch.float32")
        if not tensor.requires_grad:
            raise ModelError(f"model {name}: parameter {key!r} is frozen; register it as a buffer instead")


def check_output(name: str, module: nn.Module, images: Tensor, classes: int) -> None:
    """In eval mode: logits [n, classes], finite, repeatable, each image's independent of the others in its batch."""
    output = _forward(name, module, images)
    _check_logits(name, output, (len(images), classes))
    if not torch.equal(output, _forward(name, module, images)):
        raise ModelError(f"model {name}: two eval forwards on the same images differ; switch off randomness in eval mode")
    alone = torch.cat([_forward(name, module, image) for image in torch.split(images, 1)])
    if not torch.allclose(output, alone, rtol=1e-3, atol=1e-4):
        raise ModelError(f"model {name}: an image's output depends on the others in its batch; use GroupNorm")


def _check_logits(name: str, output: object, shape: tuple[int, int]) -> None:
    if not isinstance(output, Tensor):
        raise ModelError(f"model {name}: forward returned {type(output).__name__}; return one tensor of logits")
    if tuple(output.shape) != shape or output.dtype != torch.float32:
        raise ModelError(
            f"model {name}: output is {tuple(output.shape)} {output.dtype} for {shape[0]} images; return float32 logits {shape}"
        )
    if not torch.isfinite(output).all():
        raise ModelError(f"model {name}: output has NaN or infinite entries at the start; check its initialisation")


def check_state(name: str, module: nn.Module, images: Tensor) -> None:
    """A forward in training mode changes no buffer and no other state that the output depends on."""
    output = _forward(name, module, images)
    before = {key: tensor.clone() for key, tensor in module.named_buffers()}
    module.train()
    _forward(name, module, images)
    module.eval()
    for key, tensor in module.named_buffers():
        if key not in before or not torch.equal(tensor, before[key]):
            raise ModelError(
                f"model {name}: buffer {key!r} changes in training and cannot be removed with a client; "
                "replace BatchNorm by GroupNorm or drop the running statistic"
            )
    if not torch.equal(output, _forward(name, module, images)):
        raise ModelError(f"model {name}: a training forward changed its eval output; keep no state but parameters")


def check_builds(name: str, fresh: Fresh, images: Tensor) -> None:
    """The seed decides every parameter, and nothing but parameters depends on the seed."""
    first, again, other = fresh(0), fresh(0), fresh(1)
    if not _same(dict(first.named_parameters()), dict(again.named_parameters())):
        raise ModelError(f"model {name}: two builds from one torch seed differ; draw weights with torch's random functions")
    if not _same(dict(first.named_buffers()), dict(other.named_buffers())):
        raise ModelError(f"model {name}: a buffer differs from build to build; make it constant or a parameter")
    other.load_state_dict(first.state_dict())
    if not torch.equal(_forward(name, first, images), _forward(name, other, images)):
        raise ModelError(f"model {name}: equal parameters give different outputs; register every tensor it uses")


def _same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(tensor, b[key]) for key, tensor in a.items())


@torch.no_grad()
def _forward(name: str, module: nn.Module, images: Tensor) -> Tensor:
    try:
        with seeded(0):
            return module(images)  # type: ignore[no-any-return]
    except Exception as error:
        raise ModelError(
            f"model {name}: forward on {tuple(images.shape)} float32 failed: {type(error).__name__}: {error}"
        ) from error
