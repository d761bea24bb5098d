"""What is contained before it can enter the federation: replies that cannot be right, whoever sent them.

The protocol refuses a wrong shape and what is not finite by itself, and bounds norms; the gate refuses earlier, by declared size before
anything is read, and by what only an engine knows: how large updates usually are, and what the calibration set says of a result.
What is held never becomes an update; its reason is recorded, its tensors are not kept. Nothing that a reply makes the gate raise goes
further than the gate.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import torch

from afuic.engines.live.messages import REPLY_BYTES, Answer, unpack_answer
from afuic.engines.live.transport import Reply
from afuic.erase.calibrate import divergence
from afuic.errors import AfuicError
from afuic.params import Params, add, clip, digest, norm
from afuic.protocol import State
from afuic.protocol.effects import Perform, Train, Unlearn
from afuic.settings import Gate as Limits
from afuic.text import shown

SMALL = 0.1
REASON = 500
CHUNK = 256

P = ParamSpec("P")
T = TypeVar("T")
Predict = Callable[[Params, torch.Tensor], torch.Tensor]

log = logging.getLogger("afuic.live")


@dataclass(frozen=True)
class Held:
    """Why a reply is kept out; ``digest`` and ``norm`` of its tensors where it had any that could be read."""

    reason: str
    digest: str | None = None
    norm: float | None = None


def contained(judge: Callable[P, T]) -> Callable[P, T | Held]:
    """``judge``, with whatever it raises over bytes from outside made Held: too deep, too large for the memory, or a fault of ours."""

    @functools.wraps(judge)
    def judged(*args: P.args, **kwargs: P.kwargs) -> T | Held:
        try:
            return judge(*args, **kwargs)
        except AfuicError as error:
            return Held(plain(str(error)))
        except Exception as error:
            log.warning("a reply could not be read or judged", exc_info=True)
            return Held(unreadable(error))

    return judged


def unreadable(error: Exception) -> str:
    """The reason where nobody foresaw what a reply would raise."""
    return f"message: it cannot be read or judged ({type(error).__name__}; the server's log says where)"


class Gate:
    """``images``: the calibration set, float32 [m, c, h, w], maybe empty; ``predict`` gives logits without gradient."""

    def __init__(self, limits: Limits, predict: Predict, images: torch.Tensor) -> None:
        self.limits, self.predict, self.images = limits, predict, images

    @contained
    def read(self, reply: Reply, like: Params) -> Answer | Held:
        """What a reply says, or why it says nothing that can be used."""
        if len(reply.document) > REPLY_BYTES:
            return Held(f"message: a document of {len(reply.document)} bytes where at most {REPLY_BYTES} can be right")
        answer = unpack_answer(reply.document, reply.tensors, like)
        if answer.task != reply.task:
            return Held(f"message: it came as the answer to {plain(reply.task)} and says that it answers {plain(answer.task)}")
        return answer

    @contained
    def objection(self, work: Train | Unlearn | Perform, delta: Params, usual: float | None, state: State) -> Held | None:
        """Why this result of ``work`` may not enter; None where it may. ``usual``: the largest usual norm of updates that did."""
        size = norm(delta)
        reason = self._too_large(work, size, usual, state.model)
        if reason is None and isinstance(work, Unlearn):
            reason = self._wrecks(work, delta, state)
        return None if reason is None else Held(reason, digest(delta), size)

    def bound(self, usual: float | None, model: Params) -> float:
        """The largest norm that an update may have now. As training settles, updates shrink to nothing, and an honest one from an older
        model, on new images, or after an erasure is many times what is usual by then: what would not have been much earlier is not held,
        nor what moves the model by a tenth of its own norm at most.
        """
        return self.limits.first_norm if usual is None else max(self.limits.norm_factor * usual, SMALL * norm(model))

    def _too_large(self, work: Train | Unlearn | Perform, size: float, usual: float | None, model: Params) -> str | None:
        bound = self.bound(usual, model)
        if isinstance(work, Perform):
            bound = max(bound, self.limits.norm_factor * norm(work.start))
        if size <= bound:
            return None
        return f"norm {size:.4g} is above the bound of {bound:.4g} that the usual norms give (gate.norm_factor {self.limits.norm_factor:g})"

    def _wrecks(self, work: Unlearn, delta: Params, state: State) -> str | None:
        """Compared is what the protocol would make of it: it bounds the norm by a share of what the client contributed."""
        if not len(self.images):
            return None
        shrunk = clip(delta, work.spec.bound * state.requests[work.request].size)
        found = self._divergence(work.start, add(work.start, shrunk))
        if found <= self.limits.utility_kl:
            return None
        return f"unlearning changes the model's answers on the calibration set by {found:.3g} nats, more than {self.limits.utility_kl:g}"

    @torch.no_grad()
    def _divergence(self, before: Params, after: Params) -> float:
        parts = [self._sum(before, after, images) for images in torch.split(self.images, CHUNK)]
        return sum(parts) / len(self.images)

    def _sum(self, before: Params, after: Params, images: torch.Tensor) -> float:
        target = self.predict(before, images).softmax(dim=1)
        found = float(divergence(target, self.predict(after, images))) * len(images)
        return float("inf") if math.isnan(found) else found


def plain(text: str) -> str:
    """A text from outside, fit for a record: nothing hidden in it, on one line, short."""
    line = shown(" ".join(text[: 4 * REASON].split()))
    return line if len(line) <= REASON else line[: REASON - 1] + "…"
