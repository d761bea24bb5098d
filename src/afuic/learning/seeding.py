"""Torch's global random stream, lent to code that knows no generators (initialisation, dropout) and put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from afuic.learning.devices import CPU


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Within the block torch's streams of the CPU and of ``device`` start at ``seed`` (0 to 2**63 - 1); after it, they are as before."""
    others = [] if device == CPU else [device]
    with torch.random.fork_rng(devices=others, device_type=device.type):
        torch.default_generator.manual_seed(seed)
        for other in others:
            torch.get_device_module(other).manual_seed_all(seed)
        yield
