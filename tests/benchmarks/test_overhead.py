"""The overhead benchmark on a small federation: its loops do the simulator's steps, its parts add up, its committed numbers hold."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from afuic.config import Config, load, parse
from afuic.errors import ConfigError
from tests.benchmarks.conftest import ROOT
from tests.engines.conftest import SMALL


def small() -> Config:
    """The tests' small federation, our method alone."""
    afuic = {"heal": {"steps": 4, "gain": "none"}, "guard": {"versions": 3, "calibration": {"steps": 2}}}
    return parse({**SMALL, "methods": ["afuic"], "clock": {"horizon_s": 30.0}, "options": {"afuic": afuic}})


@pytest.fixture(scope="module")
def measured() -> dict:
    import overhead

    return overhead.measure(small(), 1)


def test_the_parts_add_up(measured: dict) -> None:
    (run,) = measured["repetitions"]
    assert run["training_s"] + run["evaluation_s"] + run["rest_s"] == pytest.approx(run["simulator_s"])
    assert run["share"] == pytest.approx(1 - run["rest_s"] / run["simulator_s"])
    assert run["pytorch_to_simulator"] == pytest.approx(run["pytorch_s"] / run["simulator_s"])
    assert 0 < run["share"] < 1
    assert measured["summary"]["share"] == {"median": run["share"], "min": run["share"], "max": run["share"]}


def test_every_kind_of_work_is_counted(measured: dict) -> None:
    assert set(measured["calls"]) == {"train", "calibrate", "point", "phase_and_probs"}
    # before, released, final
    assert measured["calls"]["phase_and_probs"] == 3


def test_the_bare_loops_do_the_very_same_steps(measured: dict) -> None:
    (run,) = measured["repetitions"]
    found = run["difference"]
    assert set(found) == {f"{loop} {kind}" for loop in ("functions", "pytorch") for kind in ("train", "calibrate")}
    assert (found["functions train"]["max"], found["functions calibrate"]["max"]) == (0.0, 0.0)
    assert found["pytorch train"]["median"] < 1e-5
    assert found["pytorch calibrate"]["median"] < 1e-5


def test_measuring_leaves_the_classes_as_they_were() -> None:
    import common

    from afuic.engines.worker import Worker

    before = Worker.train
    with common.Meter().attached():
        assert Worker.train is not before
    assert Worker.train is before


def test_the_demo_is_the_default_experiment_with_our_method_alone() -> None:
    import overhead

    config = overhead.demo(600.0, 3)
    assert (config.methods, config.clock.horizon_s, config.seed) == (("afuic",), 600.0, 3)
    assert config.data == load("demo").data


def test_a_calibration_that_the_plain_loop_does_not_know_is_refused() -> None:
    import bare
    import overhead

    from afuic.engines.laboratory import prepare
    from afuic.erase.calibrate import Calibration
    from afuic.protocol.effects import Calibrate

    lab = prepare(small())
    worker = lab.worker()
    model = worker.initial()
    job = Calibrate("heal/0", "heal", model, (model,), Calibration(invariance=1.0, gain=None), oracle=False)
    with pytest.raises(ValueError, match="with Adam only"):
        bare.Plain(lab.config, lab.network.module, lab.federation.calibration).calibrate(worker, job)
    assert overhead.largest_difference({"a": torch.tensor([1.0, -2.0])}, {"a": torch.tensor([1.5, 1.0])}) == 3.0


def test_a_bad_setting_is_refused_before_anything_runs() -> None:
    import overhead

    with pytest.raises(ConfigError):
        overhead.demo(-1.0, 0)


@pytest.mark.parametrize("name", ["overhead", "scale", "tables"])
def test_help(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "benchmarks" / f"{name}.py"), run_name="__main__")
    assert ended.value.code == 0
    assert f"usage: {name}.py" in capsys.readouterr().out


def test_the_committed_numbers_meet_the_requirement() -> None:
    document = json.loads(Path(ROOT / "benchmarks" / "results" / "overhead.json").read_text(encoding="utf-8"))
    assert document["summary"]["share"]["min"] >= 0.95
    assert document["summary"]["functions_to_simulator"]["median"] >= 0.95
    assert not document["changed"]
