"""How the model fares over time, measured beside the loop on images of the server's own: for people. Nothing is decided by it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from afuic.engines.live.gate import Predict
from afuic.erase.calibrate import divergence
from afuic.params import Params
from afuic.protocol import State

EVERY = 10
CHUNK = 256


@dataclass(frozen=True)
class Probe:
    """A version of the model to be measured; ``before``: the model that was measured last, None for the first in a process."""

    version: int
    model: Params
    before: Params | None


@dataclass(frozen=True)
class Finding:
    """``loss`` (nats) and ``accuracy`` (0 to 1) on the server's labelled validation images; ``change``: mean KL divergence (nats) of the

    answers on its calibration images from those of the model measured before. None: there are no such images, or it is not finite.
    """

    t: float
    version: int
    loss: float | None = None
    accuracy: float | None = None
    change: float | None = None


@dataclass(frozen=True)
class Yardstick:
    """``calibration``: float32 [m, c, h, w]; ``validation``: images alike with labels int64 [n]; either may be empty."""

    predict: Predict
    calibration: Tensor
    validation: tuple[Tensor, Tensor]

    @torch.no_grad()
    def measure(self, probe: Probe) -> Finding:
        """What can be said of the model with the images that there are."""
        before = probe.before
        return Finding(
            0.0,
            probe.version,
            _mean(lambda images, labels: functional.cross_entropy(self.predict(probe.model, images), labels), *self.validation),
            _mean(lambda images, labels: self._hits(probe.model, images, labels), *self.validation),
            None if before is None else _mean(lambda images: self._change(before, probe.model, images), self.calibration),
        )

    def _hits(self, model: Params, images: Tensor, labels: Tensor) -> Tensor:
        return (self.predict(model, images).argmax(dim=1) == labels).float().mean()

    def _change(self, before: Params, after: Params, images: Tensor) -> Tensor:
        return divergence(self.predict(before, images).softmax(dim=1), self.predict(after, images))


def _mean(of: Callable[..., Tensor], *parts: Tensor) -> float | None:
    """The mean over images of what ``of`` gives for chunks of them; None without images or where it is not finite."""
    count = len(parts[0])
    chunks = zip(*(torch.split(part, CHUNK) for part in parts), strict=True)
    found = sum(float(of(*chunk)) * len(chunk[0]) for chunk in chunks) / count if count else math.nan
    return found if math.isfinite(found) else None


class Checkup:
    """Says which version is to be measured next: every ``EVERY`` versions the newest. ``last``: the version measured last."""

    def __init__(self, last: int | None) -> None:
        self._last = last
        self._model: Params | None = None
        self._under_way: Probe | None = None

    def due(self, state: State) -> list[Probe]:
        """The probe under way or due, if there is one."""
        if self._under_way is None and (self._last is None or state.version >= self._last + EVERY):
            self._under_way = Probe(state.version, state.model, self._model)
        return [] if self._under_way is None else [self._under_way]

    def over(self) -> None:
        """The probe under way has been measured."""
        if self._under_way is not None:
            self._last, self._model = self._under_way.version, self._under_way.model
        self._under_way = None
