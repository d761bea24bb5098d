"""FedEraser: stored norms, fresh directions, in order; the rebuilt model worked out by hand and by a plain reference."""

from __future__ import annotations

import math

import pytest
import torch
from driver import check_search, distance, numbers, past, play, pull, site, vector, view

from afuic.erase import METHODS, Ask
from afuic.erase.peers import federaser
from afuic.erase.peers.blocks import blocks, by_client, contributors
from afuic.erase.peers.federaser import FedEraser, calibrated
from afuic.rng import torch_stream

HISTORY = (
    past("b@0", (1, 0), 1, 0),
    past("a@0", (0, 5), 2, 0),
    past("c@0", (0, 2), 3, 0),
    past("b@0", (4, 3), 4, 1),
    past("a@0", (7, 7), 5, 2),
    past("a@0", (7, 7), 6, 5),
    past("b@0", (0, 1), 7, 4),
    past("b@0", (0, 1), 8, 7),
    past("c@0", (6, 8), 9, 3),
)
SITES = {"b": site(pull(7, 10)), "c": site(pull(4, 16))}


def test_blocks_hold_one_update_a_client_on_average() -> None:
    assert contributors(HISTORY) == 3
    assert [[p.version for p in block] for block in blocks(HISTORY)] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert [len(block) for block in blocks(HISTORY[:7])] == [3, 3, 1]
    assert blocks(()) == ()
    assert {name: numbers(share) for name, share in by_client(HISTORY[6:]).items()} == {"b": [0, 2], "c": [6, 8]}


def test_two_epochs_are_one_contributor() -> None:
    assert contributors((past("a@0", (1, 0), 1), past("a@1", (1, 0), 2), past("b@0", (1, 0), 3))) == 2


def test_an_update_keeps_its_length_and_takes_the_fresh_direction() -> None:
    # ‖[6, 8]‖ = 10 and [0, 3] points along [0, 1]
    assert numbers(calibrated(vector(6, 8), vector(0, 3))) == [0, 10]
    assert numbers(calibrated(vector(6, 8), vector(0, 0))) == [0, 0]


def test_the_model_rebuilt_by_hand() -> None:
    model, rounds = play(FedEraser(interval=1), view(HISTORY), SITES)
    # block 1: b and c started from version 0, before a's first update (version 2): taken as they are, [1, 0] + [0, 2]
    assert numbers(rounds[0].model) == [1, 2]
    # block 2: only b stayed. From [1, 2] it heads for [7, 10], along [6, 8]/10; ‖[4, 3]‖ = 5: [1, 2] + 5·[0.6, 0.8] = [4, 6]
    assert [order.client for order in rounds[0].orders] == ["b"]
    assert numbers(rounds[1].model) == pytest.approx([4, 6], rel=1e-6)
    # block 3: b from [4, 6] along [3, 4]/5, twice [0, 1] is [0, 2] of length 2: [1.2, 1.6]; c along [0, 10]/10 with ‖[6, 8]‖ = 10: [0, 10]
    assert [order.client for order in rounds[1].orders] == ["b", "c"]
    assert numbers(model) == pytest.approx([5.2, 17.6], rel=1e-6)


def test_an_interval_of_two_leaves_every_other_block_out() -> None:
    model, rounds = play(FedEraser(interval=2), view(HISTORY), {"b": site(pull(7, 10)), "c": site(pull(1, 12))})
    # block 1 gives [1, 2]; block 3: b 2·[0.6, 0.8] = [1.2, 1.6], c 10·[0, 1]
    assert numbers(model) == pytest.approx([2.2, 13.6], rel=1e-6)
    assert len(rounds) == 2


def test_calibration_takes_a_tasks_steps_and_nobody_is_waited_for() -> None:
    order = FedEraser().begin(view(HISTORY)).orders[0]
    assert (order.job.steps, order.needed) == (20, False)  # type: ignore[attr-defined]
    assert order.job.passes(0, 100) == 20 * 32


def test_a_first_update_that_had_met_the_target_is_calibrated() -> None:
    history = (past("a@0", (0, 5), 1, 0), past("b@0", (3, 4), 2, 1), past("b@0", (1, 0), 3, 0))
    model, rounds = play(FedEraser(interval=1), view(history), {"b": site(pull(0, 9))})
    # two clients, so blocks of two: b's first had a in its base; b's second is in the next block. Both go along [0, 1]: 5 + 1
    assert numbers(rounds[0].model) == [0, 0]
    assert numbers(model) == pytest.approx([0, 6], rel=1e-6)


def test_a_target_that_never_contributed_changes_nothing_in_the_first_block() -> None:
    history = (past("b@0", (1, 2), 1), past("c@0", (3, 4), 2))
    assert numbers(FedEraser().begin(view(history)).model) == [4, 6]


def test_who_does_not_answer_or_cannot_be_reached_adds_nothing() -> None:
    seen = view(HISTORY, clients=("b",))
    assert numbers(play(FedEraser(interval=1), seen, SITES)[0]) == pytest.approx([5.2, 7.6], rel=1e-6)
    silent = play(FedEraser(interval=1), view(HISTORY), SITES, silent=[(1, "c")])[0]
    assert numbers(silent) == pytest.approx([5.2, 7.6], rel=1e-6)


def test_without_history_or_clients_the_initial_model_is_what_is_left() -> None:
    assert numbers(play(FedEraser(), view((), origin=vector(2, 3)), {})[0]) == [2, 3]
    assert numbers(play(FedEraser(), view(HISTORY, clients=()), {})[0]) == [1, 2]


def test_for_patients_the_target_calibrates_its_own_updates_on_what_stays() -> None:
    history = (past("a@0", (3, 4), 1, 0), past("b@0", (1, 0), 2, 0))
    seen = view(history, whole=False, clients=("a", "b"))
    model, rounds = play(FedEraser(), seen, {"a": site(pull(1, 8)), "b": site(pull(0, 0))})
    # b's is clean: [1, 0]. a's own holds the patients: from [1, 0] along [0, 8]/8 with length 5
    assert [order.client for order in rounds[0].orders] == ["a"]
    assert numbers(model) == pytest.approx([1, 5], rel=1e-6)


@pytest.mark.parametrize("interval", [1, 2, 3])
def test_it_agrees_with_a_plain_reference(interval: int) -> None:
    draws = torch.randn(24, 2, generator=torch_stream(1, "history")).tolist()
    names = "bacdbbcadcabdbcaabcdcbad"
    history = tuple(
        past(f"{n}@0", (x, y), i + 1, max(0, i - 2)) for i, (n, (x, y)) in enumerate(zip(names, draws, strict=True))
    )
    aims = {"b": (3.0, 1.0), "c": (-2.0, 4.0), "d": (0.5, -6.0)}
    sites = {name: site(pull(*aim)) for name, aim in aims.items()}
    model, _ = play(FedEraser(interval=interval), view(history), sites)
    assert distance(model, vector(*reference(names, draws, aims, interval))) == pytest.approx([0, 0], abs=1e-5)


def reference(
    names: str, shares: list[list[float]], aims: dict[str, tuple[float, float]], interval: int
) -> tuple[float, float]:
    """Section III.B in plain numbers: four clients, target a, bases two updates back."""
    x = y = 0.0
    first = names.index("a") + 1
    for number, start in enumerate(range(0, len(names), 4)):
        if number % interval:
            continue
        stored: dict[str, list[float]] = {}
        for i in range(start, min(start + 4, len(names))):
            if names[i] == "a":
                continue
            if number == 0 and max(0, i - 2) < first:
                x, y = x + shares[i][0], y + shares[i][1]
                continue
            so_far = stored.get(names[i], [0.0, 0.0])
            stored[names[i]] = [so_far[0] + shares[i][0], so_far[1] + shares[i][1]]
        moves = []
        for name, (u, v) in stored.items():
            toward = (aims[name][0] - x, aims[name][1] - y)
            factor = math.hypot(u, v) / math.hypot(*toward)
            moves.append((factor * toward[0], factor * toward[1]))
        x, y = x + sum(m[0] for m in moves), y + sum(m[1] for m in moves)
    return x, y


def test_the_plan_pauses_replays_and_overwrites() -> None:
    method = METHODS["federaser"]
    plan = method.configure({"interval": 3}).plan(Ask(True, False, False, 60.0))
    assert (plan.merge, plan.procedure) == ("replace", FedEraser(interval=3))
    assert method.history
    assert method.pauses
    check_search(federaser)
