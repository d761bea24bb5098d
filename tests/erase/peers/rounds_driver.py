"""Carries a procedure's orders out, round after round, as the protocol and an engine do: the smallest thing that can run one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from afuic.erase.rounds import Images, Job, Order, Params, Procedure, Round, Site, View
from afuic.rng import torch_stream

TARGET = "a"


@dataclass(frozen=True)
class Run:
    """What a procedure ended with, and every round on the way."""

    model: Params
    rounds: tuple[Round, ...]

    def orders(self) -> list[list[tuple[str, type[Job]]]]:
        """Who was ordered what, round by round."""
        return [[(order.client, type(order.job)) for order in round_.orders] for round_ in self.rounds if round_.orders]


def drive(
    procedure: Procedure,
    view: View,
    sites: Mapping[str, Site],
    seed: int = 0,
    away: Callable[[int, str], bool] = lambda number, client: False,
) -> Run:
    """Run ``procedure`` to its end. ``away`` says who is not there in a round: it is not in the view and answers nothing."""
    rounds = [procedure.begin(_seen(view, 0, away))]
    while rounds[-1].orders:
        number = len(rounds) - 1
        present = [order for order in rounds[-1].orders if not away(number, order.client)]
        assert all(order in present for order in rounds[-1].orders if order.needed)
        answers = {order.client: _answer(order, sites[order.client], seed, number) for order in present}
        rounds.append(procedure.proceed(_seen(view, number + 1, away), rounds[-1].memory, answers))
    return Run(rounds[-1].model, tuple(rounds))


def _seen(view: View, number: int, away: Callable[[int, str], bool]) -> View:
    return replace(view, clients=tuple(client for client in view.clients if not away(number, client)))


def _answer(order: Order, site: Site, seed: int, number: int) -> Params:
    return order.job.run(site, order.start, order.models, torch_stream(seed, "job", number, order.client))


def view_of(*numbers: float, clients: str = "bc", whole: bool = True) -> View:
    """A request for ``a`` at the model with these parameters; for patients, ``a`` itself is among those who stay."""
    stay = tuple(clients) if whole else (TARGET, *clients)
    return View(vector(*numbers), vector(*(0.0 for _ in numbers)), TARGET, whole, (f"{TARGET}@0",), stay)


def vector(*numbers: float) -> dict[str, torch.Tensor]:
    """The parameters of a tiny model."""
    return {"w": torch.tensor(numbers, dtype=torch.float32)}


def values(params: Params) -> list[float]:
    """The numbers of a tiny model."""
    return params["w"].flatten().tolist()  # type: ignore[no-any-return]


def logistic(params: Params, images: torch.Tensor) -> torch.Tensor:
    """Two classes and two parameters: logits (w·x, 0), so that the probability of class 0 is σ(w·x)."""
    own = images.flatten(1) @ params["w"].flatten()
    return torch.stack([own, torch.zeros_like(own)], dim=1)


def products(params: Params, images: torch.Tensor) -> torch.Tensor:
    """Two classes and two parameters: logits (w₁x₁, w₂x₂)."""
    return images.flatten(1) * params["w"].flatten()


def pictures(*pixels: tuple[float, float], label: int = 0) -> Images:
    """Images [n, 1, 1, 2], all of one label."""
    return torch.tensor(pixels, dtype=torch.float32)[:, None, None, :], torch.full((len(pixels),), label)


def sends(*numbers: float, forget: Images | None = None) -> Site:
    """A site whose local training always changes the model by these numbers."""
    return Site(
        forward=logistic,
        train=lambda start, images, steps, generator: {"w": torch.tensor(numbers).view_as(start["w"])},
        initial=lambda generator: vector(0, 0),
        forget=forget,
        retain=pictures((1, 0)),
    )
