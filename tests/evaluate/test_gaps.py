"""The one test that calls a model apart from retrained ones: worked out by hand, and measured on retrained models themselves."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from afuic.bench import document, statistics
from afuic.evaluate import gaps
from afuic.evaluate.gaps import Yardstick, limit, of_area, of_share, passes, pooled, sampling, window, yardstick
from afuic.evaluate.results import Sizes
from afuic.rng import stream

ROOT = Path(__file__).parents[2]
SIZES = Sizes(test=(60, 40, 0), forget=20, members=10, attacked=40, hospitals={"a": 30, "b": 70, "c": 0}, curve=(50, 20, 25))


def test_z_of_two_passes_a_perfect_model_more_often_the_more_references_there_are() -> None:
    assert [round(100 * passes(n), 1) for n in (4, 5, 32)] == [82.8, 85.8, 94.2]


def test_the_interval_is_students() -> None:
    # t of 0.975 with 4 degrees of freedom is 2.776, times sqrt(1 + 1/5); with 1 it is 12.706, times sqrt(3/2)
    assert limit(5) == pytest.approx(2.7764 * math.sqrt(1.2), rel=1e-4)
    assert limit(2) == pytest.approx(12.7062 * math.sqrt(1.5), rel=1e-4)


def test_of_models_that_are_alike_it_tells_one_in_twenty_apart() -> None:
    values = stream(0, "alike").normal(size=(4000, 6))
    apart = [yardstick(row[:5].tolist()).judge("accuracy", float(row[5])).apart for row in values]
    assert np.mean(apart) == pytest.approx(0.05, abs=0.011)  # three standard errors


def test_what_it_tells_apart_of_the_projects_own_retrained_models_is_what_pages_say() -> None:
    """The committed suites: each retrained model against the others of its seed, at the release and at the end."""
    paths = [ROOT / "benchmarks/results/paper.json", *sorted((ROOT / "benchmarks/results/suites").glob("*.json"))]
    seeds = [s for path in paths for case in document.load(path).cases.values() for s in case.seeds.values()]
    judged = [
        found.apart
        for seed in seeds
        if seed.retrained.runs > 2
        for phase in gaps.AFTER
        for key in seed.retrained.phases.get(phase, {})
        for _, found in statistics.left_out(seed, phase, key)
        if found is not None
    ]
    assert len(judged) > 15_000
    assert round(float(np.mean(judged)), 3) == gaps.FALSE_ALARMS


def test_a_gap_of_less_than_half_a_point_is_none() -> None:
    """The demo's forget accuracy, 47.6 % against 48.0 % ± 0.09 of three models, z −4: nobody could tell."""
    found = Yardstick(0.4799, 0.00094, 3).judge("forget_accuracy", 0.4762)
    assert (round(found.z, 1), found.apart) == (-3.9, False)


@pytest.mark.parametrize(("key", "mean", "value"), [("forget_accuracy", 0.5, 1.0), ("asr", 0.0, 1.0), ("accuracy", 1.0, 0.5)])
@pytest.mark.parametrize("sizes", [SIZES, None])
@pytest.mark.parametrize("runs", [2, 3, 5])
def test_where_retrained_models_agree_a_difference_is_told_apart(
    key: str, mean: float, value: float, sizes: Sizes | None, runs: int
) -> None:
    against = yardstick([mean] * runs, floor=sampling(key, mean, sizes))
    assert against.sd == 0.0
    assert against.judge(key, value).apart
    assert not against.judge(key, mean).apart
    assert (against.z(value) is None) == (sizes is None)


def test_one_image_of_few_is_no_difference_though_models_agree() -> None:
    against = yardstick([1.0, 1.0, 1.0], floor=sampling("forget_accuracy", 1.0, SIZES))
    assert not against.judge("forget_accuracy", 19 / 20).apart
    assert yardstick([1.0, 1.0, 1.0]).judge("forget_accuracy", 19 / 20).apart, "where the number of images is not known"


@pytest.mark.parametrize(
    ("key", "side", "better"),
    [
        ("accuracy", "higher", True), ("accuracy", "lower", False), ("ece", "lower", True), ("ece", "higher", False),
        ("asr_excess", "lower", True), ("asr", "higher", False), ("js_to_retrain", "lower", True),
        ("forget_accuracy", "lower", False), ("forget_accuracy", "higher", False), ("forget_loss", "higher", False),
        ("mia_auc", "lower", False), ("mia_auc", "higher", False),
    ],
)  # fmt: skip
def test_each_measure_has_a_better_side_or_none(key: str, side: str, better: bool) -> None:
    found = yardstick([0.5, 0.51, 0.49]).judge(key, 0.9 if side == "higher" else 0.1)
    assert (found.apart, found.side, found.better) == (True, side, better)


def test_nothing_is_said_without_two_models_or_a_value() -> None:
    assert yardstick([None, None]) is None
    assert yardstick([0.5]).judge("accuracy", 0.9) is None
    assert yardstick([0.5, 0.6]).judge("accuracy", None) is None
    assert yardstick([0.5, None, 0.6]).runs == 2
    assert yardstick([0.5, 0.5]).judge("js_to_retrain", 0.9) is None, "two models are as far from each other as each other"


def test_how_models_swing_widens_the_interval() -> None:
    # Two models at 0.4 and 0.6, then both at 0.5: mean 0.5, squared deviations 0.01, 0.01, 0, 0: mean 0.005, times 2/1
    assert pooled([[0.4, 0.5], [0.6, 0.5]]) == pytest.approx(0.1)
    assert pooled([[0.4, 0.5], []]) == pooled([]) == 0.0
    wide = yardstick([0.5, 0.5], moments=0.1)
    assert wide.margin == pytest.approx(limit(2) * 0.1)
    points = [(100.0, 1.0), (160.0, 2.0), (400.0, 3.0), (401.0, 4.0), (700.0, 5.0)]
    assert window(points, "released") == [1.0, 2.0, 3.0]
    assert window(points, "final") == [5.0, 4.0, 3.0]


def test_the_sampling_error_of_a_share_is_above_zero_at_zero_and_one_too() -> None:
    # p = 0 of 20: (0 + 2) / 24 = 1/12; sqrt(1/12 · 11/12 / 24)
    assert [of_share(0.0, 20), of_share(1.0, 20)] == pytest.approx([math.sqrt(11 / 144 / 24)] * 2)
    assert of_share(0.5, 96) == pytest.approx(0.05)  # sqrt(0.25 / 100)
    assert of_share(0.5, 0) == 0.0


def test_the_sampling_error_of_an_area_is_hanley_and_mcneils() -> None:
    # area 1/2, 10 and 20: Q1 = Q2 = 1/3; (1/4 + 9 (1/3 - 1/4) + 19 (1/3 - 1/4)) / 200 = (1/4 + 28/12) / 200
    assert of_area(0.5, 10, 20) == pytest.approx(math.sqrt((1 / 4 + 28 / 12) / 200))
    assert of_area(1.0, 10, 20) > 0
    assert of_area(0.5, 0, 20) == 0.0


def test_every_measure_rests_on_its_own_images() -> None:
    assert sampling("accuracy", 0.5, SIZES) == of_share(0.5, 100)
    assert sampling("accuracy", 0.5, SIZES, curve=True) == sampling("accuracy_min", 0.5, SIZES, curve=True) == of_share(0.5, 50)
    assert sampling("forget_accuracy", 0.5, SIZES) == of_share(0.5, 20)
    assert sampling("asr_excess", -0.1, SIZES) == of_share(0.1, 40)
    assert sampling("worst_hospital", 0.5, SIZES) == of_share(0.5, 30)
    assert sampling("own_hospital", 0.5, SIZES, own="b") == of_share(0.5, 70)
    assert sampling("mia_auc", 0.5, SIZES) == of_area(0.5, 10, 100)
    # two classes that are there: sqrt(a² + b²) / 2
    assert sampling("balanced_accuracy", 0.5, SIZES) == pytest.approx(math.hypot(of_share(0.5, 60), of_share(0.5, 40)) / 2)
    assert sampling("auroc", 0.5, SIZES) == pytest.approx(math.hypot(of_area(0.5, 60, 40), of_area(0.5, 40, 60)) / 2)
    assert sampling("forget_loss", 0.5, SIZES) == sampling("accuracy", 0.5, None) == 0.0
