"""Is a released model what an erasure should give? Two looks at it, so that a pair who hid something together does not pass unseen.

Two clients may contribute what cancels out, such as a mark and its negation; nothing shows until one of them is erased and the other's part
is bare. Then the released model gives way to some small change of an image that the model before hardly noticed (``judge``), and
what was subtracted points against what somebody contributed who stays (``beside``). What ordinary erasures give is in decision 0029.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

from afuic.erase.augment import Augmentation, medical
from afuic.erase.calibrate import CHUNK, Forward, divergence
from afuic.erase.ledger import Contributor, Ledger
from afuic.params import Params
from afuic.rng import torch_stream
from afuic.scores import AGAINST, Judgement

IMAGES = 256
FARTHEST = 1e6
"""Nats; said where the divergence is beyond all numbers."""
PATCH = 7
"""A square probe is this part of the image's side."""


@dataclass(frozen=True)
class Beside:
    """What was subtracted, beside what stays: ``norm`` of it, the ``median`` norm of the others' contributions (None without others), and
    its cosine to each of them.
    """

    norm: float
    median: float | None
    cosines: Mapping[Contributor, float]

    def against(self) -> dict[Contributor, float]:
        """Those against whom it points as no ordinary contribution does."""
        return {name: cosine for name, cosine in self.cosines.items() if cosine < AGAINST}


@torch.no_grad()
def judge(forward: Forward, before: Params, after: Params, images: torch.Tensor) -> Judgement:
    """``images``: float32 [m, c, h, w] in [−1, 1], m ≥ 1; of many the first 256. The same arguments give the same numbers."""
    images = images[:IMAGES]
    plain = _answers(forward, before, images), _answers(forward, after, images)
    far = float(divergence(plain[0].softmax(dim=1), plain[1]))
    far = min(max(0.0, far), FARTHEST) if math.isfinite(far) else FARTHEST
    looks = (
        Judgement(far, name, _changed(forward, before, probe, plain[0]), _changed(forward, after, probe, plain[1]))
        for name, probe in _probes(images)
    )
    return max(looks, key=lambda look: look.growth)


def beside(ledger: Ledger, names: Iterable[Contributor], head: str | None) -> Beside:
    """What ``names`` contributed, beside the other contributors. Cosines leave out the last layer (``head``: its weight), whose rows
    hospitals with other classes pull in opposite directions.
    """
    gone = set(names)
    mine = ledger.of(gone)
    others = {n: c for n, c in ledger.clients.items() if n not in gone}
    parts = sorted(set(mine) - {head, None if head is None else head.removesuffix("weight") + "bias"}) or sorted(mine)
    norms = sorted(_norm(c, sorted(c)) for c in others.values())
    return Beside(
        norm=round(_norm(mine, sorted(mine)), 6),
        median=round(norms[len(norms) // 2], 6) if norms else None,
        cosines={name: round(_cosine(mine, c, parts), 3) for name, c in sorted(others.items())},
    )


def _probes(images: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Small changes of the images, by name: none of them is made from a mark that forgetting is scored with."""
    yield "mirrored", images.flip(-1)
    if images.shape[-1] == images.shape[-2]:
        yield "turned", images.transpose(-1, -2)
    yield "blurred, shifted and partly covered", medical(Augmentation())(images, torch_stream(0, "judgement"))
    height, width = images.shape[-2:]
    high, wide = max(1, height // PATCH), max(1, width // PATCH)
    for shade, value in (("light", 1.0), ("dark", -1.0)):
        for down, y in (("top", 0), ("middle", (height - high) // 2), ("bottom", height - high)):
            for across, x in (("left", 0), ("centre", (width - wide) // 2), ("right", width - wide)):
                out = images.clone()
                out[..., y : y + high, x : x + wide] = value
                yield f"{shade} square, {down} {across}", out


def _answers(forward: Forward, params: Params, images: torch.Tensor) -> torch.Tensor:
    return torch.cat([forward(params, part) for part in torch.split(images, CHUNK)])


def _changed(forward: Forward, params: Params, images: torch.Tensor, plain: torch.Tensor) -> float:
    changed = _answers(forward, params, images).argmax(dim=1) != plain.argmax(dim=1)
    return round(float(changed.float().mean()), 4)


def _flat(params: Params, names: Iterable[str]) -> torch.Tensor:
    return torch.cat([params[name].double().flatten() for name in names])


def _norm(params: Params, names: Iterable[str]) -> float:
    return float(_flat(params, names).norm())


def _cosine(one: Params, other: Params, names: list[str]) -> float:
    a, b = _flat(one, names), _flat(other, names)
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if size > 0 else 0.0
