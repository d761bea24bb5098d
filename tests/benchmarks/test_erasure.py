"""The erasure benchmark's own arithmetic, on numbers worked out by hand, and that its cases are what the page says."""

from __future__ import annotations

import pytest


def _curve(release: float, accuracies: list[float]) -> dict:
    return {"released_t": release, "curve": [{"t": release + 60 * i, "accuracy": a} for i, a in enumerate(accuracies)]}


def test_a_dip_is_measured_against_the_references_own_swing() -> None:
    import erasure

    # at 0 s: 0.8 and 0.9, mean 0.85, sd 0.0707; at 60 s the four values 0.8, 0.9, 0.8, 0.9: mean 0.85, sd 0.0577
    references = [_curve(1000, [0.8, 0.8]), _curve(2000, [0.9, 0.9])]
    found = erasure.dip(_curve(50, [0.70, 0.74]), references)
    assert found["lowest"] == pytest.approx(0.70 - (0.85 - 2 * 0.05 * 2**0.5))
    assert found["below"] == 0.5
    assert found["over_after_s"] == 0.0
    assert erasure.dip(_curve(50, [0.9, 0.7]), references)["over_after_s"] == 60.0


def test_z_of_all_seeds() -> None:
    import erasure

    items = [{"z": {"released": {"accuracy": v}, "final": {}}} for v in (-1.0, 3.0, None)]
    items = [{"z": {p: {m: i["z"][p].get(m) for m in erasure.MEASURES} for p in erasure.AFTER}} for i in items]
    assert erasure._zs(items) == {"released": {"accuracy": {"mean": 1.0, "worst": 3.0, "within": 1, "of": 2}}}


@pytest.mark.parametrize("name", ["bloodmnist", "bloodmnist, two at once", "bloodmnist, three in a row", "organamnist"])
def test_every_case_leaves_the_same_time_before_and_after(name: str, tmp_path) -> None:
    import erasure

    cfg = erasure.configuration(name, 3, tmp_path)
    horizon = cfg.clock.horizon_s
    assert cfg.seed == 3
    assert cfg.requests[0].at * horizon == pytest.approx(1200)
    assert horizon * (1 - cfg.requests[-1].at) == pytest.approx(1080)
    assert cfg.evaluation.retrained == 5


def test_cases_that_share_a_past_or_references_share_the_training() -> None:
    import erasure

    for name, case in erasure.CASES.items():
        if case.retained is not None:
            assert set(case.seeds) <= set(erasure.CASES[case.retained].seeds), name
            assert not [a for a in erasure.arms(name) if a.name.startswith("retrain")], name
        assert [a.name for a in erasure.arms(name) if a.name == "prefix"] == (
            [] if case.past or "ahead" in name else ["prefix"]
        )
