"""The orientations of an image: a few images seen from every side stand for more of what a model knows than they do as they are.

Mirroring and turning by right angles moves pixels and changes none, so nothing appears that was not in the image.
"""

from __future__ import annotations

import torch

TURNS = 8
"""Orientations of a square: mirrored or not, upside down or not, transposed or not. An oblong has the first four."""


class Views:
    """Images [m, c, h, w] in all their orientations, or only as they are; view ``v`` is image v mod m in orientation v div m."""

    def __init__(self, images: torch.Tensor, turned: bool) -> None:
        self.images = images
        square = images.shape[-1] == images.shape[-2]
        self.turns = (TURNS if square else TURNS // 2) if turned else 1

    def __len__(self) -> int:
        return len(self.images) * self.turns

    def __getitem__(self, index: torch.Tensor) -> torch.Tensor:
        """The views [n, c, h, w] of these numbers, int64 [n]."""
        out, turn = self.images[index % len(self.images)], index // len(self.images)
        out = _where(turn & 1, out.flip(-1), out)
        out = _where(turn & 2, out.flip(-2), out)
        return _where(turn & 4, out.transpose(-1, -2), out) if self.turns == TURNS else out


def _where(chosen: torch.Tensor, turned: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return torch.where(chosen.bool()[:, None, None, None], turned, images)
