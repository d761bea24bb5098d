"""Every measure against a case small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from afuic.errors import DataError
from afuic.evaluate import distance, gaps
from afuic.evaluate.forgetting import attack, forget
from afuic.evaluate.membership import population_auc
from afuic.evaluate.resurfacing import resurfacing
from afuic.evaluate.utility import ece, per_client, sensitivity, utility
from afuic.rng import stream

# Four images, three classes, class 2 absent. Predictions 0, 1, 1, 0: only the second is wrong.
PROBS = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.5, 0.3, 0.2]])
LABELS = np.array([0, 0, 1, 0])


def test_utility() -> None:
    found = utility(PROBS, LABELS)
    assert found["accuracy"] == 3 / 4
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)  # class 0: 2 of 3, class 1: 1 of 1
    # Class 0 scores: positives .8 .3 .5, negative .2 -> all 3 pairs right, 1. Class 1: positive .7 over .1 .6 .3 -> 1.
    assert found["auroc"] == pytest.approx(1.0)
    # Confidences .8 .6 .7 .5 lie in four different bins: (|1-.8| + |0-.6| + |1-.7| + |1-.5|) / 4 = 1.6 / 4
    assert found["ece"] == pytest.approx(0.4)


def test_auroc_of_an_imperfect_ranking() -> None:
    probs = np.array([[0.6, 0.4], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
    labels = np.array([0, 0, 1, 1])
    # Class 0: positives .6 .2, negatives .7 .4: .6 beats .4 only -> 1 of 4 pairs. Class 1: .3 .6 against .4 .8: 1 of 4.
    assert utility(probs, labels)["auroc"] == pytest.approx(0.25)


@pytest.mark.parametrize("labels", [np.zeros(4, int), np.full(4, 2)])
def test_auroc_of_one_class_is_undefined(labels: np.ndarray) -> None:
    assert utility(PROBS, labels)["auroc"] is None
    assert utility(PROBS[:1], labels[:1])["auroc"] is None


def test_calibration_error_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="ece"):
        ece(PROBS[:0], LABELS[:0])


def test_ece_pools_images_of_one_bin_and_closes_bins_above() -> None:
    # Bin (9/15, 10/15]: confidences .61 and .65, one right: |1 - 1.26| = .26. Confidence 0.6 is in (8/15, 9/15]: |1 - .6| = .4.
    probs = np.array([[0.61, 0.39], [0.65, 0.35], [0.6, 0.4]])
    assert ece(probs, np.array([0, 1, 0])) == pytest.approx((0.26 + 0.4) / 3)


def test_sensitivity_is_none_for_absent_classes() -> None:
    assert sensitivity(PROBS, LABELS, 3) == [pytest.approx(2 / 3), 1.0, None]


def test_per_client() -> None:
    found = per_client(PROBS, LABELS, np.array([0, 0, 2, 2]), ["north", "south", "west"])
    assert found == {"north": 1 / 2, "south": None, "west": 1.0}


def test_forget() -> None:
    found = forget(PROBS, LABELS)
    assert found["forget_accuracy"] == 3 / 4
    assert found["forget_loss"] == pytest.approx(-(math.log(0.8) + math.log(0.3) + math.log(0.7) + math.log(0.5)) / 4)


def test_forget_loss_of_a_certain_mistake_is_finite() -> None:
    assert forget(np.array([[1.0, 0.0]]), np.array([1]))["forget_loss"] == pytest.approx(12 * math.log(10))


def test_attack_counts_other_classes_only() -> None:
    triggered = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    clean = np.array([[0.1, 0.9], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    labels = np.array([1, 1, 1, 0])  # the last is of the target class and does not count
    found = attack(triggered, clean, labels, target_class=0)
    assert found == {"asr": pytest.approx(2 / 3), "asr_clean": pytest.approx(1 / 3), "asr_excess": pytest.approx(1 / 3)}


def test_attack_without_another_class_is_undefined() -> None:
    assert attack(PROBS, PROBS, np.zeros(4, int), 0) == {"asr": None, "asr_clean": None, "asr_excess": None}


def binary(*p: float) -> np.ndarray:
    return np.array([[1 - x, x] for x in p])


def test_population_auc() -> None:
    # Class 1 throughout, so a larger probability is a smaller loss. Members .9 .4, others .5 .3:
    # .9 beats both, .4 beats .3 only: 3 of 4 pairs.
    ones = np.ones(2, int)
    assert population_auc(binary(0.9, 0.4), ones, binary(0.5, 0.3), ones) == pytest.approx(3 / 4)


def test_population_auc_reweights_the_non_members() -> None:
    # Members: two of class 1 (p .9 .9), one of class 0 (p .2). Others: one of class 1 (p .8, weight 2), two of class 0 (.1 .3,
    # weight 1/2 each). Weight of others 3. Each .9 beats everything: 3 + 3; the .2 beats .1: 1/2. (6 + .5) / (3 * 3).
    members, others = binary(0.9, 0.9, 0.8), binary(0.8, 0.9, 0.7)
    found = population_auc(members, np.array([1, 1, 0]), others, np.array([1, 0, 0]))
    assert found == pytest.approx(6.5 / 9)


def test_population_auc_drops_classes_without_a_non_member() -> None:
    members, labels = binary(0.9, 0.4, 1.0), np.array([1, 1, 0])
    assert population_auc(members, labels, binary(0.5, 0.3), np.ones(2, int)) == pytest.approx(3 / 4)


@pytest.mark.parametrize(
    ("members", "others"),
    [([1], [0]), ([], [0, 1]), ([1, 1], []), ([1], [1, 1]), ([1, 1], [1]), ([1, 1], [1, 0, 0]), ([1, 0], [1, 1])],
)
def test_population_auc_of_nothing_or_one_image_is_undefined(members: list[int], others: list[int]) -> None:
    found = population_auc(
        binary(*[0.9] * len(members)).reshape(-1, 2),
        np.array(members, int),
        binary(*[0.4] * len(others)).reshape(-1, 2),
        np.array(others, int),
    )
    assert found is None


def test_js_and_kl() -> None:
    certain, even = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    # m = (.75, .25): (ln(1/.75) + .5 ln(.5/.75) + .5 ln(.5/.25)) / 2
    expected = (math.log(4 / 3) + 0.5 * math.log(2 / 3) + 0.5 * math.log(2)) / 2
    assert distance.js(certain, even) == pytest.approx(expected)
    assert distance.js(even, certain) == pytest.approx(expected)
    assert distance.kl(certain, even) == pytest.approx(math.log(2))
    assert distance.kl(even, certain) == pytest.approx(0.5 * math.log(0.5) + 0.5 * math.log(0.5e12))


def test_js_has_its_bounds() -> None:
    a, b = np.array([[1.0, 0.0]], dtype=np.float32), np.array([[0.0, 1.0]], dtype=np.float32)
    assert distance.js(a, a) == 0.0
    assert distance.js(a, b) == pytest.approx(math.log(2))
    near = stream(0, "js").dirichlet(np.ones(8), 500).astype(np.float32)
    assert 0.0 <= distance.js(near, near * np.float32(1 + 1e-7)) < 1e-9


def test_js_to_set_and_its_floor() -> None:
    a, b = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert distance.js_to_set(a, [a, b]) == pytest.approx(math.log(2) / 2)
    assert distance.js_to_set(a, []) is None
    assert distance.floor([a, b, b]) == pytest.approx(2 * math.log(2) / 3)  # pairs ab, ab, bb
    assert distance.floor([a]) is None


def test_l2() -> None:
    a = {"w": torch.tensor([1.0, 2.0]), "b": torch.tensor([5.0])}
    b = {"w": torch.tensor([1.0, 5.0]), "b": torch.tensor([1.0])}
    assert distance.l2(a, b) == pytest.approx(5.0)  # sqrt(0 + 9 + 16)


def test_spread_and_z() -> None:
    assert gaps.spread([1.0, 2.0, 3.0, 6.0]) == {"mean": 3.0, "sd": pytest.approx(math.sqrt(14 / 3))}  # 4 + 1 + 0 + 9
    assert gaps.spread([2.5]) == {"mean": 2.5, "sd": None}
    assert gaps.spread([]) == {"mean": None, "sd": None}
    equal = [3 / 44 - 1 / 44, 4 / 44 - 2 / 44, 5 / 44 - 3 / 44]
    assert len(set(equal)) > 1, "they differ in their last bits"
    assert gaps.spread(equal) == {"mean": pytest.approx(1 / 22), "sd": 0.0}
    assert gaps.z(10 / 44, **gaps.spread(equal)) is None
    assert gaps.z(0.7, 0.8, 0.05) == pytest.approx(-2.0)
    assert gaps.z(0.7, 0.8, None) is None
    assert gaps.z(0.7, 0.8, 0.0) is None
    assert gaps.z(None, 0.8, 0.05) is None


def test_resurfacing_is_the_worst_from_the_release_on() -> None:
    curve = [
        {"t": 0, "asr_excess": 0.9, "forget_accuracy": 0.9},
        {"t": 10, "asr_excess": 0.1, "forget_accuracy": 0.5},
        {"t": 20, "asr_excess": None, "forget_accuracy": 0.7},
    ]
    assert resurfacing(curve, 10) == {"asr_excess_max": 0.1, "forget_accuracy_max": 0.7}
    assert resurfacing(curve, 15) == {"asr_excess_max": None, "forget_accuracy_max": 0.7}
    assert resurfacing(curve, 30) == {"asr_excess_max": None, "forget_accuracy_max": None}


@pytest.mark.parametrize(
    ("probs", "labels"),
    [(PROBS, LABELS[:3]), (PROBS[0], LABELS), (PROBS[:0], LABELS[:0]), (PROBS, LABELS + 2), (PROBS, LABELS - 1)],
)
def test_arrays_that_do_not_match_are_refused(probs: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(DataError, match="utility"):
        utility(probs, labels)
