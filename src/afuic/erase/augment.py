"""Φ, the trigger-blind medical augmentation under which a calibrated model must not change its mind.

Shift, intensity, blur and occlusion are what differs between scanners, stains and photographs. None of them is made from the trigger that
forgetting is scored with: occlusions are grey, of random place and size, and cover what is there instead of adding a pattern.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field

from afuic.config import Section

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


class Augmentation(Section):
    """Strengths of Φ. Shift and occlusion as shares of the side length, intensity as a share of the value range."""

    shift: float = Field(0.1, ge=0, le=0.5, description="largest shift, as a share of the side")
    intensity: float = Field(0.2, ge=0, le=1, description="largest change of gain and offset")
    blur: float = Field(0.3, ge=0, le=1, description="probability of a 3×3 mean blur")
    occlusion: float = Field(0.25, ge=0, le=0.75, description="side of the largest grey square, as a share")
    flip: bool = Field(True, description="mirror half of the images")


def medical(strength: Augmentation) -> Augment:
    """Φ as a function of images [n, c, h, w] in [−1, 1] and a generator; the result has the same shape and range."""

    def phi(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        out = _flip(images, generator) if strength.flip else images
        out = _shift(out, strength.shift, generator)
        out = _intensity(out, strength.intensity, generator)
        out = _blur(out, strength.blur, generator)
        return _occlude(out, strength.occlusion, generator).clamp(-1, 1)

    return phi


def _flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def _shift(images: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    reach = int(share * images.shape[-1])
    if reach == 0:
        return images
    dy, dx = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
    height, width = images.shape[-2:]
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    return padded[..., reach + dy : reach + dy + height, reach + dx : reach + dx + width]


def _intensity(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    gain, offset = ((torch.rand(2, len(images), 1, 1, 1, generator=generator) * 2 - 1) * strength).unbind(0)
    return images * (1 + gain) + offset


def _blur(images: torch.Tensor, probability: float, generator: torch.Generator) -> torch.Tensor:
    if float(torch.rand(1, generator=generator)) >= probability:
        return images
    return F.avg_pool2d(F.pad(images, (1,) * 4, mode="replicate"), 3, stride=1)


def _occlude(images: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    side = int(share * images.shape[-1] * float(torch.rand(1, generator=generator)))
    if side == 0:
        return images
    top, left = (int(v) for v in torch.randint(0, images.shape[-1] - side + 1, (2,), generator=generator))
    out = images.clone()
    out[..., top : top + side, left : left + side] = images.mean(dim=(-1, -2), keepdim=True)
    return out
