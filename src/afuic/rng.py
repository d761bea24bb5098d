"""The only place where random streams are made.

A stream is named by a path, such as ``("train", "hospital-3", 17)``. The path is hashed, so two streams never collide
(unlike ``seed + client``) and adding one consumer never shifts another's numbers.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import torch

PathPart = str | int


def key(seed: int, *path: PathPart) -> int:
    """A 128-bit integer for this seed and path. Parts keep their type: ``1`` and ``"1"`` differ."""
    text = json.dumps([seed, *path], separators=(",", ":"), ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


def stream(seed: int, *path: PathPart) -> np.random.Generator:
    """A NumPy generator (PCG64) for this seed and path."""
    return np.random.Generator(np.random.PCG64(key(seed, *path)))


def torch_stream(seed: int, *path: PathPart) -> torch.Generator:
    """A CPU torch generator for this seed and path."""
    generator = torch.Generator()
    generator.manual_seed(key(seed, *path) & (2**63 - 1))
    return generator
