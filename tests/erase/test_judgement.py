"""A release is judged by what changes its answers, and by what stays of those against whom the removed contribution pointed."""

from __future__ import annotations

import pytest
import torch

from afuic.erase.judgement import beside, judge
from afuic.erase.ledger import Ledger


def forward(params: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Two classes: the second where the bottom right pixel, by its weight, outweighs the bias."""
    corner = images[:, 0, -1, -1] * params["w"]
    return torch.stack([params["b"].expand_as(corner), corner], dim=1)


def model(weight: float, bias: float) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor(weight), "b": torch.tensor(bias)}


DARK = torch.full((10, 1, 8, 8), -0.5)


def test_the_probe_whose_effect_grew_most_is_named() -> None:
    # before no light corner says more than 0.5 < 1; after it says 2 > 1; plain answers are alike: −0.5·w < 1
    found = judge(forward, model(0.5, 1.0), model(2.0, 1.0), DARK)
    assert (found.probe, found.before, found.after) == ("light square, bottom right", 0.0, 1.0)
    assert found.growth == pytest.approx(1.02 / 0.02)
    assert found.jump
    assert found.divergence > 0


def test_the_same_model_is_no_jump_and_the_same_numbers_come_twice() -> None:
    found = judge(forward, model(2.0, 1.0), model(2.0, 1.0), DARK)
    assert (found.growth, found.jump, found.divergence) == (1.0, False, 0.0)
    assert found == judge(forward, model(2.0, 1.0), model(2.0, 1.0), DARK)


def test_what_gives_no_numbers_is_far_away() -> None:
    assert judge(forward, model(2.0, 1.0), model(float("inf"), float("-inf")), DARK).divergence == 1e6


def test_an_oblong_image_is_not_turned() -> None:
    assert judge(forward, model(0.5, 1.0), model(2.0, 1.0), DARK[..., :5]).jump


def test_the_last_layer_does_not_count_in_cosines_but_in_norms() -> None:
    def part(body: float, head: float) -> dict[str, torch.Tensor]:
        return {
            "0.weight": torch.tensor([float(body), 0.0]),
            "1.weight": torch.tensor([[float(head)]]),
            "1.bias": torch.tensor([float(head)]),
        }

    ledger = Ledger(part(0, 0), {"a@0": part(3, 0), "b@0": part(1, -9), "c@0": part(-2, 9), "d@0": part(0, 4)}, {})
    found = beside(ledger, ("a@0",), "1.weight")
    assert found.norm == 3
    # b √(1 + 2·81) = 12.77, c √(4 + 162) = 12.88, d √32 = 5.66
    assert found.median == pytest.approx(163**0.5)
    assert found.cosines == {"b@0": 1.0, "c@0": -1.0, "d@0": 0.0}
    assert found.against() == {"c@0": -1.0}
    assert beside(ledger, ("a@0",), None).cosines["c@0"] == pytest.approx(-2 / 166**0.5, abs=5e-4)
