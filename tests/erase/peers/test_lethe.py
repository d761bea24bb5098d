"""The Lethe-like arm: the adapter's ascent and the correction of the streams by hand, and what each round starts from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from rounds_driver import TARGET, drive, logistic, pictures, sends, values, vector, view_of

from afuic.erase.peers.lethe import METHOD, SEARCH, Ascent, Memory, Options, Reshape, adapted, fresh, rectified
from afuic.erase.peers.local import Steps
from afuic.erase.rounds import LocalTraining, Site
from afuic.params import add
from afuic.rng import torch_stream

ONE = Steps(steps=1, batch=8, lr=1.0, max_norm=100.0)
FORGET = pictures((3, 6))
SITES = {TARGET: sends(9, 9, forget=FORGET), "b": sends(1, 0), "c": sends(3, 0)}
MATRIX = {"w": torch.zeros(1, 2)}


def test_a_fresh_adapter_changes_nothing() -> None:
    model = {"k": torch.randn(4, 3, 2, 2, generator=torch_stream(0)), "b": torch.ones(3)}
    adapter = fresh(model, 2, torch_stream(1))
    assert {name: tuple(t.shape) for name, t in adapter.items()} == {"lethe.up.k": (4, 2), "lethe.down.k": (2, 12)}
    assert all(torch.equal(adapted(model, adapter)[name], model[name]) for name in model)


def test_the_rank_is_no_larger_than_the_matrix() -> None:
    assert {tuple(t.shape) for t in fresh(MATRIX, 4, torch_stream(1)).values()} == {(1, 1), (1, 2)}


def test_the_adapter_ascends_by_hand() -> None:
    site = Site(forward=logistic, train=SITES["b"].train, initial=lambda generator: MATRIX, forget=FORGET)
    delta = Reshape(rank=1, steps=ONE).run(site, MATRIX, (), torch_stream(7))
    down = torch.randn(1, 2, generator=torch_stream(7)) / 2**0.5
    # At w = 0 the gradient of −CE is x/2 = (1.5, 3): B goes from 0 to −(1.5, 3)·A, while A rests because B is 0
    up = -(torch.tensor([[1.5, 3.0]]) @ down.T)
    assert values(delta) == pytest.approx((up @ down).flatten().tolist())


def test_the_forget_stream_ascends_by_hand() -> None:
    # p = ½: −CE falls along −x/2
    assert values(Ascent(steps=ONE).run(SITES[TARGET], vector(0, 0), (), torch_stream(0))) == [-1.5, -3]


def test_the_streams_by_hand() -> None:
    forget, retain = rectified(vector(-2, -3), vector(1, 1), vector(0, -1))
    # (1, 1) goes back up against the adapter (0, −1): (1, 0) is left. (−2, −3) works against that: (0, −3) is left
    assert (values(forget), values(retain)) == ([0, -3], [1, 0])


def test_what_is_not_opposite_stays() -> None:
    forget, retain = rectified(vector(1, -2), vector(2, -1), vector(0, -1))
    assert (values(forget), values(retain)) == ([1, -2], [2, -1])


def test_each_layer_is_corrected_by_itself() -> None:
    adapter = {"u": torch.tensor([1.0]), "v": torch.tensor([1.0])}
    forget = {"u": torch.tensor([5.0]), "v": torch.tensor([-5.0])}
    retain = {"u": torch.tensor([-2.0]), "v": torch.tensor([100.0])}
    # As one vector the retain stream agrees with the adapter (98 > 0); in layer u it does not, and only there it is cut.
    # In layer v the forget stream opposes the retain stream and is cut
    out = rectified(forget, retain, adapter)
    assert [{name: t.tolist() for name, t in part.items()} for part in out] == [{"u": [5], "v": [0]}, {"u": [0], "v": [100]}]


def test_two_rounds_by_hand() -> None:
    options = Options(reshape=ONE, forget=ONE, weight=2, rectify_rounds=1, recover_rounds=1)
    run = drive(options, view_of(0, 0), SITES)
    # A model of one vector has no adapter. Retain: the mean of (1, 0) and (3, 0). Forget: (−1.5, −3), without what opposes it
    # (0, −3). (0, 0) + (2, 0) + 2·(0, −3), then the mean again
    assert values(run.rounds[2].model) == pytest.approx([2, -6])
    assert values(run.model) == pytest.approx([4, -6])


def test_both_streams_start_from_the_adapted_model_and_the_released_one_is_without() -> None:
    options = Options(reshape=ONE, forget=ONE, weight=1, rectify_rounds=2, recover_rounds=0)
    run = drive(options, replace(view_of(0, 0), model=MATRIX, origin=MATRIX), SITES)
    reshaped, between = run.rounds[1], run.rounds[2]
    assert isinstance(reshaped.memory, Memory)
    assert reshaped.memory.adapter is not None
    assert reshaped.memory.adapter["w"].abs().sum() > 0
    assert torch.equal(reshaped.model["w"], MATRIX["w"])
    for round_ in (reshaped, between):
        expected = add(round_.model, reshaped.memory.adapter)["w"]
        assert all(torch.equal(order.start["w"], expected) for order in round_.orders)
    forget = Ascent(steps=ONE).run(SITES[TARGET], between.orders[0].start, (), torch_stream(0, "job", 2, TARGET))
    streams = rectified(forget, {"w": torch.tensor([[2.0, 0.0]])}, reshaped.memory.adapter)
    assert torch.allclose(run.model["w"], between.model["w"] + streams[1]["w"] + streams[0]["w"])


def test_who_works_when() -> None:
    run = drive(Options(reshape=ONE, forget=ONE, rectify_rounds=2, recover_rounds=1), view_of(0, 0), SITES)
    others = [("b", LocalTraining), ("c", LocalTraining)]
    assert run.orders() == [[("a", Reshape)], [("a", Ascent), *others], [("a", Ascent), *others], others]
    assert [order.needed for order in run.rounds[1].orders] == [True, False, False]


def test_it_ends_where_everyone_else_is_away() -> None:
    options = Options(reshape=ONE, forget=ONE, weight=1, rectify_rounds=1, recover_rounds=3)
    run = drive(options, view_of(0, 0), SITES, away=lambda number, client: client != TARGET)
    assert values(run.model) == [-1.5, -3]


def test_the_clock_is_charged_for_the_images_of_the_steps() -> None:
    assert Reshape(rank=1, steps=Steps(steps=10, batch=64)).passes(32, 500) == 320
    assert Ascent(steps=Steps(steps=10, batch=64)).passes(500, 0) == 640


def test_there_are_six_settings_to_search_the_first_the_defaults() -> None:
    assert len(SEARCH) == 6
    assert METHOD.configure(SEARCH[0]).options == Options()
    assert len({METHOD.configure(setting).options.model_dump_json() for setting in SEARCH}) == 6
