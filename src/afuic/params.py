"""Arithmetic on model parameters, so that updates, contributions and models are one kind of value.

``Params`` maps a parameter's name to a float32 tensor. Values are never changed in place: every function returns new
tensors, which is what lets the protocol be a pure function of its state. The order of the names carries no meaning (files do not keep
it), so whatever sums over tensors goes through them sorted by name: the same model gives the same bits.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

import torch

from afuic.errors import ParamsError

Params = Mapping[str, torch.Tensor]

NOT_FINITE = "has NaN or infinite entries"
"""What is said of parameters that have diverged."""


def add(a: Params, b: Params, scale: float = 1.0) -> dict[str, torch.Tensor]:
    """``a + scale * b``, name by name."""
    return {name: torch.add(tensor, b[name], alpha=scale) for name, tensor in a.items()}


def sub(a: Params, b: Params) -> dict[str, torch.Tensor]:
    """``a - b``, name by name."""
    return {name: tensor - b[name] for name, tensor in a.items()}


def scale(a: Params, factor: float) -> dict[str, torch.Tensor]:
    """``factor * a``, name by name."""
    return {name: tensor * factor for name, tensor in a.items()}


def zeros_like(a: Params) -> dict[str, torch.Tensor]:
    """Zeros of the same names, shapes and types."""
    return {name: torch.zeros_like(tensor) for name, tensor in a.items()}


def total(parts: Iterable[Params], like: Params) -> dict[str, torch.Tensor]:
    """The sum of ``parts`` in the order given; zeros shaped like ``like`` when there are none."""
    out = zeros_like(like)
    for part in parts:
        out = add(out, part)
    return out


def dot(a: Params, b: Params) -> float:
    """Inner product over all entries, accumulated in float64."""
    return float(sum(torch.dot(a[name].flatten().double(), b[name].flatten().double()) for name in sorted(a)))


def norm(a: Params) -> float:
    """Euclidean norm over all entries, accumulated in float64."""
    return math.sqrt(sum(float(a[name].double().square().sum()) for name in sorted(a)))


def clip(a: Params, bound: float) -> Params:
    """``a`` scaled down to a norm of at most ``bound``; an infinite bound leaves it as it is."""
    size = norm(a) if math.isfinite(bound) else 0.0
    return scale(a, bound / size) if size > bound else a


def all_finite(a: Params) -> bool:
    """Whether no entry is NaN or infinite."""
    return all(bool(torch.isfinite(t).all()) for t in a.values())


def check_like(a: Params, like: Params, what: str) -> None:
    """Raise ParamsError unless ``a`` has the names, shapes and types of ``like`` and finite entries only."""
    if a.keys() != like.keys():
        odd = sorted(a.keys() ^ like.keys())
        raise ParamsError(f"{what}: parameter names differ from the model's, first {odd[0]!r}")
    for name, tensor in like.items():
        if a[name].shape != tensor.shape or a[name].dtype != tensor.dtype:
            raise ParamsError(
                f"{what}: {name!r} is {tuple(a[name].shape)} {a[name].dtype}, the model has "
                f"{tuple(tensor.shape)} {tensor.dtype}"
            )
    if not all_finite(a):
        bad = next(name for name, tensor in a.items() if not torch.isfinite(tensor).all())
        raise ParamsError(f"{what}: {bad!r} {NOT_FINITE}")


def digest(a: Params) -> str:
    """``sha256:`` and the hash over names, shapes, types and bytes, in the order of the names."""
    state = hashlib.sha256()
    for name in sorted(a):
        tensor = a[name].detach().contiguous()
        state.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        state.update(tensor.numpy().tobytes())
    return "sha256:" + state.hexdigest()


def nbytes(a: Params) -> int:
    """Bytes of all entries."""
    return sum(t.numel() * t.element_size() for t in a.values())
