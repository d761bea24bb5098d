"""A hospital that is to be slower than its machine, so that uneven hospitals can be tried out on one: it rests between batches."""

from __future__ import annotations

import time
from collections.abc import Callable

SLICE_S = 0.2


class Pace:
    """Asked between batches whether to stop, as ``told`` says; first it rests, so that a batch takes ``factor`` times as long.

    A word to stop ends the rest within ``SLICE_S``.
    """

    def __init__(
        self,
        factor: float,
        told: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._factor, self._told, self._clock, self._sleep = factor, told, clock, sleep
        self._since = clock()

    def __call__(self) -> bool:
        now = self._clock()
        until = now + (self._factor - 1) * (now - self._since)
        while (stop := self._told()) is False and (left := until - self._clock()) > 0:
            self._sleep(min(left, SLICE_S))
        self._since = self._clock()
        return stop
