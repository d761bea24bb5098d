"""A small federation's plan and its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from afuic.cli.common import load
from afuic.deploy import files, planning
from afuic.deploy.planning import Plan
from afuic.settings import Engine, Images

NAMES = ("north", "south", "west")


@pytest.fixture(scope="session")
def plan() -> Plan:
    agreed = planning.agreement(load("demo-phantom"), NAMES)
    images = Images(channels=1, class_names=("stripes-0", "stripes-45", "stripes-90", "stripes-135"))
    return Plan(agreed, images, NAMES, Engine(public_host="fl.example.org", public_port=9444), slowdown={"west": 10.0})


@pytest.fixture(scope="session")
def made(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written federation; tests only read it."""
    folder = tmp_path_factory.mktemp("deploy") / "federation"
    files.write_tree(folder, planning.tree(plan))
    return folder
