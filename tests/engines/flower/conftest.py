"""A federation of two hospitals on synthetic images, with Flower's real programs, TLS and node authentication."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import afuic
from afuic.config import parse
from afuic.deploy import local
from tests.engines.flower.running import Running

CONFIG: dict[str, Any] = {
    "name": "flower",
    "methods": ["afuic"],
    "data": {"name": "phantom", "calibration": 40, "partition": {"kind": "iid", "clients": 2, "min_images": 8}},
    "training": {"steps": 2, "batch": 8},
    "options": {"afuic": {"heal": {"steps": 4, "batch": 32}, "guard": {"versions": 2, "calibration": {"steps": 1}}}},
}
HOSPITALS = ("hospital-0", "hospital-1")


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """This source for the programs, too, and one thread each."""
    return {"PYTHONPATH": str(Path(afuic.__file__).parents[1]), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Running]:
    """Server and hospitals run. The app that came with the run leaves a trace when it is imported."""
    folder = tmp_path_factory.mktemp("flower") / "federation"
    local.create(folder, parse(CONFIG), HOSPITALS, {})
    (app,) = folder.glob("app/*/__init__.py")
    app.write_text(f"import pathlib\npathlib.Path({str(folder / 'imported')!r}).touch()\n{app.read_text()}")
    running = Running(folder, {**environment, "PATH": os.environ["PATH"]})
    try:
        running.server()
        assert running.submit() == 0, running.said("submit")
        for name in HOSPITALS:
            running.join(name)
        yield running
    finally:
        running.close()
