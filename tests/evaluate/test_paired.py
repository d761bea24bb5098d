"""Comparisons over seeds by hand, and what so few seeds cannot say."""

from __future__ import annotations

from itertools import product
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afuic.errors import DataError
from afuic.evaluate.paired import against, compare, holm, magnitudes, sign_flip, smallest_p


def test_five_seeds_that_all_agree_give_two_in_thirty_two() -> None:
    found = compare([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5)
    assert found is not None
    assert found.p == pytest.approx(2 / 32)
    assert found.p == pytest.approx(smallest_p(5))
    assert found.difference == 3.0
    assert found.sd == pytest.approx(2.5**0.5)  # squares 4 + 1 + 0 + 1 + 4 over 4
    # t(4, 0.975) = 2.776445; 3 ± 2.776445 * sqrt(2.5 / 5)
    assert found.interval == pytest.approx((3 - 2.776445 * 0.5**0.5, 3 + 2.776445 * 0.5**0.5), abs=1e-5)


def test_sign_flip_by_hand() -> None:
    # |±1 ± 2 ± 4| is 7, 1, 3 or 5, each twice: all 8 reach 1 + 2 - 4 = -1, six reach 1 - 2 + 4 = 3, two reach 7
    assert sign_flip([1.0, 2.0, -4.0]) == 1.0
    assert sign_flip([1.0, -2.0, 4.0]) == pytest.approx(6 / 8)
    assert sign_flip([1.0, 2.0, 4.0]) == pytest.approx(2 / 8)


@given(st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=7))
def test_sign_flip_agrees_with_counting(d: list[float]) -> None:
    sums = [sum(s * x for s, x in zip(signs, d, strict=True)) for signs in product((1, -1), repeat=len(d))]
    # two-sided is twice the smaller tail, at most 1; by symmetry that is the share of |sums| at least as large
    assert sign_flip(d) == pytest.approx(fmean(abs(s) >= abs(sum(d)) for s in sums))


def test_one_seed_says_nothing() -> None:
    found = compare([3.0, None], [1.0, 2.0])
    assert found is not None
    assert (found.seeds, found.difference, found.sd, found.interval, found.p, found.smallest_p) == (
        1,
        2.0,
        None,
        None,
        1.0,
        1.0,
    )


def test_seeds_without_both_values_are_left_out() -> None:
    found = compare([1.0, None, 3.0], [0.0, 5.0, 1.0])
    assert found is not None
    assert (found.seeds, found.difference) == (2, 1.5)
    assert compare([None], [1.0]) is None


def test_equal_differences_have_an_interval_of_one_point() -> None:
    found = compare([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    assert found is not None
    assert found.interval == (1.0, 1.0)
    assert found.p == pytest.approx(2 / 8)


def test_holm() -> None:
    # sorted .01 .02 .03 .04, times 4 3 2 1: .04 .06 .06 .04, never below the one before: .04 .06 .06 .06
    assert holm([0.02, 0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.06, 0.04, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])  # .5 * 2 = 1, then .9 * 1 raised to it
    assert holm([]) == []


def test_against_corrects_over_all_measures_and_methods() -> None:
    zeros, ones = [0.0] * 6, [1.0] * 6
    found = against({"accuracy": {"a": zeros, "b": ones, "c": zeros}, "asr": {"a": ones, "b": zeros, "d": [None] * 6}}, "a")
    assert {m: list(methods) for m, methods in found.items()} == {"accuracy": ["b", "c"], "asr": ["b"]}
    # three comparisons: p = 2/64, 1, 2/64. Holm: 2/64 * 3, then max(2/64 * 2, that), then 1
    assert found["accuracy"]["b"].corrected == pytest.approx(6 / 64)
    assert found["asr"]["b"].corrected == pytest.approx(6 / 64)
    assert found["accuracy"]["c"].corrected == 1.0
    assert (found["accuracy"]["b"].difference, found["asr"]["b"].difference) == (1.0, -1.0)  # method minus reference


def test_magnitudes() -> None:
    assert magnitudes([-1.5, None, 2.0]) == [1.5, None, 2.0]


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(DataError, match="one for each seed"):
        compare([1.0], [1.0, 2.0])
    with pytest.raises(DataError, match="finite"):
        compare([float("nan")], [1.0])
    with pytest.raises(DataError, match="at most 20"):
        compare([1.0] * 21, [0.0] * 21)
    with pytest.raises(DataError, match="has no values of 'z'"):
        against({"accuracy": {"a": [1.0]}}, "z")
