"""Relearning counted by hand: where counting stops, and what a ratio of counts says when some never ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from afuic.errors import DataError
from afuic.evaluate.relearn import Ratio, Relearned, ratio, steps_to


def done(steps: int) -> Relearned:
    return Relearned(steps, 0.8, censored=False)


CUT = Relearned(400, 0.8, censored=True)


def test_the_first_step_that_reaches_the_target_counts() -> None:
    curve = [(0, 0.2), (5, 0.79), (10, 0.8), (15, 0.7)]
    assert steps_to(curve, 0.8) == Relearned(10, 0.8, censored=False)


def test_a_model_that_knows_it_already_needs_no_step() -> None:
    assert steps_to([(0, 0.9), (5, 0.9)], 0.8).steps == 0


def test_what_is_not_reached_is_censored_at_the_last_step() -> None:
    assert steps_to([(0, 0.2), (400, 0.79)], 0.8) == CUT


def test_nothing_is_trained_beyond_the_target() -> None:
    def curve() -> Iterator[tuple[int, float]]:
        yield 0, 0.1
        yield 5, 0.9
        raise AssertionError("trained on")

    assert steps_to(curve(), 0.8).steps == 5


def test_an_empty_curve_is_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        steps_to([], 0.8)


def test_ratio() -> None:
    assert ratio(done(10), [done(40), done(20), done(80)]) == Ratio(10 / 40, "exact")
    assert ratio(done(10), [done(40), done(20)]) == Ratio(10 / 30, "exact")  # median of 20 and 40
    assert ratio(done(0), [done(40)]) == Ratio(0.0, "exact")


def test_a_minority_of_censored_references_leaves_the_median_exact() -> None:
    assert ratio(done(10), [CUT, done(20), done(80)]) == Ratio(10 / 80, "exact")
    assert ratio(done(10), [CUT, CUT, done(80)]) == Ratio(10 / 400, "at most")  # the true median is 400 or more
    assert ratio(done(10), [CUT, done(80)]) == Ratio(10 / 240, "at most")  # (80 + 400) / 2, or more


def test_a_censored_model_gives_a_lower_bound_and_two_give_none() -> None:
    assert ratio(CUT, [done(40)]) == Ratio(10.0, "at least")
    assert ratio(CUT, [CUT]) == Ratio(None, "unknown")


@pytest.mark.parametrize("references", [[], [done(0), done(0), done(40)]])
def test_without_a_reference_or_anything_to_relearn_it_is_undefined(references: list[Relearned]) -> None:
    assert ratio(done(10), references) == Ratio(None, "unknown")
