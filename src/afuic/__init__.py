"""Asynchronous federated unlearning with invariance calibration for medical imaging: the public Python interface.

Names are loaded when first used (PEP 562), so that ``import afuic`` and ``afuic --help`` cost no import of torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afuic.config import Config
    from afuic.config import load as load_config
    from afuic.engines.classifier import load_model
    from afuic.engines.experiment import run
    from afuic.engines.replay import replay

__version__ = "0.1.0"
__all__ = ["Config", "__version__", "load_config", "load_model", "replay", "run"]

_HOMES = {
    "Config": ("afuic.config", "Config"),
    "load_config": ("afuic.config", "load"),
    "load_model": ("afuic.engines.classifier", "load_model"),
    "replay": ("afuic.engines.replay", "replay"),
    "run": ("afuic.engines.experiment", "run"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'afuic' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
