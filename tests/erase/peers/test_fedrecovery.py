"""FedRecovery: residuals, their weights, and the noise, worked out by hand."""

from __future__ import annotations

import pytest
import torch
from driver import change, check_search, distance, numbers, past, play, site, vector, view

from afuic.erase import METHODS, Ask
from afuic.erase.peers import fedrecovery
from afuic.erase.peers.fedrecovery import FedRecovery, residual
from afuic.erase.peers.noise import Noise
from afuic.erase.rounds import SERVER
from afuic.params import digest

HISTORY = (past("a@0", (3, 0), 1), past("b@0", (0, 4), 2), past("a@0", (1, 1), 3), past("b@0", (-1, 4), 4))
SERVERS = {SERVER: site()}


def released(options: FedRecovery, history: tuple[object, ...] = HISTORY, **changes: object) -> list[float]:
    return numbers(play(options, view(history, **changes), SERVERS)[0])  # type: ignore[arg-type]


def test_a_residual_is_the_clients_update_less_the_others_mean() -> None:
    block = (past("a@0", (4, 0), 1), past("b@0", (0, 2), 2), past("c@0", (2, 4), 3))
    # [4, 0] − ([0, 2] + [2, 4])/2
    assert numbers(residual(view(block), block, 2)) == [3, -3]


def test_the_residual_is_that_of_one_round_of_gradient_descent() -> None:
    # three clients with gradients 6, 3, 9 (first entry) and η = 1/2: shares −η·g/n are −1, −0.5, −1.5. By Eq. 13
    # δ = (η/n)·((3 + 9)/2 − 6) = 0; with 12 instead of 9, (1/6)·(7.5 − 6) = 0.25
    block = (past("a@0", (-1, -1), 1), past("b@0", (-0.5, -0.5), 2), past("c@0", (-1.5, -2), 3))
    assert numbers(residual(view(block), block, 2)) == [0, 0.25]


def test_rounds_weigh_by_how_far_the_model_moved() -> None:
    # blocks of two: changes [3, 4] and [0, 5], both of size 25, so p = 1/2 each; δ = [3, −4] and [2, −3], together [2.5, −3.5];
    # θ = [3, 9]
    assert released(FedRecovery(sigma=0, strength=1)) == pytest.approx([0.5, 12.5])
    # changes [1, 0] and [0, 2]: p = 1/5 and 4/5; δ = [1, 0] and [0, 2]; θ = [1, 2]
    history = (past("a@0", (1, 0), 1), past("b@0", (0, 0), 2), past("a@0", (0, 2), 3), past("b@0", (0, 0), 4))
    assert released(FedRecovery(sigma=0, strength=1), history) == pytest.approx([0.8, 0.4])


def test_where_the_client_sent_nothing_it_moved_nothing() -> None:
    # three blocks of two, the second without a: only [2, 0] and [0, 4] count, of sizes (2 + 0)² = 4 and (0 + 4)² = 16, so p = 1/5 and 4/5;
    # δ = [2, 0] and [0, 4], together [0.4, 3.2]; θ = [8, 4]
    shares = (("a@0", (2, 0)), ("b@0", (0, 0)), ("b@0", (3, 0)), ("b@0", (3, 0)), ("b@0", (0, 0)), ("a@0", (0, 4)))
    history = tuple(past(name, share, i) for i, (name, share) in enumerate(shares, 1))
    assert released(FedRecovery(sigma=0, strength=1), history) == pytest.approx([7.6, 0.8])


def test_strength_multiplies_what_is_subtracted() -> None:
    assert released(FedRecovery(sigma=0, strength=2)) == pytest.approx([-2, 16])


def test_all_of_a_clients_epochs_leave_together() -> None:
    history = (past("a@0", (1, 0), 1), past("b@0", (0, 0), 2), past("a@1", (0, 2), 3), past("b@0", (0, 0), 4))
    assert released(FedRecovery(sigma=0, strength=1), history, gone=("a@0", "a@1")) == pytest.approx([0.8, 0.4])


def test_nothing_to_subtract_leaves_the_model() -> None:
    assert released(FedRecovery(sigma=0, strength=1), (), origin=vector(5, 6)) == [5, 6]
    alone = (past("a@0", (2, 0), 1),)
    # nobody else: δ = [2, 0], p = 1
    assert released(FedRecovery(sigma=0, strength=1), alone) == [0, 0]


def test_the_server_alone_is_ordered_and_waited_for() -> None:
    orders = FedRecovery().begin(view(HISTORY)).orders
    assert [(order.client, order.needed, order.job.passes(0, 1000)) for order in orders] == [(SERVER, True, 0.0)]


def test_the_noise_is_added_to_what_is_left() -> None:
    noisy, rounds = play(FedRecovery(sigma=0.5), view(HISTORY), SERVERS)
    assert distance(noisy, rounds[0].model) != [0, 0]
    assert digest(noisy) == digest(play(FedRecovery(sigma=0.5), view(HISTORY), SERVERS)[0])
    assert digest(noisy) != digest(play(FedRecovery(sigma=0.5), view(HISTORY), SERVERS, seed=1)[0])


def test_the_noise_has_its_standard_deviation() -> None:
    start = {"w": torch.zeros(20_000), "b": torch.zeros(1)}
    drawn = change(Noise(sigma=0.5), site(), start)["w"]
    # the standard error of the mean is 0.5/√20000 = 0.0035, that of the deviation 0.5/√40000 = 0.0025: five of each
    assert abs(float(drawn.mean())) < 0.018
    assert abs(float(drawn.std()) - 0.5) < 0.013
    assert float(change(Noise(sigma=0), site(), start)["w"].abs().max()) == 0


def test_the_plan_overwrites_and_asks_for_the_history() -> None:
    method = METHODS["fedrecovery"]
    plan = method.configure({}).plan(Ask(True, False, False, 60.0))
    assert (plan.merge, plan.procedure, plan.heal) == ("replace", FedRecovery(), None)
    assert method.history
    check_search(fedrecovery)
