"""What an arm that is done has left in its folder, for those who compare arms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from afuic.errors import StoreError
from afuic.params import Params
from afuic.store.files import read_json, read_tensors

PROBS = "probs:"
"""Name of the test set's probabilities beside the model's tensors, where no parameter can be called so."""


def outcome(folder: Path, arm: str) -> dict[str, Any]:
    """The result of an arm that is done."""
    value = read_json(folder / arm / "result.json")
    if not isinstance(value, dict):
        raise StoreError(f"{folder / arm / 'result.json'}: not an arm's result")
    return value


def measured_probs(folder: Path, arm: str, phase: str) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Test-set probabilities [n, classes] of an arm at a phase; None when it never got there."""
    path = folder / arm / f"{phase}.safetensors"
    return read_tensors(path)[PROBS].double().numpy() if path.exists() else None


def measured_model(folder: Path, arm: str, phase: str) -> Params | None:
    """The model of an arm at a phase; None when it never got there."""
    path = folder / arm / f"{phase}.safetensors"
    return {k: v for k, v in read_tensors(path).items() if k != PROBS} if path.exists() else None
