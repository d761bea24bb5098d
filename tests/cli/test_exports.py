"""The public Python interface: its names are a promise, and importing it is cheap."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import afuic
from afuic.config import Config, load
from afuic.engines import experiment
from afuic.engines.replay import replay

ROOT = Path(__file__).parents[2]


def test_the_exported_names_are_pinned():
    assert afuic.__all__ == ["Config", "__version__", "load_config", "load_model", "replay", "run"]
    assert set(afuic.__all__) <= set(dir(afuic))


def test_names_lead_to_their_homes():
    assert afuic.Config is Config
    assert afuic.load_config is load


def test_run_and_replay_are_the_engines():
    assert afuic.run is experiment.run
    assert afuic.replay is replay


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'train'; it has Config"):
        _ = afuic.train


def test_the_version_is_the_projects():
    assert afuic.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize("code", ["import afuic", "from afuic.cli import app", "import afuic; afuic.load_config()"])
def test_importing_does_not_import_torch(code):
    subprocess.run([sys.executable, "-c", f"{code}; import sys; assert 'torch' not in sys.modules"], check=True)
