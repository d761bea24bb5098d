"""Which configuration runs where, and what --resume means."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w

from afuic.cli.common import load
from afuic.cli.running import planned
from afuic.errors import ConfigError, StoreError


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A folder whose run was begun with the phantom configuration and seed 3."""
    folder = tmp_path / "begun"
    folder.mkdir()
    values = load("demo-phantom", ("seed=3",)).model_dump(mode="json", exclude_none=True)
    (folder / "config.toml").write_text(tomli_w.dumps(values))
    return folder


def test_the_default_folder_names_configuration_and_seed():
    assert planned("demo-phantom", None, ("seed=4",), False)[1] == Path("runs/phantom-seed4")


def test_resume_takes_the_recorded_configuration(begun):
    config, folder, resume = planned(None, begun, (), True)
    assert (config, folder, resume) == (load("demo-phantom", ("seed=3",)), begun, True)


def test_resume_with_the_same_configuration_is_fine(begun):
    assert planned("demo-phantom", begun, ("seed=3",), True)[2]


@pytest.mark.parametrize(
    ("source", "overrides", "why"),
    [
        ("demo-phantom", (), "seed is 3 there and 0 here"),
        ("demo-phantom", ("seed=3", "training.lr=0.1"), "training.lr is 0.05 there and 0.1 here"),
        ("demo-phantom", ("seed=3", "requests.0.at=0.6"), "requests.0.at is 0.5 there and 0.6 here"),
    ],
)
def test_resume_with_another_configuration_is_refused(begun, source, overrides, why):
    with pytest.raises(ConfigError, match=f"{begun}: its run has another configuration \\({why}\\)"):
        planned(source, begun, overrides, True)


def test_to_resume_what_was_never_begun_is_to_begin(tmp_path):
    assert planned("demo-phantom", tmp_path, (), True)[2] is False


def test_resume_without_anything_to_go_by_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no run to resume; name its folder with --out"):
        planned(None, tmp_path, (), True)
