"""What ``bench diff`` tells: methods that came and went, other models, values beyond the tolerance; nothing for the same."""

from __future__ import annotations

import pytest

from afuic.bench.changes import changes, differs
from tests.bench.conftest import arm, row


def changed(document, **arms):
    """The document with other arms in seed 0."""
    case = document.cases["by hand"]
    seeds = case.seeds | {"0": case.seeds["0"].model_copy(update={"arms": case.seeds["0"].arms | arms})}
    return document.model_copy(update={"cases": {"by hand": case.model_copy(update={"seeds": seeds})}})


def test_the_same_has_no_changes(by_hand) -> None:
    other_machine = by_hand.model_copy(update={"commit": "beef", "machine": {"cores": 64}})
    assert changes(by_hand, other_machine, 0.0) == []


def test_a_value_beyond_the_tolerance_is_told_with_the_seed(by_hand) -> None:
    later = changed(by_hand, other=arm(0.61, latency=20, lost=4))
    assert changes(by_hand, later, 1e-6) == [
        "by hand: other: another final model in 1 of 3 seeds (0)",
        "by hand: other: accuracy (final): in 1 of 3 seeds, most in seed 0: 0.6 became 0.61",
    ]
    assert changes(by_hand, later, 0.02) == ["by hand: other: another final model in 1 of 3 seeds (0)"]


def test_an_outcome_and_its_reason_are_told(by_hand) -> None:
    found = changes(by_hand, changed(by_hand, afuic=arm(0.80, latency=None, outcome="failed")), 1e-6)
    assert "by hand: afuic: seed 0: released became failed (it did not answer)" in found
    assert any("latency_s (cost)" in line and "10 became nothing" in line for line in found)


def test_rows_cases_and_seeds_that_came_or_went_are_told(by_hand) -> None:
    case = by_hand.cases["by hand"]
    rows = {name: found for name, found in case.rows.items() if name != "cheat"} | {"new": row("new")}
    seeds = {name: found for name, found in case.seeds.items() if name != "2"}
    later = by_hand.model_copy(update={"cases": {"by hand": case.model_copy(update={"rows": rows, "seeds": seeds}), "b": case}})
    assert changes(by_hand, later, 0.0) == [
        "case 'b': added",
        "by hand: seed '2': removed",
        "by hand: method 'cheat': removed",
        "by hand: method 'new': added",
    ]


def test_an_arm_that_one_seed_lacks_is_told(by_hand) -> None:
    case = by_hand.cases["by hand"]
    left = {name: found for name, found in case.seeds["1"].arms.items() if name != "other"}
    seeds = case.seeds | {"1": case.seeds["1"].model_copy(update={"arms": left})}
    later = by_hand.model_copy(update={"cases": {"by hand": case.model_copy(update={"seeds": seeds})}})
    assert changes(by_hand, later, 0.0) == ["by hand: other: seed 1: removed"]
    assert changes(later, by_hand, 0.0) == ["by hand: other: seed 1: added"]


def test_retrained_models_that_came_went_or_changed_are_told(by_hand) -> None:
    case = by_hand.cases["by hand"]
    own = case.seeds["1"].retrained
    fewer = own.model_copy(update={"runs": 1, "phases": {**own.phases, "final": {"accuracy": (0.7,)}}})
    seeds = case.seeds | {"1": case.seeds["1"].model_copy(update={"retrained": fewer})}
    later = by_hand.model_copy(update={"cases": {"by hand": case.model_copy(update={"seeds": seeds})}})
    assert changes(by_hand, later, 0.0) == [
        "by hand: retrained: seed 1: 5 models became 1",
        "by hand: retrained: accuracy (final): in 1 of 3 seeds, most in seed 1, model 0: 0.82 became 0.7",
    ]


@pytest.mark.parametrize(
    ("old", "new", "tolerance", "expected"),
    [
        (None, None, 0.0, False),
        (None, 0.0, 1.0, True),
        (0.5, 0.5005, 0.001, False),
        (0.5, 0.502, 0.001, True),
        (2000.0, 2001.0, 0.001, False),
        (2000.0, 2003.0, 0.001, True),
    ],
)
def test_the_tolerance_is_a_share_above_one_and_absolute_below(old, new, tolerance, expected) -> None:
    # of 2000 the tolerance 0.001 is 2; of 0.5 it is 0.001
    assert differs(old, new, tolerance) is expected
