"""A second device for machines that have none: PyTorch takes its tensors to lie apart from the CPU's and refuses to mix them.

Every operation is done by the CPU's own kernels on the CPU tensor that is held within, so what was moved there and back correctly
has the CPU's bytes, and what was not moved is an error, as on a GPU. Random operations draw from a stream of the device's own.
Importing this makes the device known to the process, for good.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

NAME = "elsewhere"
STREAM = torch.Generator()
COPY, MOVE = torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default


class Backend:
    """What PyTorch asks of a device's module, ``torch.elsewhere``."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        STREAM.manual_seed(seed)

    def get_rng_state(self, device: object = None) -> Tensor:
        return STREAM.get_state()

    def set_rng_state(self, state: Tensor, device: object = None) -> None:
        STREAM.set_state(state)


class Elsewhere(Tensor):
    """A tensor of the device; ``held``, its entries on the CPU, shares memory with the views of it, as anywhere."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Elsewhere:
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made = Tensor._make_wrapper_subclass(cls, held.shape, device=torch.device(NAME, 0), **layout)
        made.held = held
        return made

    @property
    def data(self) -> Tensor:
        return Tensor.data.__get__(self)

    @data.setter
    def data(self, new: Elsewhere) -> None:
        Tensor.data.__set__(self, new)
        self.held = new.held

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        leaves = func is MOVE and torch.device(kwargs.get("device") or NAME).type != NAME
        leaves |= func is COPY and not isinstance(args[0], cls)
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        if any(argument.name == "generator" for argument in func._schema.arguments):
            kwargs["generator"] = STREAM
        given, form = tree_flatten((args, kwargs))
        if func not in {COPY, MOVE} and any(isinstance(x, Tensor) and not isinstance(x, cls) and x.dim() for x in given):
            raise RuntimeError(f"{func}: tensors on {NAME} and on cpu")
        bare, named = tree_unflatten([x.held if isinstance(x, cls) else x for x in given], form)
        known = {id(x.held): x for x in given if isinstance(x, cls)}
        out = func(*bare, **named)
        return tree_map(lambda t: known.get(id(t), cls(t)) if isinstance(t, Tensor) and not leaves else t, out)


def _empty(size: Any, stride: Any = None, *, dtype: Any = None, **_: object) -> Elsewhere:
    return Elsewhere(torch.empty(size, dtype=dtype) if stride is None else torch.empty_strided(size, stride, dtype=dtype))


backend_registration._setup_privateuseone_for_python_backend(NAME, Backend())
_LIBRARY = torch.library.Library("aten", "IMPL")
_LIBRARY.impl("empty_strided", _empty, "PrivateUse1")
_LIBRARY.impl("empty.memory_format", lambda size, **more: _empty(size, None, **more), "PrivateUse1")
