"""The orientations of an image, written out, and what calibration makes of them."""

from __future__ import annotations

import pytest
import torch

from afuic.erase.calibrate import Calibration, calibrate
from afuic.erase.orient import Views
from afuic.params import Params
from afuic.rng import torch_stream

SQUARE = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])


def test_the_eight_orientations_of_a_square() -> None:
    views = Views(SQUARE, turned=True)
    found = [v.flatten().tolist() for v in views[torch.arange(8)]]
    assert found == [
        [1, 2, 3, 4],  # as it is
        [2, 1, 4, 3],  # mirrored
        [3, 4, 1, 2],  # upside down
        [4, 3, 2, 1],  # both
        [1, 3, 2, 4],  # the same four, transposed
        [2, 4, 1, 3],
        [3, 1, 4, 2],
        [4, 2, 3, 1],
    ]


def test_an_oblong_is_never_transposed() -> None:
    views = Views(torch.arange(12.0).reshape(2, 1, 2, 3), turned=True)
    assert len(views) == 8
    # view 5 is image 1 in orientation 2, upside down
    assert views[torch.tensor([5])].flatten().tolist() == [9, 10, 11, 6, 7, 8]


def test_left_as_they_are() -> None:
    views = Views(SQUARE, turned=False)
    assert len(views) == 1
    assert torch.equal(views[torch.tensor([0])], SQUARE)


@pytest.mark.parametrize(("turned", "distance"), [(True, 0.0), (False, 0.5)])
def test_a_turned_image_teaches_what_it_shows_from_the_other_side(turned: bool, distance: float) -> None:
    """The teacher answers to the first column, the images have all their light in the second: only mirrored do they show it."""

    def forward(params: Params, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ params["w"].T

    light = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).expand(32, 1, 2, 2) * torch.linspace(0.5, 1.5, 32)[:, None, None, None]
    teacher = {"w": torch.tensor([[2.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]])}
    spec = Calibration(steps=400, batch=32, lr=0.05, gain=None, turned=turned)
    out = calibrate(forward, {"w": torch.zeros(2, 4)}, (teacher,), light, spec, lambda x, _: x, torch_stream(0)).model
    probe = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    gap = (forward(teacher, probe).softmax(1) - forward(out, probe).softmax(1)).abs().max()
    assert float(gap) == pytest.approx(distance, abs=0.05)
