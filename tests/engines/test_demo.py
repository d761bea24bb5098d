"""What the demo claims, on the real images at full length: one reference instead of three, only our method beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from afuic import config
from afuic.engines import experiment, pool
from afuic.evaluate.results import Results

DEMO = Path(config.__file__).parent / "configs" / "demo.toml"


def run(out: Path, *changes: str) -> Results:
    return experiment.run(config.load(DEMO, ("evaluation.retrained=1", *changes)), out, jobs=pool.cores())


@pytest.mark.slow
@pytest.mark.network
def test_the_demo_erases_for_good_and_nobody_waits(tmp_path: Path) -> None:
    results = run(tmp_path / "demo", 'methods=["afuic", "retrain"]')
    ours, retrain = results.methods["afuic"], results.methods["retrain"]
    assert ours.failed is None
    assert (ours.updates_lost, ours.stall_client_s) == (0, 0)
    assert ours.latency_to_retrain is not None
    assert ours.latency_to_retrain <= 1 / 20
    end, reference = ours.phases["final"].asr_excess, retrain.phases["final"].asr_excess
    assert end is not None
    assert reference is not None
    assert ours.phases["before"].asr_excess > 0.5  # type: ignore[operator]
    assert end <= reference + 0.02
    assert ours.phases["final"].accuracy >= retrain.phases["final"].accuracy - 0.05
