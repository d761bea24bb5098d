"""Classes that nobody who stays has taught: by hand, and by clients that train."""

from __future__ import annotations

import pytest
import torch

from afuic.config import Training
from afuic.erase.ledger import Ledger
from afuic.erase.untaught import SHARE, untaught
from afuic.learning.networks import Network
from afuic.learning.train import local_update
from afuic.params import add
from afuic.rng import torch_stream

UP, DOWN, STILL = [4.0, -1.0], [-1.0, -2.0], [0.0, 0.0]


def ledger(**rows: list[list[float]]) -> Ledger:
    """What each contributor put into the rows of ``w``."""
    found = Ledger({"w": torch.zeros(3, 2)}, {}, {})
    for name, matrix in rows.items():
        found = found.contribute(name, {"w": torch.tensor(matrix)})
    return found


def test_a_class_is_untaught_where_everybody_only_pulled_it_down() -> None:
    books = ledger(a=[UP, UP, DOWN], b=[UP, DOWN, DOWN], c=[DOWN, UP, UP])
    assert untaught(books, ["a", "b"], "w") == (2,)
    assert untaught(books, ["b"], "w") == (1, 2)
    assert untaught(books, ["a", "b", "c"], "w") == ()
    assert untaught(books, ["c"], "w") == (0,)


@pytest.mark.parametrize("names", [[], ["a", "nobody"], ["a", "still"]])
def test_nothing_is_found_while_somebody_has_yet_to_contribute(names: list[str]) -> None:
    books = ledger(a=[UP, UP, DOWN], still=[STILL, STILL, STILL])
    assert untaught(books, names, "w") == ()


def test_a_row_that_did_not_move_tells_nothing() -> None:
    assert untaught(ledger(a=[UP, STILL, DOWN]), ["a"], "w") == (2,)


def test_weight_decay_may_pull_up_a_little() -> None:
    little, more = SHARE / 2, SHARE * 2
    assert untaught(ledger(a=[UP, [-1.0, little], [-1.0, more]]), ["a"], "w") == (1,)


def test_clients_that_train_show_what_they_have_images_of() -> None:
    network = Network("gn-small", 3, 16, 4)
    assert network.head_weight == "10.weight"
    generator = torch_stream(0, "images")
    labels = torch.arange(60) % 4
    images = torch.rand(60, 3, 16, 16, generator=generator) + labels.view(-1, 1, 1, 1) / 4
    without, few = labels != 3, (labels != 3) | (torch.arange(60) > 50)
    model = network.initial(torch_stream(0))
    books = Ledger(model, {}, {})
    for turn in range(6):
        for name, kept in (("without", without), ("few", few), ("all", labels >= 0)):
            share = local_update(
                network, model, images[kept], labels[kept], Training(steps=5, batch=8), torch_stream(turn, name)
            )
            model, books = add(model, share), books.contribute(name, share)
    assert untaught(books, ["without"], "10.weight") == (3,)
    assert untaught(books, ["without", "few"], "10.weight") == ()
    assert untaught(books, ["all"], "10.weight") == ()


@pytest.mark.parametrize(("name", "head"), [("resnet18", "fc.weight"), ("densenet121", "class_layers.out.weight")])
def test_built_in_networks_end_in_a_layer_with_a_row_a_class(name: str, head: str) -> None:
    network = Network(name, 3, 64, 4)
    assert network.head_weight == head
    params = network.initial(torch_stream(0))
    assert network.features(params, torch.rand(2, 3, 64, 64)).min() >= 0
