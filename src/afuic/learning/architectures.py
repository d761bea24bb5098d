"""The networks afuic brings along and the loading of a user's own, so that a name in the configuration becomes a module.

All of them normalise by groups: batch statistics are not a sum of the clients' updates, so no client could be removed.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

from torch import nn

from afuic.config import SMALL
from afuic.errors import ModelError, extra

Build = Callable[[int, int, int], nn.Module]
GROUPS = 8
SMALLEST_MONAI = 64


def gn_small(channels: int, size: int, classes: int) -> nn.Module:
    """Three strided convolutions with group normalisation and a linear head, for images of 16 to 64 pixels a side."""
    least, most = SMALL
    if not least <= size <= most:
        raise ModelError(
            f"model gn-small: works on images of {least} to {most} pixels a side, not {size}; set data.size accordingly"
        )
    blocks = [*_block(channels, 16), *_block(16, 32), *_block(32, 64)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(64 * math.ceil(size / 8) ** 2, classes))


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.GroupNorm(4, outputs), nn.ReLU()]


def resnet18(channels: int, size: int, classes: int) -> nn.Module:
    """MONAI's 2D ResNet-18 (He et al., arXiv 1512.03385) with group normalisation, for images from 64 pixels a side."""
    nets = _monai("resnet18", size)
    return _by_groups(nets.resnet18(spatial_dims=2, n_input_channels=channels, num_classes=classes))


def densenet121(channels: int, size: int, classes: int) -> nn.Module:
    """MONAI's 2D DenseNet-121 (Huang et al., arXiv 1608.06993) with group normalisation, for images from 64 pixels a side."""
    nets = _monai("densenet121", size)
    return _by_groups(nets.DenseNet121(spatial_dims=2, in_channels=channels, out_channels=classes))


def _monai(name: str, size: int) -> Any:
    if size < SMALLEST_MONAI:
        raise ModelError(
            f"model {name}: needs images of at least {SMALLEST_MONAI} pixels a side, not {size}; "
            f"set data.size={SMALLEST_MONAI} or model.name='gn-small'"
        )
    try:
        return importlib.import_module("monai.networks.nets")
    except ImportError as error:
        raise ModelError(f"model {name}: MONAI cannot be imported ({error}); {extra('monai')}") from error


def _by_groups(module: nn.Module) -> nn.Module:
    """``module`` with every BatchNorm2d replaced by a fresh GroupNorm; MONAI's ResNet takes no group norm as an argument."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(math.gcd(GROUPS, child.num_features), child.num_features))
        else:
            _by_groups(child)
    return module


BUILT_IN: dict[str, Build] = {"gn-small": gn_small, "resnet18": resnet18, "densenet121": densenet121}


def users(name: str) -> Build:
    """The builder behind ``module:function``, called with ``channels=, size=, classes=``. ModelError when there is none."""
    function = _import(name)

    def build(channels: int, size: int, classes: int) -> nn.Module:
        try:
            module = function(channels=channels, size=size, classes=classes)
        except Exception as error:
            raise ModelError(
                f"model {name}: the call with channels={channels}, size={size}, classes={classes} failed with "
                f"{type(error).__name__}: {error}; let it take these three arguments"
            ) from error
        if not isinstance(module, nn.Module):
            raise ModelError(f"model {name}: returned {type(module).__name__}; return a torch.nn.Module")
        return module

    return build


def _import(name: str) -> Callable[..., Any]:
    place, colon, attribute = name.partition(":")
    if not (place and colon and attribute):
        raise ModelError(f"model {name!r}: unknown; choose one of {', '.join(BUILT_IN)} or write module:function")
    try:
        function = getattr(importlib.import_module(place), attribute)
    except Exception as error:
        raise ModelError(f"model {name}: cannot be imported ({error}); is its folder on PYTHONPATH?") from error
    if not callable(function):
        raise ModelError(f"model {name}: {attribute} is not callable; name a function that returns a torch.nn.Module")
    return function  # type: ignore[no-any-return]
