"""Mini-batch descent: a step of each optimizer by hand, whole epochs, and nothing where there is nothing to learn from."""

from __future__ import annotations

import pytest
import torch
from rounds_driver import pictures, values, vector

from afuic.erase.peers.local import Steps, batches, descend
from afuic.erase.rounds import Images
from afuic.params import Params
from afuic.rng import torch_stream

DATA = pictures((1, 1))


def bowl(params: Params, batch: Images) -> torch.Tensor:
    """½·‖w‖²: its gradient is w."""
    return params["w"].square().sum() / 2


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (Steps(steps=1, lr=0.1, max_norm=100), [-0.3, -0.4]),
        # Clipped to a norm of 1: (3, 4)/5
        (Steps(steps=1, lr=0.1, max_norm=1), [-0.06, -0.08]),
        # The second step: gradient 0.9·w, and half of the first velocity w: −0.1·(w + 1.4·w)
        (Steps(steps=2, lr=0.1, momentum=0.5, max_norm=100), [-0.72, -0.96]),
        # Adam's first step has the length of the rate in every parameter
        (Steps(steps=1, lr=0.1, optimizer="adam", max_norm=100), [-0.1, -0.1]),
    ],
)
def test_steps_by_hand(spec: Steps, expected: list[float]) -> None:
    assert values(descend(bowl, vector(3, 4), DATA, spec, torch_stream(0))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("data", [None, (DATA[0][:0], DATA[1][:0])], ids=["none", "empty"])
def test_without_images_nothing_changes(data: Images | None) -> None:
    assert values(descend(bowl, vector(3, 4), data, Steps(), torch_stream(0))) == [0, 0]


def test_without_parameters_there_is_nothing_to_change() -> None:
    assert descend(bowl, {}, DATA, Steps(), torch_stream(0)) == {}


def test_a_parameter_that_the_loss_does_not_reach_stays() -> None:
    start = {**vector(3, 4), "b": torch.ones(1)}
    assert descend(bowl, start, DATA, Steps(steps=1), torch_stream(0))["b"].tolist() == [0]


def test_batches_are_cut_from_whole_epochs() -> None:
    drawn = [index.tolist() for index in batches(5, Steps(steps=5, batch=2), torch_stream(0))]
    assert [len(index) for index in drawn] == [2] * 5
    flat = [row for index in drawn for row in index]
    assert sorted(flat[:5]) == sorted(flat[5:]) == [0, 1, 2, 3, 4]
    assert [len(index) for index in batches(3, Steps(steps=2, batch=64), torch_stream(0))] == [3, 3]


def test_images_counts_what_the_steps_see() -> None:
    assert Steps(steps=10, batch=64).images(20) == 200
    assert Steps(steps=10, batch=64).images(100) == 640
