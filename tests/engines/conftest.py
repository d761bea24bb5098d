"""A federation that trains in a second, and runs of it shared by the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afuic.config import Config, parse
from afuic.engines import experiment
from afuic.evaluate.results import Results

SMALL: dict[str, Any] = {
    "name": "small",
    "data": {
        "name": "phantom",
        "calibration": 40,
        "partition": {"kind": "iid", "clients": 3, "min_images": 8},
        "trigger": {"client": "hospital-0", "target_class": 0},
    },
    "training": {"steps": 3, "batch": 8},
    "clock": {"horizon_s": 60.0},
    "requests": [{"client": "hospital-0", "at": 0.5}],
    "evaluation": {"every_s": 10.0, "images": 50, "retrained": 2},
    "options": {
        "afuic": {"heal": {"steps": 10, "batch": 64}, "guard": {"versions": 6, "calibration": {"steps": 1}}},
        "afuic-paper": {"ascent": {"objective": "ascent", "steps": 3, "retain": 0.0, "distil": 0.0, "bound": 100.0}},
    },
}


def small(**changes: Any) -> Config:
    """The small federation with some top-level settings changed."""
    return parse({**SMALL, **changes})


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """A finished run and its results."""
    out = tmp_path_factory.mktemp("runs") / "small"
    return out, experiment.run(small(), out)
