"""Torch's global random stream, lent to code that knows no generators (initialisation, dropout) and put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block torch's CPU stream starts at ``seed`` (0 to 2**63 - 1); after it, the stream is where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
