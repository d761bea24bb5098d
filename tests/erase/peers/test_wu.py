"""Wu et al.: what is subtracted, and one step of distillation at a temperature, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from driver import change, check_search, linear, numbers, past, play, site, vector, view

from afuic.erase import METHODS, Ask
from afuic.erase.calibrate import divergence
from afuic.erase.peers import wu
from afuic.erase.peers.wu import Distillation, Schedule, Wu, softened
from afuic.erase.rounds import SERVER
from afuic.params import digest

HISTORY = (past("a@0", (1, 2), 1), past("b@0", (3, 0), 2), past("a@0", (0.5, 0), 3))
ONES = torch.ones(2, 1, 1, 1)
STEP = Schedule(steps=1, batch=2, lr=0.8, optimizer="sgd")
TEACHER = vector(math.log(9), 0)


def test_all_the_clients_updates_are_subtracted() -> None:
    # θ = [4.5, 2], a's updates [1.5, 2]
    model, rounds = play(Wu(distil=None), view(HISTORY), {})
    assert numbers(model) == [3, 0]
    assert len(rounds) == 1


def test_the_old_model_teaches_the_skewed_one_at_the_server() -> None:
    (order,) = Wu().begin(view(HISTORY)).orders
    assert (order.client, order.needed, numbers(order.start)) == (SERVER, True, [3, 0])
    assert [numbers(model) for model in order.models] == [[4.5, 2]]


def test_the_temperature_softens_teacher_and_student() -> None:
    # logits [ln 9, 0] at T = 2 are [ln 3, 0]: probabilities 3/4 and 1/4
    assert linear(TEACHER, ONES)[0].softmax(0).tolist() == pytest.approx([0.9, 0.1])
    assert softened(linear, 2.0)(TEACHER, ONES)[0].softmax(0).tolist() == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize(("temperature", "step"), [(2.0, 0.1), (1.0, 0.32)])
def test_one_step_of_distillation_by_hand(temperature: float, step: float) -> None:
    # ∂KL/∂w = x·(p_student − p_teacher)/T. At T = 2: (1/2 − 3/4)/2 = −1/8, times the rate 0.8: 0.1. At T = 1: (1/2 − 9/10)·0.8 = −0.32
    job = Distillation(temperature=temperature, schedule=STEP)
    found = change(job, site(calibration=ONES), vector(0, 0), TEACHER)
    assert numbers(found) == pytest.approx([step, -step], rel=1e-5)


def test_distillation_brings_the_student_to_the_teacher() -> None:
    images = torch.linspace(-1, 1, 32).reshape(-1, 1, 1, 1)
    job = Distillation(schedule=Schedule(steps=200, batch=8, lr=0.05))
    start = vector(0, 0)
    after = {"w": start["w"] + change(job, site(calibration=images), start, TEACHER)["w"]}
    soft = linear(TEACHER, images).softmax(1)
    assert float(divergence(soft, linear(after, images))) < 0.01 * float(divergence(soft, linear(start, images)))


def test_the_released_model_is_the_skewed_one_and_what_distillation_adds() -> None:
    history = (past("a@0", (math.log(9), 0), 1), past("b@0", (0, 0), 2))
    options = Wu(distil=Distillation(temperature=2.0, schedule=STEP))
    assert numbers(play(options, view(history), {SERVER: site(calibration=ONES)})[0]) == pytest.approx([0.1, -0.1], rel=1e-5)


def test_without_images_nothing_is_distilled() -> None:
    ask = Ask(True, False, False, 60.0)
    assert METHODS["wu"].configure({}).plan(ask).procedure == Wu(distil=None)
    for nothing in (None, ONES[:0]):
        assert numbers(change(Distillation(), site(calibration=nothing), vector(1, 2), TEACHER)) == [0, 0]
    assert Distillation().passes(0, 0) == 0


def test_the_clock_is_charged_for_all_steps_and_one_look_of_the_teacher() -> None:
    # 1600 steps of 64 images, and the teacher's forward on 1000 images, a third of a pass each
    assert Distillation().passes(0, 1000) == pytest.approx(1600 * 64 + 1000 / 3)


def test_it_is_not_this_projects_healing() -> None:
    schedule = Schedule()
    assert (schedule.turned, schedule.gain, schedule.augmented, schedule.invariance) == (False, None, False, 0.0)
    job = Distillation(schedule=Schedule(steps=5, batch=2, lr=0.1))
    results = [change(job, site(calibration=ONES), vector(0, 0), TEACHER, seed=seed) for seed in (0, 0)]
    assert digest(results[0]) == digest(results[1])


def test_the_plan_overwrites_and_asks_for_the_history() -> None:
    method = METHODS["wu"]
    plan = method.configure({}).plan(Ask(True, False, True, 60.0))
    assert (plan.merge, plan.procedure, plan.heal, plan.guard.length(5)) == ("replace", Wu(), None, 0)
    assert method.history
    assert method.pauses
    check_search(wu)
