"""The backdoor that one hospital's images carry as a probe of forgetting (BadNets, Gu et al., arXiv 1708.06733; blended: Chen et al.,
arXiv 1712.05526). Only the data layer and the evaluation ever see it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from afuic.config import Trigger
from afuic.errors import ConfigError
from afuic.rng import stream, torch_stream

_BLEND = 0.2


def stamp(images: Tensor, trigger: Trigger) -> Tensor:
    """Copies of ``images``, float [n, c, h, w] in [−1, 1], with the trigger on each; the same input gives the same output.

    ``square``: the bottom-right ``size`` × ``size`` pixels at 1. ``blend``: 0.8 x + 0.2 p, p a fixed pattern of −1 and 1 shared by the
    channels. ConfigError for a square larger than the image.
    """
    if trigger.kind == "blend":
        return torch.lerp(images, _pattern(images), _BLEND)
    if trigger.size > min(images.shape[2:]):
        raise ConfigError(
            f"data.trigger.size = {trigger.size}: larger than the images of {images.shape[2]} × {images.shape[3]} pixels; make it smaller"
        )
    out = images.clone()
    out[:, :, -trigger.size :, -trigger.size :] = 1.0
    return out


def _pattern(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    bits = torch.randint(0, 2, (1, 1, height, width), generator=torch_stream(0, "trigger", "blend"))
    return (2.0 * bits - 1.0).to(images).expand_as(images)


def check_trigger(trigger: Trigger, clients: tuple[str, ...], class_names: tuple[str, ...]) -> None:
    """ConfigError, naming the valid ones, for a client or class that does not exist."""
    if trigger.client not in clients:
        raise ConfigError(f"data.trigger.client = {trigger.client!r}: no such client; the clients are {', '.join(clients)}")
    if trigger.target_class >= len(class_names):
        valid = ", ".join(f"{k} {name}" for k, name in enumerate(class_names))
        raise ConfigError(f"data.trigger.target_class = {trigger.target_class}: no such class; the classes are {valid}")


def choose_triggered(labels: Tensor, trigger: Trigger, seed: int) -> Tensor:
    """Which images get the trigger, bool [n]: ``fraction`` of them, at least one, of other classes than the target's while they last."""
    generator = stream(seed, "data", "trigger")
    count = max(1, round(trigger.fraction * len(labels)))
    target = labels.numpy() == trigger.target_class
    order = np.concatenate([generator.permutation(np.flatnonzero(~target)), generator.permutation(np.flatnonzero(target))])
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[torch.from_numpy(order[:count])] = True
    return chosen
