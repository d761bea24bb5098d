"""NoT by hand: what is negated, what the rounds make of it."""

from __future__ import annotations

import pytest
import torch

from afuic.erase.peers.not_ import Options, first_layers, negated
from afuic.erase.rounds import LocalTraining, View
from afuic.errors import ConfigError
from afuic.learning.networks import Network


def vector(*numbers: float) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor(numbers, dtype=torch.float32)}


def view(*clients: str) -> View:
    return View(model=vector(4, 3), origin=vector(0, 0), target="a", whole=True, gone=("a@0",), clients=clients)


def test_two_rounds() -> None:
    options = Options(rounds=2, steps=3)
    first = options.begin(view("b", "c"))
    assert [(o.client, o.start["w"].tolist(), o.needed, o.job) for o in first.orders] == [
        ("b", [-4, -3], False, LocalTraining(steps=3)),
        ("c", [-4, -3], False, LocalTraining(steps=3)),
    ]
    second = options.proceed(view("b", "c"), first.memory, {"b": vector(1, 0), "c": vector(3, 2)})
    # [−4, −3] + ([1, 0] + [3, 2])/2
    assert second.orders[0].start["w"].tolist() == [-2, -2]
    end = options.proceed(view("b"), second.memory, {"b": vector(1, 0)})
    assert (end.orders, end.model["w"].tolist()) == ((), [-1, -2])


def test_without_rounds_or_clients_the_negated_model_is_released() -> None:
    for options, clients in ((Options(rounds=0), ("b",)), (Options(), ())):
        only = options.begin(view(*clients))
        assert (only.orders, only.model["w"].tolist()) == ((), [-4, -3])


@pytest.mark.parametrize(("count", "expected"), [(1, ("0.weight",)), (2, ("0.weight", "3.weight"))])
def test_the_first_layers_of_our_network_are_its_first_convolutions(count: int, expected: tuple[str, ...]) -> None:
    model = Network("gn-small", 3, 28, 8).initial(torch.Generator().manual_seed(0))
    shuffled = {name: model[name] for name in sorted(model, reverse=True)}
    assert first_layers(shuffled, count) == expected


def test_numbers_in_names_are_numbers_and_vectors_are_no_layers() -> None:
    flat = {"10.weight": torch.ones(2, 2), "9.weight": torch.ones(2, 2), "1.bias": torch.ones(2), "head": torch.ones(2, 2)}
    assert first_layers(flat, 3) == ("9.weight", "10.weight", "head")


def test_parameters_can_be_named() -> None:
    model = {"a": torch.tensor([1.0]), "b": torch.tensor([2.0])}
    assert {k: t.tolist() for k, t in negated(model, ("b",)).items()} == {"a": [1.0], "b": [-2.0]}
    with pytest.raises(ConfigError, match=r"options\.not\.names: the model has no parameter 'x'; it has w"):
        Options(names=("x",)).begin(view("b"))
