"""How much and how often: a token bucket for each caller, and a bound on what a body may hold."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
HOUR_S = 3600.0


class Limiter:
    """A bucket for each key that holds a minute's worth and fills at the same rate; beyond ``most`` the keys used longest ago go."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic, most: int = 4096) -> None:
        self._full, self._clock, self._most = float(per_minute), clock, most
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable) -> int:
        """0 where one more is allowed, which is then counted; else the whole seconds until one is."""
        now = self._clock()
        level, at = self._buckets.pop(key, (self._full, now))
        level = min(self._full, level + (now - at) * self._full / 60)
        allowed = level >= 1
        self._buckets[key] = (level - allowed, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0 if allowed else math.ceil((1 - level) * 60 / self._full - 1e-9)


class Hourly:
    """Says of each key once an hour that it is new, so that a caller who polls does not fill the audit."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = 4096) -> None:
        self._clock, self._most = clock, most
        self._at: OrderedDict[Hashable, float] = OrderedDict()

    def new(self, key: Hashable) -> bool:
        """Whether the key was not new within the last hour."""
        now = self._clock()
        if now - self._at.get(key, -math.inf) < HOUR_S:
            return False
        self._at.pop(key, None)
        self._at[key] = now
        if len(self._at) > self._most:
            self._at.popitem(last=False)
        return True


class TooLarge(Exception):
    """A body of more bytes than are allowed."""


async def body(receive: Receive, declared: str | None, most: int, within_s: float = 30.0) -> bytes:
    """The whole body; TooLarge as soon as it is clear, TimeoutError where it does not come, ConnectionError where the caller has gone."""
    if declared is not None and (not declared.isdecimal() or int(declared) > most):
        raise TooLarge
    async with asyncio.timeout(within_s):
        return await _read(receive, most)


async def _read(receive: Receive, most: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise TooLarge
        more = message.get("more_body", False)
    return b"".join(parts)
