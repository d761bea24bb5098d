"""Rapid Retraining: the second-order step by hand, and rounds from the initial model."""

from __future__ import annotations

import math

import pytest
import torch
from driver import change, check_search, images, numbers, past, play, site, vector, view

from afuic.erase import METHODS, Ask
from afuic.erase.peers import rapid
from afuic.erase.peers.rapid import FisherTraining, Rapid
from afuic.params import digest

ONE = FisherTraining(steps=1, lr=0.1, damping=0.25)
HALF = images(1.0, labels=[0])


def test_one_step_by_hand() -> None:
    # logits 0, so p = 1/2 and the gradient is (−1/2, 1/2); the Fisher diagonal is 1/4: 0.1·(1/2)/(1/4 + 1/4) = 0.1
    assert numbers(change(ONE, site(retain=HALF), vector(0, 0))) == pytest.approx([0.1, -0.1], rel=1e-5)


def test_half_the_power_takes_the_root_of_the_fisher() -> None:
    # 0.1·(1/2)/(1/2 + 1/4) = 1/15
    adam = ONE.model_copy(update={"power": 0.5})
    assert numbers(change(adam, site(retain=HALF), vector(0, 0))) == pytest.approx([1 / 15, -1 / 15], rel=1e-5)


def test_two_steps_with_momentum_by_hand() -> None:
    job = FisherTraining(steps=2, lr=0.1, damping=0.25, gradient_decay=0.5, fisher_decay=0.5)
    # the second gradient, at w = (0.1, −0.1): g = σ(0.2) − 1; both averages weigh the steps 1/4 and 1/2, corrected by 1 − 1/4
    g = 1 / (1 + math.exp(-0.2)) - 1
    m = (0.25 * -0.5 + 0.5 * g) / 0.75
    v = (0.25 * 0.25 + 0.5 * g * g) / 0.75
    second = -0.1 * m / (v + 0.25)
    assert second == pytest.approx(0.0996464, rel=1e-5)
    assert numbers(change(job, site(retain=HALF), vector(0, 0))) == pytest.approx([0.1 + second, -0.1 - second], rel=1e-5)


def test_the_fisher_is_that_of_the_batchs_gradient() -> None:
    # two images of opposite labels: the batch's gradient is 0, and so is the step, whatever each image's own gradient
    both = images(1.0, 1.0, labels=[0, 1])
    assert numbers(change(ONE, site(retain=both), vector(0, 0))) == [0, 0]


def test_a_parameter_that_the_loss_does_not_know_stays() -> None:
    start = {"w": torch.zeros(2), "unused": torch.ones(3)}
    moved = change(ONE, site(retain=HALF), start)
    assert float(moved["unused"].abs().max()) == 0
    assert float(moved["w"].abs().max()) > 0


def test_every_image_is_seen_before_any_is_seen_again() -> None:
    seen: list[float] = []

    def forward(params: dict[str, torch.Tensor], batch: torch.Tensor) -> torch.Tensor:
        seen.extend(batch.flatten().tolist())
        return batch.flatten(1) * params["w"]

    data = images(1.0, 2.0, 3.0, 4.0, 5.0, labels=[0, 1, 0, 1, 0])
    change(FisherTraining(steps=5, batch=2), site(retain=data, forward=forward), vector(0, 0))
    assert len(seen) == 10
    assert sorted(seen) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_a_client_without_images_that_stay_changes_nothing() -> None:
    assert numbers(change(ONE, site(retain=images(labels=[])), vector(1, 2))) == [0, 0]


def test_rounds_start_from_the_initial_model_and_average() -> None:
    history = (past("a@0", (5, 5), 1), past("b@0", (7, 7), 2), past("c@0", (7, 7), 3))
    sites = {"b": site(retain=HALF), "c": site(retain=images(2.0, labels=[0]))}
    model, rounds = play(Rapid(rounds=1, training=ONE), view(history), sites)
    # b: 0.1 as above. c: gradient (−1, 1), Fisher 1: 0.1·1/(1 + 1/4) = 0.08. The mean of both from θ_0 = 0
    assert numbers(rounds[0].orders[0].start) == [0, 0]
    assert numbers(model) == pytest.approx([0.09, -0.09], rel=1e-5)
    assert len(rounds) == 2


def test_each_round_continues_the_last_and_one_that_fails_counts() -> None:
    seen = view((), clients=("b",))
    twice, rounds = play(Rapid(rounds=2, training=ONE), seen, {"b": site(retain=HALF)})
    assert numbers(rounds[1].orders[0].start) == pytest.approx([0.1, -0.1], rel=1e-5)
    # from w = (0.1, −0.1): g = σ(0.2) − 1, 0.1·|g|/(g² + 1/4), the momentum begun anew
    g = 1 / (1 + math.exp(-0.2)) - 1
    assert numbers(twice)[0] == pytest.approx(0.1 - 0.1 * g / (g * g + 0.25), rel=1e-5)
    once = play(Rapid(rounds=2, training=ONE), seen, {"b": site(retain=HALF)}, silent=[(0, "b")])[0]
    assert numbers(once) == pytest.approx([0.1, -0.1], rel=1e-5)


def test_nobody_to_train_leaves_the_initial_model() -> None:
    assert numbers(play(Rapid(), view((), origin=vector(3, 4), clients=()), {})[0]) == [3, 4]


def test_the_same_stream_gives_the_same_bits() -> None:
    data = images(*[x / 10 for x in range(10)], labels=[0, 1] * 5)
    runs = [change(FisherTraining(batch=3), site(retain=data), vector(0, 0), seed=s) for s in (0, 0, 1)]
    assert digest(runs[0]) == digest(runs[1]) != digest(runs[2])


def test_the_plan_pauses_and_needs_no_history() -> None:
    method = METHODS["rapid"]
    plan = method.configure({"rounds": 3}).plan(Ask(True, False, False, 60.0))
    assert (plan.merge, plan.procedure) == ("replace", Rapid(rounds=3))
    assert (method.history, method.pauses) == (False, True)
    assert FisherTraining().passes(0, 10) == 20 * 10
    check_search(rapid)
