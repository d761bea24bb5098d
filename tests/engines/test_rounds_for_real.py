"""Methods that work in rounds or from history, run for real on a small federation: they release, and a replay gives the same bits."""

from __future__ import annotations

from pathlib import Path

from afuic.engines import experiment
from afuic.engines.replay import replay
from tests.engines.conftest import small

ROUNDS = {"rounds": 2, "training": {"steps": 2}}
OPTIONS = {
    "federaser": {"calibration": {"steps": 1}},
    "rapid": ROUNDS,
    "wu": {"distil": {"schedule": {"steps": 5, "batch": 8}}},
    "fedrecovery": {},
    "sifu": ROUNDS,
}


def test_methods_from_history_release_and_replay(tmp_path: Path) -> None:
    config = small(methods=list(OPTIONS), options=OPTIONS, evaluation={"every_s": 30.0, "images": 50, "retrained": 1})
    results = experiment.run(config, tmp_path / "run")
    for name, method in results.methods.items():
        assert method.failed is None, name
        assert method.phases["released"].accuracy is not None, name
        assert method.erasure_latency_s is not None, name
    # the server adds noise in no time; four steps at each of two hospitals take some
    assert results.methods["fedrecovery"].erasure_latency_s == 0
    assert all((results.methods[name].erasure_latency_s or 0) > 0 for name in ("federaser", "rapid", "wu", "sifu"))
    assert all(arm.same for arm in replay(tmp_path / "run"))
