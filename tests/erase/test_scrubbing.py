"""Unlearning at the client: inside its ball, no further than a uniform guess, stopped when told."""

from __future__ import annotations

import math

import pytest
import torch
from linear import forward, images, model

from afuic.erase.scrub import Scrub, forget_loss, reference, scrub
from afuic.params import add, digest, norm, sub
from afuic.rng import torch_stream

FORGET = (images(5), torch.arange(40) % 3)
RETAIN = (images(6), (torch.arange(40) + 1) % 3)


def change(spec: Scrub, radius: float = 1e9, retain: object = None, **extra: object) -> dict[str, torch.Tensor]:
    start = model(1)
    return scrub(forward, start, start, radius, FORGET, retain, spec, torch_stream(0, "scrub"), **extra)  # type: ignore[arg-type]


def loss(params: dict[str, torch.Tensor], data: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(forward(params, data[0]), data[1], reduction="none")


def test_theta_ref_of_three_clients() -> None:
    # (3·[4, 2] − [1, 8])/(3 − 1) = [11, −2]/2
    out = reference({"w": torch.tensor([4.0, 2.0])}, {"w": torch.tensor([1.0, 8.0])}, 3)
    assert out["w"].tolist() == [5.5, -1.0]


@pytest.mark.parametrize("radius", [0.01, 0.3, 2.0])
@pytest.mark.parametrize("objective", ["ascent", "capped"])
def test_the_result_stays_in_the_ball(objective: str, radius: float) -> None:
    spec = Scrub(objective=objective, steps=30, lr=1.0, max_norm=1e9, stop_accuracy=0.0)
    assert norm(change(spec, radius)) <= radius * (1 + 1e-5)


def test_the_ball_is_around_its_centre_not_around_the_start() -> None:
    start = model(1)
    centre = add(start, {name: torch.ones_like(t) for name, t in start.items()})
    delta = scrub(forward, start, centre, 0.5, FORGET, None, Scrub(steps=1), torch_stream(0))
    assert norm(sub(add(start, delta), centre)) == pytest.approx(0.5, rel=1e-4)


def test_ascent_raises_the_loss_on_what_is_to_be_forgotten() -> None:
    after = add(model(1), change(Scrub(objective="ascent", steps=20, lr=0.1)))
    assert loss(after, FORGET).mean() > loss(model(1), FORGET).mean()


def test_retained_images_hold_their_loss() -> None:
    spec = Scrub(objective="ascent", steps=30, lr=0.1, retain=3.0)
    free, held = change(spec), change(spec, retain=RETAIN)
    assert loss(add(model(1), held), RETAIN).mean() < loss(add(model(1), free), RETAIN).mean()
    empty = (RETAIN[0][:0], RETAIN[1][:0])
    assert digest(change(spec, retain=empty)) == digest(free)


def test_the_capped_loss_stops_at_a_uniform_guess() -> None:
    logits = torch.tensor([[0.0, 0.0, 9.0], [2.0, 0.0, 0.0]], requires_grad=True)
    labels = torch.tensor([0, 0])
    value = forget_loss(logits, labels, "capped")
    # CE of the first is ln(2 + e⁹) > ln 3: capped; of the second ln(1 + 2·e⁻²). The mean, negated
    assert float(value.detach()) == pytest.approx(-(math.log(3) + math.log(1 + 2 * math.exp(-2))) / 2)
    value.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.equal(logits.grad[0], torch.zeros(3))
    assert logits.grad[1].abs().sum() > 0


def test_ascent_has_no_cap() -> None:
    logits = torch.tensor([[0.0, 0.0, 9.0]])
    assert float(forget_loss(logits, torch.tensor([0]), "ascent")) == pytest.approx(-math.log(2 + math.exp(9)))


def test_capped_unlearning_goes_less_far_than_ascent() -> None:
    spec = Scrub(steps=300, lr=0.3, max_norm=1e9)
    ascent = change(spec.model_copy(update={"objective": "ascent"}))
    assert norm(change(spec)) < 0.5 * norm(ascent)


def test_it_ends_when_the_batch_is_classified_badly_enough_or_when_told() -> None:
    eager = change(Scrub(objective="ascent", steps=50, lr=0.05, stop_accuracy=0.99))
    assert digest(eager) == digest(change(Scrub(objective="ascent", steps=1, lr=0.05)))
    assert norm(change(Scrub(steps=50), stop=lambda: True)) == 0


def test_nothing_to_forget_is_an_error() -> None:
    empty = (FORGET[0][:0], FORGET[1][:0])
    with pytest.raises(ValueError, match="forget set is empty"):
        scrub(forward, model(1), model(1), 1.0, empty, None, Scrub(), torch_stream(0))
