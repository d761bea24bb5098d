"""Where networks compute: on the first GPU where there is one, else on the processor.

Models, images and updates are kept, sent and added up on the CPU, and random streams begin there; only a network's own forward and
backward pass is done elsewhere. Where is the machine's affair, as its processor is: no part of a configuration, but results name it.
"""

from __future__ import annotations

import os

import torch

from afuic.errors import ConfigError

VARIABLE = "AFUIC_DEVICE"
CPU = torch.device("cpu")


def device() -> torch.device:
    """What ``AFUIC_DEVICE`` names ("cpu", "cuda", "cuda:1", ...); "auto", or without it, the first CUDA device, else the CPU.

    A GPU computes in float32 as the CPU does from then on, without TF32, and by deterministic convolutions; its sums are still made in
    another order, so their last bits differ. ConfigError: PyTorch knows no such device, or this machine has none.
    """
    said = os.environ.get(VARIABLE) or "auto"
    found = _named(said if said != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    if found.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
    return found


def gpu() -> str | None:
    """The model of the GPU that networks compute on; None: on the CPU."""
    found = device()
    if found == CPU:
        return None
    return torch.cuda.get_device_name(found) if found.type == "cuda" else str(found)


def _named(said: str) -> torch.device:
    try:
        found = torch.device(said)
        here = found.type == "cpu" or _count(found.type) > (found.index or 0)
    except (RuntimeError, AttributeError):
        raise ConfigError(f"{VARIABLE}={said}: PyTorch knows no such device; use auto, cpu, cuda or cuda:1") from None
    if not here:
        raise ConfigError(
            f"{VARIABLE}={said}: PyTorch {torch.__version__} finds no such device on this machine; "
            "install a build of PyTorch for it and its driver, or use cpu"
        )
    return CPU if found.type == "cpu" else torch.device(found.type, found.index or 0)


def _count(kind: str) -> int:
    module = torch.get_device_module(kind)
    return int(module.device_count()) if module.is_available() else 0
