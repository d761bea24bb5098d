"""FedBuff: the mean of every K updates is one step (Nguyen et al., arXiv 2106.06639, Algorithm 1)."""

from __future__ import annotations

from dataclasses import replace

from afuic.aggregate.contribution import Contribution
from afuic.params import scale


def take(
    buffer: tuple[Contribution, ...], new: Contribution, size: int
) -> tuple[tuple[Contribution, ...], tuple[Contribution, ...]]:
    """Hold contributions until there are ``size`` of them, then release all, each divided by ``size``."""
    held = (*buffer, new)
    if len(held) < size:
        return held, ()
    return (), tuple(replace(item, share=scale(item.share, 1.0 / size)) for item in held)
