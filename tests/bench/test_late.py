"""The last five minutes: means of the curve, never from before the release, for rows and retrained models alike."""

from __future__ import annotations

import csv
import io
from statistics import fmean

import pytest

from afuic.bench import document, formats, late, statistics
from afuic.bench.compact import GAPS
from afuic.bench.document import Curve
from afuic.bench.measures import CURVED
from tests.bench.conftest import arm


def curve(*points: tuple[float, float | None]) -> Curve:
    nothing = (None,) * len(points)
    t, accuracy = zip(*points, strict=True)
    return Curve(t=t, accuracy=accuracy, forget_accuracy=nothing, forget_loss=t, asr_excess=nothing)


def released(at: float, found: Curve | None, **more: object):
    return arm(0.5).model_copy(update={"released_t": at, "curve": found, **more})


def test_the_last_five_minutes_are_averaged() -> None:
    ours = released(100.0, curve((100, 0.1), (699, 0.2), (700, 0.6), (800, None), (850, 0.7), (1000, 0.8)))
    assert late.of_arm(ours, "accuracy") == pytest.approx(0.7)
    assert late.of_arm(ours, "forget_loss") == pytest.approx((700 + 800 + 850 + 1000) / 4)
    assert late.of_arm(ours, "forget_accuracy") is late.of_arm(ours, "auroc") is None


def test_what_was_before_the_release_is_left_out_and_a_rounded_release_is_not() -> None:
    ours = released(900.000004, curve((800, 0.1), (900, 0.5), (1000, 0.7)))
    assert late.of_arm(ours, "accuracy") == pytest.approx(0.6)


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_what_it_lived_to_show_before_it_diverged_does_not_flatter(outcome) -> None:
    points = curve((900, 0.5), (1000, 0.7))
    assert late.of_arm(released(900.0, points, outcome=outcome), "accuracy") is None
    assert late.of_arm(released(900.0, None), "accuracy") is None


def test_the_gap_is_to_retrained_models_over_their_own_last_minutes(by_hand) -> None:
    seed = by_hand.cases["by hand"].seeds["0"]
    curves = curve((200, 0.1), (1000, 0.6), (1200, 0.8)), curve((500, 0.9), (2000, 0.9), (2200, 0.9))
    retrained = seed.retrained.model_copy(update={"curves": curves, "released_t": (200.0, 500.0)})
    ours = released(200.0, curve((200, 0.1), (400, 0.2), (900, 1.0)))
    case = by_hand.cases["by hand"]
    case = case.model_copy(update={"seeds": {"0": seed.model_copy(update={"retrained": retrained, "arms": {"afuic": ours}})}})
    # 0.7 and 0.9: mean 0.8, sd 0.1·√2; against one model alone there is no z
    assert statistics.of_row(case, "afuic", "late", "accuracy").mean == 1.0
    assert statistics.gaps(case, "afuic", "late", "accuracy") == [pytest.approx(2**0.5)]
    floor = statistics.of_retraining(case, "late", "accuracy")
    assert (floor.n, floor.mean, floor.of) == (2, pytest.approx(0.8), 0)


def test_rows_and_retrained_models_of_a_suite_have_it_in_tables_and_files(finished) -> None:
    found = document.load(finished)
    seed = found.cases["whole"].seeds["0"]
    models, ours = seed.retrained, seed.arms["afuic"]
    runs = zip(models.curves, models.released_t, strict=True)
    expected = [fmean(v for t, v in zip(run.t, run.accuracy, strict=True) if t >= since - 1e-4) for run, since in runs]
    assert statistics.of_models(models, "late", "accuracy") == pytest.approx(expected)
    lines = [line for line in csv.DictReader(io.StringIO(formats.seeds_csv(found))) if line["phase"] == "late"]
    assert {line["measure"] for line in lines if line["row"] == "retrain/1"} == set(CURVED)
    mine = [line for line in lines if (line["case"], line["seed"], line["row"]) == ("whole", "0", "afuic")]
    assert {line["measure"]: line["value"] for line in mine}["accuracy"] == str(late.of_arm(ours, "accuracy"))


def test_no_measure_is_left_out_because_retrained_models_agree_on_it(finished) -> None:
    """On phantoms they agree on nearly all: z is then in units of the images' sampling error, and nothing has an empty column."""
    found = document.load(finished)
    seed = found.cases["whole"].seeds["0"]
    assert seed.sizes is not None
    assert len(seed.sizes.hospitals) == 3
    measures = [(phase, key) for phase, key, _ in GAPS]
    assert {statistics.of_row(found.cases["whole"], "afuic", phase, key).of for phase, key in measures} == {2}
    agreed = [pair for pair in measures if len({*statistics.of_models(seed.retrained, *pair)}) == 1]
    assert agreed
    assert all(statistics.of_arm(seed, "afuic", *pair)[0] is not None for pair in agreed)
