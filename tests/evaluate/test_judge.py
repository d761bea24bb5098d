"""The judge on images that are their own logits, so that every prediction is plain to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from afuic.errors import DataError, ParamsError
from afuic.evaluate import forgetting, utility
from afuic.evaluate.judge import Judge
from afuic.evaluate.results import Sizes
from afuic.rng import stream, torch_stream

TARGET = 0


def stamp(images: Tensor) -> Tensor:
    """A trigger no toy model resists: the target's pixel becomes the brightest."""
    out = images.clone()
    out[..., TARGET] = 10.0
    return out


class Logits:
    """Images [n, 1, 1, 3] times a gain are the logits; counts the images it was shown."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, params: Any, images: Tensor) -> Tensor:
        self.seen += len(images)
        return images.flatten(1) * params["gain"]


def pixels(*classes: int) -> Tensor:
    return 3.0 * torch.eye(3)[list(classes)].reshape(-1, 1, 1, 3)


def make(logits: Callable[..., Tensor], **changes: Any) -> Judge:
    values: dict[str, Any] = {
        "test_images": pixels(0, 1, 2, 2),
        "test_labels": torch.tensor([0, 1, 2, 1]),
        "test_client": torch.tensor([0, 0, 1, 1]),
        "client_names": ["north", "south"],
        "forget_images": torch.cat([pixels(1, 2), stamp(pixels(2))]),
        "forget_labels": torch.tensor([1, 1, TARGET]),
        "forget_triggered": torch.tensor([False, False, True]),
        "stamp": stamp,
        "target_class": TARGET,
        "curve_images": 100,
        "generator": stream(0, "judge"),
    }
    return Judge(logits, **(values | changes))


ONE = {"gain": torch.tensor(1.0)}


def test_phase_has_every_measure() -> None:
    found = make(Logits()).phase(ONE)
    assert found["accuracy"] == 3 / 4
    assert found["sensitivity"] == [1.0, 1 / 2, 1.0]
    assert found["hospitals"] == {"north": 1.0, "south": 1 / 2}
    assert found["forget_accuracy"] == pytest.approx(2 / 3)
    assert (found["asr"], found["asr_clean"], found["asr_excess"]) == (1.0, 0.0, 1.0)
    # Members (triggered one left out) are of class 1: one certain, one wrong. Others of class 1: the same. Ties count half.
    assert found["mia_auc"] == pytest.approx(1 / 2)


def test_phase_passes_each_image_once_and_stamps_other_classes_only() -> None:
    logits = Logits()
    make(logits).phase(ONE)
    assert logits.seen == 4 + 3 + 3  # test, stamped test images that are not of the target class, forget


def test_phase_and_probs_agree_with_probs() -> None:
    judge = make(Logits())
    _, test = judge.phase_and_probs(ONE)
    assert np.array_equal(test, judge.probs(ONE))
    assert test.shape == (4, 3)
    assert test.sum(axis=1) == pytest.approx(np.ones(4))


def test_point_on_all_images_is_the_phase() -> None:
    judge = make(Logits())
    point, phase = judge.point(ONE), judge.phase(ONE)
    assert point == {name: phase[name] for name in ("accuracy", "forget_accuracy", "forget_loss", "asr", "asr_excess")}


def test_sizes_are_those_of_the_images_that_measures_rest_on() -> None:
    found = Sizes.model_validate(make(Logits(), client_names=["north", "south", "west"]).sizes())
    assert (found.test, found.forget, found.members, found.attacked) == ((1, 2, 1), 3, 2, 3)
    assert found.hospitals == {"north": 2, "south": 2, "west": 0}
    assert found.curve == (4, 3, 3)


def test_point_is_a_fixed_subset() -> None:
    images = torch.randn(300, 1, 1, 3, generator=torch_stream(0, "images"))
    labels = torch.randint(0, 3, (300,), generator=torch_stream(0, "labels"))
    logits = Logits()
    same = {
        "test_images": images,
        "test_labels": labels,
        "test_client": torch.zeros(300, dtype=torch.int64),
        "curve_images": 50,
    }
    judge = make(logits, **same)
    first = judge.point(ONE)
    assert logits.seen <= 50 + 50 + 3
    assert first == judge.point(ONE) == make(Logits(), **same, generator=stream(0, "judge")).point(ONE)
    assert first != make(Logits(), **same, generator=stream(1, "judge")).point(ONE)


def test_agrees_with_the_measures_taken_one_by_one() -> None:
    images = torch.randn(60, 1, 1, 3, generator=torch_stream(1, "images"))
    labels = torch.randint(0, 3, (60,), generator=torch_stream(1, "labels"))
    found = make(Logits(), test_images=images, test_labels=labels, test_client=torch.zeros(60, dtype=torch.int64)).phase(ONE)
    probs = torch.softmax(images.flatten(1).double(), 1).numpy()
    stamped = torch.softmax(stamp(images).flatten(1).double(), 1).numpy()
    expected = utility.utility(probs, labels.numpy()) | forgetting.attack(stamped, probs, labels.numpy(), TARGET)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("missing", [{"stamp": None}, {"target_class": None}])
def test_without_a_trigger_attack_measures_are_none(missing: dict[str, None]) -> None:
    judge = make(Logits(), **missing)
    phase, point = judge.phase(ONE), judge.point(ONE)
    assert [phase["asr"], phase["asr_clean"], phase["asr_excess"], point["asr"], point["asr_excess"]] == [None] * 5


def test_a_model_that_diverged_is_an_error() -> None:
    with pytest.raises(ParamsError, match="NaN"):
        make(Logits()).phase({"gain": torch.tensor(float("nan"))})


def test_an_empty_forget_set_is_an_error() -> None:
    none = {"forget_images": pixels(), "forget_labels": torch.tensor([], dtype=torch.int64)}
    with pytest.raises(DataError, match="forget set"):
        make(Logits(), **none, forget_triggered=torch.tensor([], dtype=torch.bool))


def test_what_one_class_cannot_say_is_undefined_and_not_a_coin() -> None:
    labels = torch.full((4,), TARGET, dtype=torch.int64)
    found = make(Logits(), test_labels=labels).phase(ONE)
    assert (found["auroc"], found["mia_auc"], found["asr_excess"]) == (None, None, None)
    assert found["balanced_accuracy"] == found["accuracy"] == found["sensitivity"][TARGET]
    assert [share is None for share in found["sensitivity"]] == [index != TARGET for index in range(3)]
