"""Erasure in rounds, the way most published methods work: training pauses, the server orders work and waits for every answer.

A ``Procedure`` is the server's side of such a method: pure, it sees models and answers, never an image. A ``Job`` is what the one who is
ordered does with its own images. The protocol hands out the orders of a round, collects the answers, asks the procedure for the next
round, and releases the model when there are no more orders; the engine charges the clock for every job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from afuic.config import Section
from afuic.erase.calibrate import Forward
from afuic.erase.ledger import Contributor
from afuic.params import Params, add, scale, total, zeros_like

SERVER = ""
"""The executor of an order that the server carries out itself."""
Images = tuple[torch.Tensor, torch.Tensor]
"""images [n, c, h, w] in [−1, 1] and labels [n]."""
Train = Callable[[Params, Images, int | None, torch.Generator], Params]
"""The federation's own local training: (start, images, steps; None for a task's usual number, generator) -> trained − start."""


@dataclass(frozen=True)
class Site:
    """What an executor has. A client's ``forget`` are its images that are to be erased (None: it has none), ``retain`` those that
    stay; the server has only ``calibration``, unlabelled [m, c, h, w]. ``initial`` draws a fresh initial model. ``features``: the input
    [n, d] of the network's last linear layer, differentiable like ``forward``; None where the network has no such layer.
    """

    forward: Forward
    train: Train
    initial: Callable[[torch.Generator], Params]
    forget: Images | None = None
    retain: Images | None = None
    calibration: torch.Tensor | None = None
    features: Forward | None = None


class Job(Section):
    """What one order makes its executor do, with the settings for it."""

    def passes(self, forget: int, retain: int) -> float:
        """Image passes, forward and backward, where that many images are to be forgotten and retained; a forward is a third of one."""
        raise NotImplementedError

    def spent(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> float:
        """The passes of this very order, for the clock; another number than ``passes`` where its work ends by itself."""
        retain = site.retain[0] if site.retain else site.calibration
        return self.passes(len(site.forget[0]) if site.forget else 0, 0 if retain is None else len(retain))

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> Params:
        """The answer: a change of the model, (result − start). ``models`` are those sent along with the order."""
        raise NotImplementedError


@dataclass(frozen=True)
class Order:
    """Work for one client, or for the server itself (``SERVER``), one order each in a round. ``needed``: without this answer the round
    cannot end, so one waits. Only the target, who stays and the server can be needed.
    """

    client: str
    start: Params
    job: Job
    models: tuple[Params, ...] = ()
    needed: bool = False


@dataclass(frozen=True)
class Past:
    """One update that entered the model, kept where a method needs history: what was added, and the version after and the base before."""

    contributor: Contributor
    share: Params
    version: int
    base_version: int


@dataclass(frozen=True)
class View:
    """What the server knows when a procedure is asked. ``model``: θ when its rounds began, paused since; ``clients``: who stays and can be
    reached now, in the order they joined, for patients the target among them; ``gone``: the contributors to be erased; ``history``:
    every update so far but those of contributors erased before, empty unless the method asks for it; ``target``: whose data leave,
    ``whole`` all of them; ``last_models``: what those who stay and the target last trained, for procedures that ask for it.
    """

    model: Params
    origin: Params
    target: str
    whole: bool
    gone: tuple[Contributor, ...]
    clients: tuple[str, ...]
    history: tuple[Past, ...] = ()
    last_models: Mapping[str, Params] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """The next round's orders, and what the procedure has to remember until it is answered; no orders: ``model`` is released.

    ``memory`` is a frozen dataclass of the method's file, made of numbers, texts, tuples, mappings and models, so that it can be
    checkpointed.
    """

    model: Params
    orders: tuple[Order, ...] = ()
    memory: Any = None


class Procedure(Section):
    """The server's side of a method that works in rounds, with its settings. Pure: the same arguments give the same round.

    ``last_models``: it looks at what clients last trained (``View.last_models``), which are kept for it then.
    """

    last_models: ClassVar[bool] = False

    def begin(self, view: View) -> Round:
        """The first round."""
        raise NotImplementedError

    def proceed(self, view: View, memory: Any, answers: Mapping[str, Params]) -> Round:
        """The round after the one that ``memory`` belongs to. ``answers``: by client, in the orders' order; who left is missing."""
        raise NotImplementedError


def average(answers: Mapping[str, Params], like: Params) -> dict[str, torch.Tensor]:
    """The plain mean of the answers (McMahan et al., arXiv 1602.05629, with equal weights, as in this federation's own
    aggregation); zeros when there are none.
    """
    if not answers:
        return zeros_like(like)
    return scale(total((answers[name] for name in sorted(answers)), like), 1.0 / len(answers))


def averaged(model: Params, answers: Mapping[str, Params]) -> dict[str, torch.Tensor]:
    """``model`` plus the mean answer: one round of FedAvg."""
    return add(model, average(answers, model))


class LocalTraining(Job):
    """The federation's own local training on the images that stay, for ``steps`` steps (none: as many as any task)."""

    steps: int | None = None
    batch: int = 32
    usual: int = 20

    def passes(self, forget: int, retain: int) -> float:
        """Steps times images in a step."""
        return float((self.steps or self.usual) * min(self.batch, max(retain, 1)))

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> Params:
        """Train from ``start``; a client without images that stay answers with no change."""
        if site.retain is None or not len(site.retain[0]):
            return zeros_like(start)
        return site.train(start, site.retain, self.steps, generator)
