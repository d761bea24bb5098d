"""FCU: the target unlearns in the space of features, and frequencies of the weights keep what the model knew in general.

Deng et al., MICCAI 2024, arXiv 2407.02356. Model-contrastive unlearning pulls the features of the forgotten images towards those of
a model that knows nothing and pushes them away from the original's. Frequency-guided memory preservation then mixes the
spectra of each weight matrix of the two models. Rounds of the others follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field

from afuic.erase.calibrate import Forward
from afuic.erase.method import Method
from afuic.erase.peers.calibrating import NeedsTarget, in_rounds
from afuic.erase.peers.local import Steps, descend
from afuic.erase.rounds import Images, Job, LocalTraining, Order, Round, Site, View, averaged
from afuic.params import Params, add, sub

TEMPERATURE = 0.5
"""Of the contrast, as published."""
Low = Literal["unlearned", "original"]


def contrast(features: torch.Tensor, original: torch.Tensor, downgraded: torch.Tensor) -> torch.Tensor:
    """Mean of −ln softmax of the cosine with ``downgraded`` against that with ``original``; all three [n, d]."""
    away, towards = (F.cosine_similarity(features, other, dim=1) / TEMPERATURE for other in (original, downgraded))
    return F.softplus(away - towards).mean()


def fused(unlearned: Params, original: Params, ratio: float, low: Low) -> dict[str, torch.Tensor]:
    """The original's tensors; of those with two dimensions or more the spectrum's amplitudes mixed with the unlearned ones.

    With ``low`` "unlearned" the centre of the spectrum, ``ratio`` of each side, has the unlearned weights' amplitudes and the rest
    amplitudes and all phases are the original's, as in the published code; with "original" the two change places in matrices,
    and the phases are the unlearned weights'.
    """
    inner, outer = (unlearned, original) if low == "unlearned" else (original, unlearned)
    mixed = {n: _fused(inner[n], outer[n], ratio) for n in original if original[n].dim() >= 2}
    return {name: mixed.get(name, tensor) for name, tensor in original.items()}


def _fused(inner: torch.Tensor, outer: torch.Tensor, ratio: float) -> torch.Tensor:
    spectra = [torch.fft.fft2(_matrix(t)) for t in (inner, outer)]
    within, amplitude = (torch.fft.fftshift(s.abs()) for s in spectra)
    rows, columns = (_centre(side, ratio) for side in amplitude.shape)
    amplitude[rows, columns] = within[rows, columns]
    spectrum = torch.polar(torch.fft.ifftshift(amplitude), spectra[1].angle())
    return _tensor(torch.fft.ifft2(spectrum).real, outer.shape)


def _centre(side: int, ratio: float) -> slice:
    half = math.floor(side * ratio / 2)
    return slice(side // 2 - half, side // 2 + half)


def _matrix(tensor: torch.Tensor) -> torch.Tensor:
    """A linear layer's weights as they are; a kernel's [out, in, h, w] as [in·h, w·out]."""
    if tensor.dim() == 2:
        return tensor
    moved = tensor.movedim(0, -1)
    return moved.reshape(-1, moved.shape[-2] * moved.shape[-1])


def _tensor(matrix: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    if len(shape) == 2:
        return matrix
    return matrix.reshape(*shape[1:], shape[0]).movedim(-1, 0).contiguous()


class Unlearning(Job):
    """``stages`` of contrastive steps, each against a fresh downgraded model and followed by the fusion with the original."""

    stages: int
    steps: Steps
    ratio: float
    low: Low

    def passes(self, forget: int, retain: int) -> float:
        """The images of the steps; the two other models' features are forward passes alone."""
        return self.stages * self.steps.images(forget) * (1 + 2 / 3)

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> Params:
        """The change of the model after the last fusion."""
        features = site.features or site.forward
        model: Params = start
        for _ in range(self.stages):
            loss = _Contrast(features, start, site.initial(generator))
            model = add(model, descend(loss, model, site.forget, self.steps, generator))
            model = fused(model, start, self.ratio, self.low)
        return sub(model, start)


@dataclass(frozen=True)
class _Contrast:
    features: Forward
    original: Params
    downgraded: Params

    def __call__(self, params: Params, batch: Images) -> torch.Tensor:
        with torch.no_grad():
            others = [self.features(m, batch[0]) for m in (self.original, self.downgraded)]
        return contrast(self.features(params, batch[0]), *others)


@dataclass(frozen=True)
class Memory:
    """Rounds done, the target's among them, and the model that the answers start from."""

    done: int
    model: Params


class Options(NeedsTarget):
    """The target's unlearning, in one round, then rounds of the others."""

    stages: int = Field(10, ge=1, description="contrast and fusion, one after the other")
    local: Steps = Steps(steps=10, batch=64, lr=0.003, optimizer="adam")
    ratio: float = Field(0.5, ge=0, le=1, description="side of the spectrum's centre, as a share")
    low: Low = Field("unlearned", description="whose amplitudes the spectrum's centre has")
    recover_rounds: int = Field(10, ge=0, description="rounds of the others afterwards")

    def begin(self, view: View) -> Round:
        """The target unlearns, alone."""
        job = Unlearning(stages=self.stages, steps=self.local, ratio=self.ratio, low=self.low)
        return Round(view.model, (Order(view.target, view.model, job, needed=True),), Memory(0, view.model))

    def proceed(self, view: View, memory: Memory, answers: Mapping[str, Params]) -> Round:
        """Rounds of federated averaging from the target's model."""
        memory = replace(memory, done=memory.done + 1, model=averaged(memory.model, answers))
        if memory.done == 1 + self.recover_rounds:
            return Round(memory.model)
        return Round(memory.model, tuple(Order(name, memory.model, LocalTraining()) for name in view.clients), memory)


SEARCH: tuple[dict[str, Any], ...] = (
    {},
    {"ratio": 0.7, "recover_rounds": 5},
    {"local": {"lr": 0.001, "optimizer": "adam"}, "ratio": 0.7, "recover_rounds": 5},
    {"local": {"lr": 0.002, "optimizer": "adam"}, "ratio": 0.7},
    {"ratio": 0.7, "recover_rounds": 20},
    {"local": {"lr": 0.002, "optimizer": "adam"}, "ratio": 0.7, "low": "original", "recover_rounds": 5},
)
"""Settings to be compared on validation images, the first the defaults."""


METHOD = Method(
    name="fcu",
    source="Deng, Luo, Chen, MICCAI 2024, arXiv 2407.02356",
    summary="Contrastive unlearning of features at the target, fusion of the weights' spectra, rounds of the others.",
    needs_target=True,
    removes=False,
    options=Options,
    plan=in_rounds,
    pauses=True,
)
