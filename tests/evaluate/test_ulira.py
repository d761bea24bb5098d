"""U-LiRA against numbers worked out by hand, and against models that do not differ."""

from __future__ import annotations

import math

import numpy as np
import pytest

from afuic.errors import DataError
from afuic.evaluate.ulira import GRID, attack, confidence, held_out, pair_auc, swapped, tpr_at
from afuic.rng import stream


def test_confidence() -> None:
    probs = np.array([[0.8, 0.15, 0.05], [0.1, 0.5, 0.4]])
    assert confidence(probs, np.array([0, 2])) == pytest.approx([math.log(0.8 / 0.2), math.log(0.4 / 0.6)])


def test_confidence_of_a_certain_answer_is_finite_and_exact_where_1_minus_p_is_not() -> None:
    # float32 rounds 1 - 1e-9 to 1, so 1 - p would be 0; the other classes' sum is still 1e-9
    probs = np.array([[1.0, 0.0], [1.0, 1e-9]], np.float32)
    assert confidence(probs, np.array([0, 0])) == pytest.approx([12 * math.log(10), 9 * math.log(10)])


def test_confidence_of_many_models_at_once() -> None:
    probs = np.array([[[0.8, 0.2]], [[0.5, 0.5]]])
    assert confidence(probs, np.array([0])) == pytest.approx(np.array([[math.log(4)], [0.0]]))


@pytest.mark.parametrize(
    ("probs", "labels"), [(np.ones((2, 2)), np.array([0])), (np.ones((1, 2)), np.array([2])), (np.ones(2), np.array([0]))]
)
def test_confidence_refuses_what_does_not_match(probs: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(DataError):
        confidence(probs, labels)


UNLEARNED = np.array([[1.0], [3.0], [8.0]])
RETRAINED = np.array([[0.0], [2.0], [4.0]])


def test_the_ratio_of_a_pair_left_out() -> None:
    positive, negative = held_out(UNLEARNED, RETRAINED, shared=False)
    # Pair 2 left out: unlearned 1, 3: mean 2, variance 2; retrained 0, 2: mean 1, variance 2.
    # Unlearned 8: (-(8 - 2)^2 + (8 - 1)^2) / 4 = 13 / 4. Retrained 4: (-(4 - 2)^2 + (4 - 1)^2) / 4 = 5 / 4.
    assert positive[2, 0] == pytest.approx(13 / 4)
    assert negative[2, 0] == pytest.approx(5 / 4)
    # Pair 0 left out: unlearned 3, 8: mean 5.5, variance 12.5; retrained 2, 4: mean 3, variance 2.
    # Unlearned 1: -ln(12.5)/2 - 4.5^2 / 25 + ln(2)/2 + 2^2 / 4
    assert positive[0, 0] == pytest.approx(-math.log(12.5 / 2) / 2 - 4.5**2 / 25 + 1)


def test_shared_variance_is_the_mean_over_images() -> None:
    second = np.array([[0.0], [0.0], [0.0]])
    positive, _ = held_out(np.hstack([UNLEARNED, second]), np.hstack([RETRAINED, second]))  # 3 shadows: shared
    # Pair 2 left out: variances 2 and 0 share (2 + 0) / 2 = 1 on either side: (-(8 - 2)^2 + (8 - 1)^2) / 2 = 13 / 2
    assert positive[2] == pytest.approx([13 / 2, 0.0])


def test_no_variance_at_all_stays_finite() -> None:
    positive, negative = held_out(np.full((3, 2), 5.0), np.full((3, 2), 5.0))
    assert (positive == 0).all()
    assert (negative == 0).all()
    apart, _ = held_out(np.full((3, 1), 1.0), np.full((3, 1), 0.0))
    assert apart[0, 0] == pytest.approx((1 / 1e-3) ** 2 / 2)  # a distance of 1 at the least deviation, 0.001


def test_auc_is_the_mean_over_pairs_and_ties_count_half() -> None:
    positive = np.array([[2.0, 0.0], [1.0, 1.0]])
    negative = np.array([[1.0, 3.0], [1.0, 0.0]])
    # Pair 0: 2 beats 1 only: 1 of 4. Pair 1: either 1 ties with 1 and beats 0: (.5 + 1 + .5 + 1) / 4 = 3 / 4
    assert pair_auc(positive, negative) == pytest.approx((1 / 4 + 3 / 4) / 2)


def test_tpr_at_a_false_positive_rate() -> None:
    negative = np.arange(10.0).reshape(2, 5)
    positive = np.array([[9.5, 8.5, 7.5, 3.0, 8.0]])
    assert tpr_at(positive, negative, 0.1) == 2 / 5  # one of ten may exceed the threshold, so it is 8: 9.5 and 8.5 are above
    assert tpr_at(positive, negative, 0.19) == 2 / 5  # two of ten would be too many
    assert tpr_at(positive, negative, 0.2) == 4 / 5  # the threshold is 7: 3.0 alone is not above
    assert tpr_at(positive - 9, negative, 1.0) == 1.0  # every one may exceed it, so there is no threshold


def test_every_pair_swapped_gives_the_same_auc() -> None:
    generator = stream(0, "swap")
    a, b = generator.normal(size=(4, 30)) + 1, generator.normal(size=(4, 30))
    assert pair_auc(*held_out(a, b)) == pytest.approx(pair_auc(*held_out(b, a)))


def test_p_is_one_of_eight_for_four_pairs_that_could_not_differ_more() -> None:
    generator = stream(0, "apart")
    a, b = generator.normal(size=(4, 50)) + 6, generator.normal(size=(4, 50))
    assert swapped(a, b, generator, draws=500) == 1 / 8  # 2^3 ways, and only the observed one is as extreme
    assert swapped(a, b, generator, draws=4) >= 1 / 5  # random draws: (0 + 1) / (4 + 1) at least


def test_unlike_models_are_told_apart() -> None:
    generator = stream(0, "unlike")
    found = attack(generator.normal(size=(4, 100)) + 8, generator.normal(size=(4, 100)), generator, draws=50)
    assert (found.shadows, found.examples, found.auc, found.tpr) == (4, 100, 1.0, 1.0)
    assert found.auc_interval == (1.0, 1.0)
    assert found.roc[-1] == (1.0, 1.0)


@pytest.mark.parametrize("shadows", [4, 16])
def test_like_models_are_not(shadows: int) -> None:
    generator = stream(1, "alike")
    found = [
        attack(generator.normal(size=(shadows, 200)), generator.normal(size=(shadows, 200)), generator, draws=20)
        for _ in range(20)
    ]
    assert np.mean([f.auc for f in found]) == pytest.approx(0.5, abs=0.015)
    assert np.mean([f.tpr for f in found if f.tpr is not None]) == pytest.approx(0.01, abs=0.004)
    assert np.mean([f.p <= 0.25 for f in found]) < 0.6


def test_an_interval_holds_its_value_and_a_seed_gives_it_again() -> None:
    a, b = stream(2, "a").normal(size=(8, 60)) + 0.5, stream(2, "b").normal(size=(8, 60))
    found = attack(a, b, stream(2, "draws"), draws=100)
    assert found.auc_interval[0] < found.auc < found.auc_interval[1]
    assert found.tpr_interval is not None
    assert found.tpr is not None
    assert found.tpr_interval[0] <= found.tpr <= found.tpr_interval[1]
    assert found == attack(a, b, stream(2, "draws"), draws=100)
    rates = [t for _, t in found.roc]
    assert rates == sorted(rates)
    assert len(rates) == sum(f * 8 * 60 >= 1 for f in GRID)


def test_too_few_scores_for_the_rate_leave_it_undefined() -> None:
    generator = stream(3, "few")
    found = attack(generator.normal(size=(4, 24)), generator.normal(size=(4, 24)), generator, draws=5)  # 96 < 1 / 0.01
    assert (found.tpr, found.tpr_interval) == (None, None)
    assert 0 <= found.auc <= 1


@pytest.mark.parametrize(
    ("a", "b", "what"),
    [
        (np.zeros((2, 5)), np.zeros((2, 5)), "at least 3"),
        (np.zeros((4, 5)), np.zeros((3, 5)), "alike"),
        (np.zeros((4, 0)), np.zeros((4, 0)), "alike"),
        (np.full((4, 5), np.nan), np.zeros((4, 5)), "NaN"),
    ],
)
def test_what_cannot_be_attacked_is_refused(a: np.ndarray, b: np.ndarray, what: str) -> None:
    with pytest.raises(DataError, match=what):
        attack(a, b, stream(0, "refused"))
    with pytest.raises(DataError, match="fpr"):
        attack(np.zeros((4, 5)), np.zeros((4, 5)), stream(0, "refused"), fpr=0.0)
