"""The federation's time: seconds since it began, which never go back, whatever becomes of the machine's clock.

Within a process the monotonic clock counts. A driver that starts goes on from the store's last event: while no driver runs, no time passes,
so that a deadline is never missed for want of a server. The wall clock only dates records for people.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """``ticks`` counts seconds from anywhere; ``wall`` gives seconds since 1970, UTC, and is believed by nobody."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._ticks, self._wall = ticks, wall
        self._now, self._last = 0.0, ticks()

    def start(self, t: float) -> None:
        """Go on from ``t``, the time of the store's last event; never back."""
        self._now, self._last = max(self._now, t), self._ticks()

    def now(self) -> float:
        """Seconds since the federation began."""
        ticks = self._ticks()
        self._now += max(0.0, ticks - self._last)
        self._last = ticks
        return self._now

    def at(self) -> float:
        """Seconds since 1970, UTC, for the record."""
        return self._wall()


class Patience:
    """How long to wait before a hospital that keeps failing gets work again: 1, 2, 4 … 60 s."""

    LONGEST = 60.0

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}

    def count(self, client: str) -> int:
        """Failures since the last success."""
        return self._failures.get(client, 0)

    def failed(self, client: str) -> float:
        """Count a failure; the seconds to wait."""
        self._failures[client] = self.count(client) + 1
        return min(self.LONGEST, 2.0 ** (min(self.count(client), 10) - 1))

    def succeeded(self, client: str) -> None:
        """Start over."""
        self._failures.pop(client, None)
