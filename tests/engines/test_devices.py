"""A federation whose networks compute on another device is the federation of the CPU, to the byte, for every method."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from afuic.config import Config
from afuic.engines import experiment, pool
from afuic.engines.arm import Arm
from afuic.erase import METHODS
from afuic.errors import AfuicError
from afuic.learning.devices import VARIABLE
from tests import elsewhere
from tests.engines.conftest import SMALL, small

SHORT = {
    "wu": {"distil": {"schedule": {"steps": 5, "batch": 8}}},
    "rapid": {"rounds": 2},
    "sifu": {"rounds": 2},
    "fcu": {"stages": 2, "recover_rounds": 2},
}


def test_every_method_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small(
        methods=[name for name in METHODS if name != "retrain"],
        options={**SMALL["options"], **SHORT},
        clock={"horizon_s": 40.0},
        evaluation={"every_s": 20.0, "images": 50, "retrained": 1},
    )
    here = experiment.run(config, tmp_path / "here")
    monkeypatch.setenv(VARIABLE, elsewhere.NAME)
    there = experiment.run(config, tmp_path / "there")
    assert {name for name, found in here.methods.items() if found.failed or found.erasure_latency_s is None} == set()
    assert there.machine == {**here.machine, "gpu": f"{elsewhere.NAME}:0"}
    assert there.methods == here.methods


def test_a_full_gpu_is_said_in_a_sentence(tmp_path: Path) -> None:
    def fill(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB")

    said = r"past: the GPU is full \(CUDA out of memory\); run again with fewer --jobs, or with AFUIC_DEVICE=cpu"
    with pytest.raises(AfuicError, match=f"^{said}$"):
        pool.run(fill, Config(), tmp_path, [Arm("past", "afuic", None)], 1, print)
