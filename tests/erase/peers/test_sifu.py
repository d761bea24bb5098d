"""SIFU: how far back it goes for a budget, what noise it adds, and how it trains on, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from driver import check_search, numbers, past, play, pull, site, vector, view

from afuic.erase import METHODS, Ask
from afuic.erase.peers import sifu
from afuic.erase.peers.noise import Noise
from afuic.erase.peers.sifu import Sifu, rolled_back
from afuic.erase.rounds import SERVER
from afuic.rng import torch_stream

HISTORY = (
    past("b@0", (1, 0), 1),
    past("a@0", (0, 1.5), 2),
    past("b@0", (1, 0), 3),
    past("a@0", (0.5, 0), 4),
    past("b@0", (1, 0), 5),
    past("a@0", (3, 4), 6),
    past("b@0", (1, 0), 7),
)


def test_the_budget() -> None:
    # √(2·ln(1.25/δ)) = √(2·2) = 2 for δ = 1.25·e⁻²
    assert Sifu(epsilon=0.5, delta=1.25 * math.exp(-2), sigma=4).budget == pytest.approx(0.5 * 4 / 2)
    # the defaults: √(2·ln 125) = 3.1075, 0.025/3.1075
    assert Sifu().budget == pytest.approx(0.008045, rel=1e-3)


@pytest.mark.parametrize(
    ("budget", "model"),
    [
        (1.4, [1, 0]),  # a's first, of length 1.5, is beyond it: version 1
        (1.6, [2, 1.5]),  # its second makes it 1.5 + 0.5 = 2: version 3
        (2.1, [3.5, 1.5]),  # its third 2 + 5 = 7: version 5
        (7.1, [7.5, 5.5]),  # never: the model itself
    ],
)
def test_how_far_back(budget: float, model: list[float]) -> None:
    assert numbers(rolled_back(view(HISTORY), budget)) == model


def test_a_client_that_never_contributed_costs_nothing() -> None:
    assert numbers(rolled_back(view(HISTORY, gone=("z@0",)), 0.001)) == [7.5, 5.5]


def test_epochs_of_a_client_add_up_and_the_worst_client_counts() -> None:
    history = (past("a@0", (1, 0), 1), past("a@1", (1, 0), 2), past("b@0", (1.5, 0), 3))
    assert numbers(rolled_back(view(history, gone=("a@0", "a@1")), 1.9)) == [1, 0]
    # of a and b neither is beyond 2.1 alone, though both together are
    assert numbers(rolled_back(view(history, gone=("a@0", "a@1", "b@0")), 2.1)) == [3.5, 0]


def test_updates_that_entered_in_one_step_are_undone_together() -> None:
    history = (past("b@0", (1, 0), 1, 0), past("b@0", (0, 1), 2, 1), past("a@0", (0, 1), 2, 1), past("c@0", (5, 5), 3, 2))
    assert numbers(rolled_back(view(history), 0.5)) == [1, 0]


def test_after_a_release_that_overwrote_the_model_it_starts_from_the_beginning() -> None:
    assert numbers(rolled_back(view(HISTORY, model=vector(7, 5), origin=vector(1, 1)), 1e9)) == [1, 1]


def test_the_noise_comes_first_and_is_waited_for() -> None:
    (order,) = Sifu(sigma=0.1).begin(view(HISTORY)).orders
    assert (order.client, order.needed, order.job) == (SERVER, True, Noise(sigma=0.1))


def test_noise_then_synchronous_rounds_by_hand() -> None:
    options = Sifu(epsilon=0.5, delta=1.25 * math.exp(-2), sigma=5.8, rounds=2, training={"steps": 1})
    sites = {SERVER: site(), "b": site(pull(10, 0)), "c": site(pull(0, 20))}
    model, rounds = play(options, view(HISTORY, clients=("b", "c")), sites)
    # Ψ* = 0.5·5.8/2 = 1.45 < 1.5: back to version 1, [1, 0], and the server's noise
    start = vector(1, 0)["w"] + noise(5.8)
    assert numbers(rounds[1].model) == pytest.approx(start.tolist())
    # a round of one step each goes a tenth of the way to the mean of the aims, [5, 10]; two leave 0.81 of the distance
    aim = vector(5, 10)["w"]
    assert numbers(model) == pytest.approx((aim + 0.81 * (start - aim)).tolist(), rel=1e-5)
    assert [len(r.orders) for r in rounds] == [1, 2, 2, 0]


def noise(sigma: float) -> torch.Tensor:
    """What the server draws in the first round of the driver."""
    return Noise(sigma=sigma).run(site(), vector(0, 0), (), torch_stream(0, 0, SERVER))["w"]


def test_without_rounds_the_blurred_version_is_released() -> None:
    model, rounds = play(Sifu(rounds=0), view(HISTORY), {SERVER: site()})
    assert len(rounds) == 2
    assert numbers(model) == pytest.approx((vector(1, 0)["w"] + noise(0.025)).tolist())


def test_it_says_what_it_guarantees_and_on_what_that_rests() -> None:
    guarantee = Sifu(epsilon=0.7, delta=0.05, sigma=0.2).guarantee
    assert (guarantee.epsilon, guarantee.delta, guarantee.sigma) == (0.7, 0.05, 0.2)
    assert "a network's are not" in guarantee.rests_on


def test_the_plan_pauses_and_asks_for_the_history() -> None:
    method = METHODS["sifu"]
    plan = method.configure({}).plan(Ask(True, False, False, 60.0))
    assert (plan.merge, plan.procedure) == ("replace", Sifu())
    assert method.history
    assert method.pauses
    check_search(sifu)
