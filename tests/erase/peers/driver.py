"""Plays the protocol's part for a procedure: hands out the orders of a round, collects the answers, asks for the next.

Models have two parameters, so that every number can be worked out by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch

from afuic.erase.ledger import client_of
from afuic.erase.rounds import Images, Past, Procedure, Round, Site, View
from afuic.params import Params, sub
from afuic.rng import torch_stream


def vector(*numbers: float) -> dict[str, torch.Tensor]:
    """The parameters of a tiny model."""
    return {"w": torch.tensor(numbers, dtype=torch.float32)}


def numbers(params: Params) -> list[float]:
    """The numbers of a tiny model."""
    return params["w"].tolist()  # type: ignore[no-any-return]


def linear(params: Params, images: torch.Tensor) -> torch.Tensor:
    """Logits [n, 2] = (w_1·x, w_2·x) of images of one pixel."""
    return images.flatten(1) * params["w"]


def images(*pixels: float, labels: Collection[int]) -> Images:
    """Images of one pixel with their labels."""
    return torch.tensor(pixels).reshape(-1, 1, 1, 1), torch.tensor(list(labels))


def pull(*target: float) -> Callable[[Params, Images, int | None, torch.Generator], Params]:
    """A client's training that goes a tenth of the way to ``target`` in each of its steps (20 unless told), without momentum."""

    def train(start: Params, data: Images, steps: int | None, generator: torch.Generator) -> Params:
        left = 0.9 ** (20 if steps is None else steps)
        return {"w": (1 - left) * (vector(*target)["w"] - start["w"])}

    return train


def site(train: Any = None, retain: Images | None = None, forward: Any = linear, **more: Any) -> Site:
    """What an executor has; without ``retain``, one image that stays."""
    kept = images(1.0, labels=[0]) if retain is None else retain
    return Site(forward, train or pull(0, 0), lambda generator: vector(9, 9), retain=kept, **more)


def past(contributor: str, share: tuple[float, ...], version: int, base: int | None = None) -> Past:
    """An update that made ``version``, trained from the version before it unless told."""
    return Past(contributor, vector(*share), version, version - 1 if base is None else base)


def view(history: tuple[Past, ...], target: str = "a", origin: Params | None = None, **changes: Any) -> View:
    """What the server knows of an erasure of ``target`` as a whole; the model is θ_0 plus the history unless told."""
    start = origin or vector(0, 0)
    model = {"w": start["w"] + sum((p.share["w"] for p in history), torch.zeros(2))}
    names = dict.fromkeys(client_of(p.contributor) for p in history)
    staying = tuple(name for name in names if name != target)
    known: dict[str, Any] = {"model": model, "origin": start, "target": target, "whole": True, "gone": (f"{target}@0",)}
    return View(**(known | {"clients": staying, "history": history} | changes))


def play(
    procedure: Procedure, seen: View, sites: Mapping[str, Site], silent: Collection[tuple[int, str]] = (), seed: int = 0
) -> tuple[Params, list[Round]]:
    """The model released, and all rounds. ``silent``: (round, client) that never answer, though nobody leaves for good."""
    rounds = [procedure.begin(seen)]
    while rounds[-1].orders:
        now, number = rounds[-1], len(rounds) - 1
        answers = {
            order.client: order.job.run(
                sites[order.client], order.start, order.models, torch_stream(seed, number, order.client)
            )
            for order in now.orders
            if (number, order.client) not in silent
        }
        rounds.append(procedure.proceed(seen, now.memory, answers))
    return rounds[-1].model, rounds


def change(job: Any, at: Site, start: Params, *models: Params, seed: int = 0) -> Params:
    """What one order changes."""
    return job.run(at, start, models, torch_stream(seed))  # type: ignore[no-any-return]


def distance(a: Params, b: Params) -> list[float]:
    """The numbers of a − b."""
    return numbers(sub(a, b))


def check_search(module: Any) -> None:
    """Six settings to choose from, the first of which are the defaults, each of them possible and different."""
    made = [module.METHOD.configure(values).options for values in module.SEARCH]
    assert len(made) == 6
    assert made[0] == module.METHOD.options()
    assert len({repr(options) for options in made}) == 6
