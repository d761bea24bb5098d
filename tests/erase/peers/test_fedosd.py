"""FedOSD on two parameters: the bounded loss, the orthogonal step and the projection by hand, and all rounds beside plain NumPy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from rounds_driver import TARGET, drive, logistic, pictures, sends, values, vector, view_of

from afuic.erase.peers.fedosd import METHOD, SEARCH, Descent, Options, orthogonal, unlearning_cross_entropy, without_way_back
from afuic.erase.peers.local import Steps
from afuic.erase.rounds import LocalTraining, Site
from afuic.rng import torch_stream

ONE = Steps(steps=1, batch=8, lr=1.0, max_norm=100.0)


def learns(*, forget: tuple[float, float] | None = None, retain: tuple[float, float] | None = None) -> Site:
    """A site with one image of class 0 on either side; its usual training is one step of gradient descent at rate ½."""

    def train(start, images, steps, generator):
        return {"w": 0.5 * torch.from_numpy(gradient(start["w"].numpy(), images[0][0].flatten().numpy())).float()}

    return Site(
        forward=logistic,
        train=train,
        initial=lambda generator: vector(0, 0),
        forget=None if forget is None else pictures(forget),
        retain=None if retain is None else pictures(retain),
    )


def gradient(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """−∂CE/∂w of an image of class 0: (1 − σ(w·x))·x."""
    return (1 - 1 / (1 + np.exp(-(w @ x)))) * x


def unlearning_gradient(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """∂/∂w of −ln(1 − p/2) with p = σ(w·x): p(1 − p)/(2 − p)·x."""
    p = 1 / (1 + np.exp(-(w @ x)))
    return p * (1 - p) / (2 - p) * x


def test_the_unlearning_loss_is_bounded_by_ln_2() -> None:
    even = torch.tensor([[0.0, 0.0]])
    # p = ½: −ln(1 − ¼) = ln(4/3). p ≈ 1: −ln ½. p ≈ 0: 0
    assert float(unlearning_cross_entropy(even, torch.tensor([0]))) == pytest.approx(math.log(4 / 3))
    sure = torch.tensor([[40.0, 0.0]])
    assert float(unlearning_cross_entropy(sure, torch.tensor([0]))) == pytest.approx(math.log(2))
    assert float(unlearning_cross_entropy(sure, torch.tensor([1]))) == pytest.approx(0, abs=1e-6)


def test_one_step_of_unlearning_by_hand() -> None:
    site = learns(forget=(3, 6))
    delta = Descent(loss="unlearning", steps=ONE).run(site, vector(0, 0), (), torch_stream(0))
    # p = ½: p(1 − p)/(2 − p) = ¼/(3/2) = 1/6, so the gradient is (3, 6)/6 and the step −(½, 1)
    assert values(delta) == pytest.approx([-0.5, -1.0])


def test_one_step_of_training_by_hand() -> None:
    delta = Descent(loss="training", steps=ONE).run(learns(retain=(2, 0)), vector(0, 0), (), torch_stream(0))
    # (1 − ½)·(2, 0)
    assert values(delta) == pytest.approx([1.0, 0.0])


def test_the_step_is_orthogonal_to_the_others_and_as_long_as_the_targets() -> None:
    # (−½, −1) without its part along (1, 0) is (0, −1); its length is that of (−½, −1), √(5/4)
    assert values(orthogonal(vector(-0.5, -1), (vector(1, 0),))) == pytest.approx([0, -math.sqrt(1.25)], abs=1e-6)


def test_parallel_steps_of_the_others_count_as_one() -> None:
    # The Gram matrix [[1, 2], [2, 4]] is singular
    assert values(orthogonal(vector(-0.5, -1), (vector(1, 0), vector(2, 0)))) == pytest.approx([0, -math.sqrt(1.25)], abs=1e-6)


def test_there_is_no_step_where_the_others_leave_no_direction() -> None:
    assert values(orthogonal(vector(-0.5, -1), (vector(1, 0), vector(1, 1)))) == [0, 0]
    assert values(orthogonal(vector(0, 0), (vector(1, 0),))) == [0, 0]


def test_without_others_the_targets_own_step_is_taken() -> None:
    assert values(orthogonal(vector(-0.5, -1), ())) == [-0.5, -1]


def test_three_parameters_by_hand() -> None:
    # Others (1, 0, 0) and (1, 1, 0) span the first two axes: of (2, 3, 6) is left (0, 0, 6), made as long as √(4 + 9 + 36) = 7
    assert values(orthogonal(vector(2, 3, 6), (vector(1, 0, 0), vector(1, 1, 0)))) == pytest.approx([0, 0, 7])


def test_the_way_back_is_taken_out() -> None:
    # Unlearning went down the second axis: of (1, 1) is left (1, 0), made as long as √2; of (0, 2) nothing
    assert values(without_way_back(vector(1, 1), vector(0, -3))) == pytest.approx([math.sqrt(2), 0], abs=1e-6)
    assert values(without_way_back(vector(0, 2), vector(0, -3))) == [0, 0]
    assert values(without_way_back(vector(1, 1), vector(0, 0))) == [1, 1]


def test_the_forward_way_is_taken_out_as_well() -> None:
    assert values(without_way_back(vector(1, -1), vector(0, -3))) == pytest.approx([math.sqrt(2), 0], abs=1e-6)


def test_two_rounds_by_hand() -> None:
    sites = {TARGET: learns(forget=(3, 6)), "b": replace(sends(1, 1), retain=pictures((2, 0))), "c": sends(0, 2)}
    run = drive(Options(unlearn_rounds=1, recover_rounds=1, local=ONE), view_of(0, 0), sites)
    # Unlearning: target −(½, 1); b (1, 0) and c (½, 0) lie on the first axis: (0, −√1.25)
    assert values(run.rounds[1].model) == pytest.approx([0, -math.sqrt(1.25)], abs=1e-6)
    # Post-training: b sends (1, 1), projected (√2, 0); c sends (0, 2), all of it the way back. The mean is (√2/2, 0)
    assert values(run.model) == pytest.approx([math.sqrt(2) / 2, -math.sqrt(1.25)])


def test_without_projection_the_post_training_goes_back() -> None:
    sites = {TARGET: learns(forget=(3, 6)), "b": replace(sends(1, 1), retain=pictures((2, 0))), "c": sends(0, 2)}
    run = drive(Options(unlearn_rounds=1, recover_rounds=1, local=ONE, project=False), view_of(0, 0), sites)
    # (0, −√1.25) + ((1, 1) + (0, 2))/2
    assert values(run.model) == pytest.approx([0.5, 1.5 - math.sqrt(1.25)])


def reference(unlearn: int, recover: int, forget: np.ndarray, retained: list[np.ndarray], w: np.ndarray) -> np.ndarray:
    """The published algorithm in plain NumPy, full-batch gradients, rate 1 for unlearning and ½ for post-training."""
    start = w.copy()
    for _ in range(unlearn):
        g = unlearning_gradient(w, forget)
        a = np.stack([-gradient(w, x) for x in retained])
        d = g - a.T @ np.linalg.pinv(a @ a.T) @ a @ g
        w = w - d / np.linalg.norm(d) * np.linalg.norm(g)
    for _ in range(recover):
        way, steps = w - start, []
        for x in retained:
            g = -gradient(w, x)
            h = g - (g @ way) / (way @ way) * way
            steps.append(h / np.linalg.norm(h) * np.linalg.norm(g))
        w = w - 0.5 * np.mean(steps, axis=0)
    return w


@pytest.mark.parametrize(("unlearn", "recover"), [(1, 0), (4, 0), (4, 6)])
def test_the_rounds_are_those_of_the_algorithm_written_out(unlearn: int, recover: int) -> None:
    sites = {TARGET: learns(forget=(1, 2)), "b": learns(retain=(2, 1)), "c": learns(retain=(4, 2))}
    run = drive(Options(unlearn_rounds=unlearn, recover_rounds=recover, local=ONE), view_of(0.5, 0.25), sites)
    retained = [np.array([2.0, 1.0]), np.array([4.0, 2.0])]
    assert values(run.model) == pytest.approx(
        reference(unlearn, recover, np.array([1.0, 2.0]), retained, np.array([0.5, 0.25])), abs=1e-5
    )


def test_who_works_when() -> None:
    sites = {name: sends(1, 0, forget=pictures((1, 1))) for name in "abc"}
    run = drive(Options(unlearn_rounds=2, recover_rounds=1), view_of(0, 0), sites)
    unlearning = [("a", Descent), ("b", Descent), ("c", Descent)]
    assert run.orders() == [unlearning, unlearning, [("b", LocalTraining), ("c", LocalTraining)]]
    assert [order.needed for order in run.rounds[0].orders] == [True, False, False]


def test_a_client_whose_patients_leave_trains_with_the_others_afterwards() -> None:
    sites = {name: sends(1, 0, forget=pictures((1, 1))) for name in "abc"}
    run = drive(Options(unlearn_rounds=1, recover_rounds=1), view_of(0, 0, whole=False), sites)
    assert [client for client, _ in run.orders()[0]] == ["a", "b", "c"]
    assert [client for client, _ in run.orders()[1]] == ["a", "b", "c"]


def test_it_ends_where_everyone_else_is_away() -> None:
    sites = {TARGET: learns(forget=(3, 6))}
    run = drive(
        Options(unlearn_rounds=1, recover_rounds=3, local=ONE), view_of(0, 0), sites, away=lambda n, client: client != TARGET
    )
    assert values(run.model) == pytest.approx([-0.5, -1.0])


def test_the_clock_is_charged_for_the_images_of_the_side_that_works() -> None:
    steps = Steps(steps=5, batch=64)
    assert Descent(loss="unlearning", steps=steps).passes(10, 1000) == 50
    assert Descent(loss="training", steps=steps).passes(10, 1000) == 320


def test_there_are_six_settings_to_search_the_first_the_defaults() -> None:
    assert len(SEARCH) == 6
    assert METHOD.configure(SEARCH[0]).options == Options()
    assert len({METHOD.configure(setting).options.model_dump_json() for setting in SEARCH}) == 6
