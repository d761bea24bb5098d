"""What the demo claims, on the real images: one reference instead of three, only our method beside it, five minutes after the request."""

from __future__ import annotations

from pathlib import Path

import pytest

from afuic import config
from afuic.engines import experiment, pool

DEMO = Path(config.__file__).parent / "configs" / "demo.toml"


@pytest.mark.slow
@pytest.mark.network
def test_the_demo_erases_for_good_and_nobody_waits(tmp_path: Path) -> None:
    changes = ('methods=["afuic", "retrain"]', "evaluation.retrained=1", "clock.horizon_s=1500", "requests.0.at=0.8")
    results = experiment.run(config.load(DEMO, changes), tmp_path / "demo", jobs=pool.cores())
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
