"""Halimi's ascent against the algorithm written out in plain Python, on a model of two parameters."""

from __future__ import annotations

import math

import pytest
import torch

from afuic.erase.peers.halimi import Ascending, Options, ProjectedAscent
from afuic.erase.rounds import Images, LocalTraining, Site, View
from afuic.params import Params
from afuic.rng import torch_stream

FORGET: Images = (torch.tensor([[2.0, 1.0], [-1.0, 3.0]]), torch.tensor([1, 0]))
THETA, OWN, RANDOM = (2.0, 1.0), (4.0, 0.0), (-5.0, 9.5)


def vector(*numbers: float) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor(numbers, dtype=torch.float32)}


def forward(params: Params, images: torch.Tensor) -> torch.Tensor:
    """Two classes with the logits 0 and w·x."""
    score = images @ params["w"]
    return torch.stack([torch.zeros_like(score), score], dim=1)


def train(start: Params, images: Images, steps: int | None, generator: torch.Generator) -> Params:
    """Local training that always adds (2, −1)."""
    return vector(2, -1)


SEVEN = Ascending(steps=7, batch=2, lr=0.5, radius=1.0, stop_accuracy=0.0, momentum=0.0)
SITE = Site(forward, train, lambda generator: vector(*RANDOM), forget=FORGET)


def ascended(steps: int, lr: float, radius: float, stop: float, momentum: float = 0.0) -> list[float]:
    """The algorithm: θ_ref of three clients, a ball, ascent from θ_ref, projection, early stop."""
    return path(steps, lr, radius, stop, momentum)[-1]


def path(steps: int, lr: float, radius: float, stop: float, momentum: float = 0.0) -> list[list[float]]:
    """Where the ascent is after each of its steps."""
    # (3·(2, 1) − (4, 0))/2 = (1, 1.5); the random model is (−6, 8) away: the mean distance is 10
    centre = [(3 * t - c) / 2 for t, c in zip(THETA, OWN, strict=True)]
    assert centre == [1.0, 1.5]
    w, speed, seen = list(centre), [0.0, 0.0], []
    for _ in range(steps):
        right, gradient = 0, [0.0, 0.0]
        for x, label in zip(FORGET[0].tolist(), FORGET[1].tolist(), strict=True):
            p = 1 / (1 + math.exp(-(w[0] * x[0] + w[1] * x[1])))
            right += (p > 0.5) == (label == 1)
            # d CE/dw = (p − label)·x, the mean over two images
            gradient = [g + (p - label) * xi / 2 for g, xi in zip(gradient, x, strict=True)]
        speed = [momentum * v + g for v, g in zip(speed, gradient, strict=True)]
        w = [wi + lr * v for wi, v in zip(w, speed, strict=True)]
        gap = math.dist(w, centre)
        if gap > radius * 10:
            w = [c + (wi - c) * radius * 10 / gap for wi, c in zip(w, centre, strict=True)]
        seen.append(w)
        if right / 2 <= stop:
            break
    return seen


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(
    ("steps", "lr", "radius", "stop"),
    [(1, 0.1, 1.0, 0.0), (7, 0.5, 1.0, 0.0), (20, 0.5, 0.05, 0.0), (20, 0.5, 0.5, 0.5), (40, 0.5, 0.5, 0.0)],
    ids=["one step", "seven steps", "at the edge of the ball", "stops early", "stops when nothing is right"],
)
def test_the_ascent_is_the_papers(steps: int, lr: float, radius: float, stop: float, momentum: float) -> None:
    ascent = Ascending(steps=steps, batch=2, lr=lr, radius=radius, stop_accuracy=stop, momentum=momentum)
    job = ProjectedAscent(ascent=ascent, clients=3)
    delta = job.run(SITE, vector(*THETA), (vector(*OWN),), torch_stream(0, "ascent"))
    walked = path(steps, lr, radius, stop, momentum)
    assert delta["w"].tolist() == pytest.approx([w - t for w, t in zip(walked[-1], THETA, strict=True)], abs=1e-5)
    # two images a step, for as many steps as were made
    assert job.spent(SITE, vector(*THETA), (vector(*OWN),), torch_stream(0, "ascent")) == 2 * len(walked)


def test_the_cases_are_not_all_the_same() -> None:
    # the first image is classified right, the second wrong: half of a batch, so stopping at 1/2 stops after the first step
    assert ascended(20, 0.5, 0.5, 0.5) == ascended(1, 0.5, 0.5, 0.0)
    assert math.dist(ascended(20, 0.5, 0.05, 0.0), (1.0, 1.5)) == pytest.approx(0.5)
    assert math.dist(ascended(40, 0.5, 0.5, 0.0), (1.0, 1.5)) < 5
    assert math.dist(ascended(7, 0.5, 1.0, 0.0), ascended(7, 0.5, 1.0, 0.0, 0.9)) > 0.1
    assert [len(path(20, 0.5, 0.5, 0.5)), len(path(40, 0.5, 0.5, 0.0))] == [1, 40]


def view(**changes: object) -> View:
    values = {"whole": True, "clients": ("b", "c"), "last_models": {"a": vector(*OWN), "b": vector(9, 9)}} | changes
    return View(model=vector(*THETA), origin=vector(0, 0), target="a", gone=("a@0",), **values)  # type: ignore[arg-type]


def test_the_whole_of_it() -> None:
    options = Options(ascent=SEVEN, rounds=2)
    first = options.begin(view())
    (order,) = first.orders
    assert (order.client, order.needed, [m["w"].tolist() for m in order.models]) == ("a", True, [[4.0, 0.0]])
    delta = order.job.run(SITE, order.start, order.models, torch_stream(0, "ascent"))
    second = options.proceed(view(), first.memory, {"a": delta})
    climbed = ascended(7, 0.5, 1.0, 0.0)
    assert [(o.client, o.job) for o in second.orders] == [("b", LocalTraining()), ("c", LocalTraining())]
    assert second.orders[0].start["w"].tolist() == pytest.approx(climbed, abs=1e-5)
    third = options.proceed(view(), second.memory, {"b": vector(1, 0), "c": vector(0, 1)})
    end = options.proceed(view(), third.memory, {"c": vector(2, 2)})
    # the mean of (1, 0) and (0, 1), then (2, 2) alone
    assert end.orders == ()
    assert end.model["w"].tolist() == pytest.approx([w + 2.5 for w in climbed], abs=1e-5)


def test_a_target_that_has_sent_nothing_trains_first_and_is_charged_for_it() -> None:
    (order,) = Options(ascent=SEVEN).begin(view(last_models={})).orders
    assert order.models == ()
    # training adds (2, −1) to θ = (2, 1): the same model of its own as above
    delta = order.job.run(SITE, order.start, (), torch_stream(0, "ascent"))
    expected = [w - t for w, t in zip(ascended(7, 0.5, 1.0, 0.0), THETA, strict=True)]
    assert delta["w"].tolist() == pytest.approx(expected, abs=1e-5)
    # 20 steps of 32 images, then at most 7 steps of 2
    assert order.job.passes(2, 0) == 640 + 14
    spent = order.job.spent(SITE, order.start, (), torch_stream(0, "ascent"))
    assert spent == 640 + 2 * len(path(7, 0.5, 1.0, 0.0))


def test_for_patients_the_target_recovers_with_the_others_and_counts_once() -> None:
    options = Options()
    first = options.begin(view(whole=False, clients=("a", "b")))
    assert first.orders[0].job == ProjectedAscent(clients=2)
    second = options.proceed(view(whole=False, clients=("a", "b")), first.memory, {"a": vector(0, 0)})
    assert [o.client for o in second.orders] == ["a", "b"]


def test_without_images_to_forget_nothing_changes() -> None:
    site = Site(forward, train, lambda generator: vector(*RANDOM))
    assert ProjectedAscent().run(site, vector(*THETA), (), torch_stream(0))["w"].tolist() == [0, 0]
    assert ProjectedAscent().spent(site, vector(*THETA), (), torch_stream(0)) == 0
