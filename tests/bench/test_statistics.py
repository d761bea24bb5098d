"""Means, spreads, marks and tests of a suite's tables, on numbers worked out on paper."""

from __future__ import annotations

import csv
import io

import pytest

from afuic.bench import apart, formats, statistics
from afuic.bench.document import Curve
from afuic.bench.moments import of_moments
from afuic.bench.tables import FLOOR, MOMENTS, RETRAINED, tables
from tests.bench.conftest import SD, arm


def test_a_mean_comes_with_its_spread_over_the_seeds(by_hand) -> None:
    case = by_hand.cases["by hand"]
    # (0.80 + 0.84 + 0.88) / 3 = 0.84; deviations -0.04, 0, 0.04: sd = sqrt(0.0032 / 2) = 0.04
    # z: -0.04, 0 and 0.04 over the models' sd, 2.5 of them, and another model is found within 3.04
    found = statistics.of_row(case, "afuic", "final", "accuracy")
    assert (found.n, found.within, found.of) == (3, 3, 3)
    assert abs(found.z_worst) == pytest.approx(0.04 / SD)
    assert found.mean == pytest.approx(0.84)
    assert found.sd == pytest.approx(0.04)
    assert found.z_mean == pytest.approx(0.0)
    assert found.all_within(3)


def test_what_never_released_counts_as_run_but_not_as_measured(by_hand) -> None:
    case = by_hand.cases["by hand"]
    found = statistics.of_row(case, "cheat", "final", "accuracy")
    assert (found.n, found.mean, found.sd) == (2, 0.85, 0.0)
    assert (found.within, found.of, statistics.run(case, "cheat")) == (2, 2, 3)
    assert not found.all_within(3)
    assert statistics.failures(by_hand) == ["by hand, seed 2: cheat failed: it did not answer"]


def test_an_arm_that_granted_only_its_last_request_is_not_measured(by_hand) -> None:
    case = by_hand.cases["by hand"]
    arms = case.seeds["0"].arms | {"other": arm(0.99, outcome="failed")}
    half = case.model_copy(update={"seeds": case.seeds | {"0": case.seeds["0"].model_copy(update={"arms": arms})}})
    assert statistics.values(half, "other", "final", "accuracy") == [None, 0.70, 0.65]
    assert statistics.values(half, "other", "cost", "latency_s") == [None, 30, 10]
    gaps = statistics.gaps(half, "other", "final", "accuracy")
    assert (gaps[0], *gaps[1:]) == (None, pytest.approx(-0.14 / SD), pytest.approx(-0.19 / SD))


def test_the_floor_is_all_retrained_models(by_hand) -> None:
    # three seeds of five models whose squared deviations add up to 0.001: sd = sqrt(0.003 / 14); each is like the other four
    found = statistics.of_retraining(by_hand.cases["by hand"], "final", "accuracy")
    assert (found.n, found.of, found.within) == (15, 15, 15)
    assert found.mean == pytest.approx(0.84)
    assert found.sd == pytest.approx((0.003 / 14) ** 0.5)


def test_retrained_models_at_other_moments(by_hand) -> None:
    def swinging(*accuracy: float | None) -> Curve:
        same = (0.5,) * len(accuracy)
        t = tuple(140.0 + 60 * i for i in range(len(accuracy)))
        return Curve(t=t, accuracy=accuracy, forget_accuracy=same, forget_loss=same, asr_excess=(None,) * len(accuracy))

    # released at 200; what was before does not count, nor what is 300 s later and more
    curves = (
        swinging(0.1, 0.8, 0.7, None, 0.9, 0.8, 0.8, 0.6),
        swinging(0.2, 0.9, 0.9, 0.8, 0.8, 0.7, 0.9, 0.6),
        swinging(0.2, *[0.8] * 6, 0.6),
    )
    case = by_hand.cases["by hand"]
    first = case.seeds["0"]
    retrained = first.retrained.model_copy(update={"curves": curves, "released_t": (200.0,) * 3})
    case = case.model_copy(update={"seeds": {"0": first.model_copy(update={"retrained": retrained})}})
    found = of_moments(case, "released", "accuracy")
    # each against the other two, which say little: another one is found within 12.7 · √1.5 sd of them
    assert (found.n, found.of, found.within) == (14, 14, 14)
    # the first against 0.9 and 0.8, mean 0.85, sd 0.05·√2: -0.15, 0.05, -0.05, -0.05 of it; the second against 0.8 and 0.8, which gives
    # no z; the third, always 0.8, against 0.8 and 0.9: five times -0.05
    assert found.z_mean == pytest.approx((-0.15 + 0.05 - 0.05 - 0.05 - 5 * 0.05) / (0.05 * 2**0.5) / 9)
    # ended at 560: all 0.6, no spread and no z; 0.7 to 0.9 before, 260 to 500, so that how they swing is known
    found = of_moments(case, "final", "accuracy")
    assert (found.n, found.of, found.within, found.z_mean) == (14, 14, 14, None)
    assert of_moments(case, "after", "accuracy").n == of_moments(case, "released", "auroc").n == 0


def test_points_are_differences_to_retraining(by_hand) -> None:
    case = by_hand.cases["by hand"]
    column = apart.Column("final", "accuracy", "accuracy")
    # 0.80, 0.84, 0.88 against the models' mean 0.84, and each of these against the mean of the others: 0.82 - 0.845 = -0.025
    assert apart.of_row(case, "afuic", column) == pytest.approx([-4.0, 0.0, 4.0])
    assert apart.of_retraining(case, column) == pytest.approx([-2.5, -1.25, 0.0, 1.25, 2.5] * 3)
    # what failed has no model to compare
    assert apart.of_row(case, "cheat", column) == pytest.approx([1.0, 1.0])
    bare = apart.Column("final", "accuracy", "accuracy", bare=True)
    assert apart.of_row(case, "afuic", bare) == pytest.approx([80.0, 84.0, 88.0])
    assert [
        apart.span(apart.of_row(case, row, c), c) for row, c in (("afuic", bare), ("afuic", column), ("cheat", column))
    ] == [
        "80.0 to 88.0",
        "−4.0 to +4.0",
        "+1.0",
    ]
    assert {row.label: row.cells[1].text for row in tables(by_hand)[0].rows} == {
        "afuic": "−4.0 to +4.0",
        "other": "−24.0 to −14.0",
        "cheat †oracle": "+1.0",
        RETRAINED: "−2.5 to +2.5",
    }


def test_one_reference_has_no_others_to_be_compared_with(by_hand) -> None:
    case = by_hand.cases["by hand"]
    first = case.seeds["0"]
    phases = {"final": {"accuracy": (0.8, None)}}
    alone = first.model_copy(update={"retrained": first.retrained.model_copy(update={"phases": phases})})
    case = case.model_copy(update={"seeds": {"0": alone}})
    column = apart.Column("final", "accuracy", "accuracy")
    assert apart.of_row(case, "other", column) == pytest.approx([-20.0])
    assert apart.of_retraining(case, column) == []
    assert apart.span([], column) == "–"


def test_methods_are_compared_seed_by_seed_and_corrected_together(by_hand) -> None:
    found = statistics.tests(by_hand.cases["by hand"])
    # |z| of other minus |z| of afuic: 0.24 - 0.04, 0.14 - 0, 0.19 - 0.04 over the sd; all of one sign: p = 2/8
    other = found["final accuracy"]["other"]
    assert other.difference == pytest.approx(0.49 / 3 / SD)
    assert other.p == pytest.approx(0.25)
    # latency 10, 20, 0: two of the 8 sign patterns of the two that differ are as extreme, each twice: p = 4/8
    assert found["cost latency_s"]["other"].difference == pytest.approx(10.0)
    assert found["cost latency_s"]["other"].p == pytest.approx(0.5)
    # eight tests: accuracy, latency, stall and lost, for two rows each; the smallest p times 8 is above 1
    assert sum(len(rows) for rows in found.values()) == 8
    assert other.corrected == 1.0


def test_tables_mark_what_is_within_in_every_seed(by_hand) -> None:
    points, final, late, costs, tests = tables(by_hand)
    assert [table.name for table in (points, final, late, costs, tests)] == [
        "by-hand-points",
        "by-hand-final",
        "by-hand-late",
        "by-hand-costs",
        "by-hand-tests",
    ]
    cells = {row.label: row.cells for row in final.rows}
    assert list(cells) == ["afuic", "other", "cheat †oracle", FLOOR, MOMENTS]
    assert cells["afuic"][1].text == "84.0% ± 4.0%"
    assert cells["afuic"][1].words == "z 0.0 ± 2.5 (3 of 3)"
    assert [row[1].strong for row in cells.values()] == [True, False, False, False, False]
    assert (cells["cheat †oracle"][0].text, cells["cheat †oracle"][0].words) == ("2 of 3", "1 failed")
    assert cells[FLOOR][0].text == "15 models"


def test_markdown_latex_and_csv_say_the_same(by_hand) -> None:
    grid = tables(by_hand)
    assert "| afuic | 3 | **84.0% ± 4.0%**<br>z 0.0 ± 2.5 (3 of 3) |" in formats.markdown(grid)
    tex = formats.latex(grid)
    assert r"\shortstack[r]{\textbf{84.0\% $\pm$ 4.0\%}\\z 0.0 $\pm$ 2.5 (3 of 3)}" in tex
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 5
    lines = list(csv.DictReader(io.StringIO(formats.summaries_csv(by_hand))))
    own = next(x for x in lines if x["row"] == "afuic" and x["measure"] == "accuracy")
    assert (own["n"], own["not_apart"], own["of"], own["p"]) == ("3", "3", "3", "")
    assert float(own["mean"]) == pytest.approx(0.84)
    assert {x["row"] for x in lines if x["measure"] == "accuracy"} == {"afuic", "other", "cheat", FLOOR}
    seeds = list(csv.DictReader(io.StringIO(formats.seeds_csv(by_hand))))
    assert [x["value"] for x in seeds if x["row"] == "retrain/1" and (x["phase"], x["measure"]) == ("final", "accuracy")] == [
        "0.83"
    ] * 3


def test_one_seed_has_no_spread_and_says_so(by_hand) -> None:
    case = by_hand.cases["by hand"]
    one = by_hand.model_copy(update={"cases": {"by hand": case.model_copy(update={"seeds": {"0": case.seeds["0"]}})}})
    assert [table.rows[0].cells[1].text for table in tables(one)[:2]] == ["−4.0", "80.0% (n = 1)"]
