"""A suite that runs in seconds, and a document made by hand whose statistics can be worked out on paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from afuic.bench import suites
from afuic.bench.document import Arm, Case, Costs, Curve, Document, Retrained, Row, Seed, Spent
from afuic.bench.suite import Case as Planned
from afuic.bench.suite import Suite, Sweep, Variant
from afuic.cli import app

TINY = Suite(
    name="tiny",
    question="Does it run?",
    base=(
        "data.name=phantom",
        "data.calibration=20",
        "data.limit=90",
        "data.partition.kind=iid",
        "data.partition.clients=3",
        "data.partition.min_images=8",
        "training.steps=2",
        "training.batch=8",
        "clock.horizon_s=30.0",
        "requests.0.at=0.5",
        "evaluation.every_s=2.5",
        "evaluation.images=50",
    ),
    cases=(
        Planned("whole", x=1),
        Planned("offline", ("requests.0.target_online=false",), references="whole", x=2),
    ),
    variants=(
        Variant("afuic", "afuic", {"heal": {"steps": 4}, "guard": {"versions": 2, "calibration": {"steps": 1}}}),
        Variant(
            "paper", "afuic-paper", {"ascent": {"steps": 2}, "calibration": "none", "guard": {"versions": 0}, "deadline_s": 20}
        ),
        Variant("continue", "continue"),
    ),
    seeds=2,
    retrained=2,
    sweep=Sweep("nothing", ("latency_s", "z final accuracy")),
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Suite:
    """The suite ``tiny``, registered."""
    monkeypatch.setattr(suites, "SUITES", {**suites.SUITES, "tiny": TINY})
    return TINY


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of ``tiny``."""
    from afuic.bench.planning import select
    from afuic.bench.running import run

    out = tmp_path_factory.mktemp("suites") / "tiny"
    run(select(TINY), out)
    return out


@pytest.fixture
def afuic_cli(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Calls ``afuic ARGUMENTS`` and gives the exit code and all it printed."""
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.delenv("AFUIC_DEBUG", raising=False)

    def call(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return result.exit_code, result.output

    return call


MODELS = (0.82, 0.83, 0.84, 0.85, 0.86)
"""Retrained models: mean 0.84, deviations 0.02, 0.01, 0: their variance is 0.001 / 4. Another is found within 3.04 of these sd."""
MEAN, SD = 0.84, 0.00025**0.5


def arm(accuracy: float, *, latency: float | None = 10.0, lost: int = 0, outcome: str = "released") -> Arm:
    """An arm with one measure at the end and a few costs."""
    costs = dict.fromkeys(Costs.model_fields) | {"latency_s": latency, "updates_lost": lost, "stall_client_s": 0.0}
    return Arm.model_validate(
        {
            "outcome": outcome,
            "reason": None if outcome == "released" else "it did not answer",
            "commit": "c0ffee",
            "costs": costs,
            "spent": Spent(),
            "digest": f"sha256:{accuracy}",
            "released_t": None if latency is None else 100.0 + latency,
            "phases": {"final": {"accuracy": accuracy}},
            "z": {},
            "hospitals": {},
            "sensitivity": {},
            "curve": curve(100.0, accuracy),
        }
    )


def curve(t: float, accuracy: float) -> Curve:
    """Two points."""
    return Curve(
        t=(t, t + 60),
        accuracy=(accuracy, accuracy),
        forget_accuracy=(0.5, 0.5),
        forget_loss=(1.0, 1.0),
        asr_excess=(None, None),
    )


def seed(rows: dict[str, Arm], models: tuple[float, ...] = MODELS) -> Seed:
    """One seed with retrained models of these accuracies; at the release other measures have the same values."""
    request = {"id": "request-0", "client": "hospital-0", "patients": None, "t": 100.0, "target_online": True}
    retrained = Retrained(
        runs=len(models),
        diverged=0,
        latency_s=100.0,
        costs=None,
        phases={
            "released": {"accuracy": models, "auroc": models},
            "final": {"accuracy": models},
            "after": {"asr_excess_max": models},
        },
        left_out={},
        released_t=(200.0,) * len(models),
        curves=tuple(curve(200.0, m) for m in models),
    )
    values: dict[str, Any] = {"requests": [request], "clients": {}, "before": {"accuracy": 0.9}, "past": curve(0.0, 0.9)}
    return Seed.model_validate({**values, "retrained": retrained, "arms": rows})


def row(method: str, *, oracle: bool = False) -> Row:
    return Row(method=method, source="a paper", options={}, oracle=oracle, needs_target=False, pauses=False)


@pytest.fixture
def by_hand() -> Document:
    """Three seeds: afuic, another method that is farther away, an oracle that fails once."""
    rows = {"afuic": row("afuic"), "other": row("other"), "cheat": row("cheat", oracle=True)}
    seeds = {
        "0": seed({"afuic": arm(0.80), "other": arm(0.60, latency=20, lost=4), "cheat": arm(0.85)}),
        "1": seed({"afuic": arm(0.84), "other": arm(0.70, latency=30, lost=6), "cheat": arm(0.85)}),
        "2": seed({"afuic": arm(0.88), "other": arm(0.65, latency=10, lost=2),
                   "cheat": arm(0.9, latency=None, outcome="failed")}),
    }  # fmt: skip
    case = Case(x=None, config={"name": "by hand"}, rows=rows, seeds=seeds)
    return Document(
        version="afuic-bench/1",
        suite="hand",
        question="What is on paper?",
        commit="c0ffee",
        versions={"torch": "2"},
        machine={"system": "paper", "cores": 1},
        changes=(),
        retrained=2,
        sweep=None,
        skipped={"elsewhere": "no file"},
        missing=(),
        cases={"by hand": case},
    )
