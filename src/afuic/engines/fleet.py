"""The hospitals' side of the virtual clock: how fast each is, how good its link, when it can be reached.

Everything is derived from the seed and the client's name, so all methods and all retrained references meet the very same traces.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from afuic.config import Clock
from afuic.rng import stream

MEGABYTE = 1e6


@dataclass(frozen=True)
class Fleet:
    """Speeds and absences of the clients. Times in virtual seconds.

    slowness: compute time over a median client's. absences: (start, end) pairs in order, end may be infinite.
    """

    clock: Clock
    seed: int
    slowness: dict[str, float]
    absences: dict[str, tuple[tuple[float, float], ...]]

    def work_s(self, client: str, number: int, images: float) -> float:
        """Seconds of compute for ``images`` forward-and-backward passes in the client's task ``number``."""
        jitter = math.exp(self.clock.jitter * stream(self.seed, "duration", client, number).standard_normal())
        return images * self.clock.sample_s * self.slowness[client] * jitter

    def link_s(self, nbytes: int) -> float:
        """Seconds to send ``nbytes`` one way."""
        return self.clock.latency_s + nbytes / (self.clock.link_mb_s * MEGABYTE)

    def server_s(self, images: float) -> float:
        """Seconds of the server for ``images`` forward-and-backward passes."""
        return images * self.clock.sample_s / self.clock.server_speed

    def finish(self, client: str, start: float, work: float) -> float:
        """When work begun at ``start`` is done, if it rests while the client is away; infinite if it never comes back."""
        for begin, end in self.absences[client]:
            if end <= start:
                continue
            if start + work <= begin:
                break
            work -= max(0.0, begin - start)
            start = end
        return start + work

    def online(self, client: str, t: float) -> bool:
        """Whether the client can be reached at ``t``."""
        return not any(begin <= t < end for begin, end in self.absences[client])

    def due(
        self, client: str, number: int, start: float, images: float, bytes_sent: int, bytes_back: int
    ) -> tuple[float, bool]:
        """When the client's task ``number``, begun at ``start``, ends (infinite: never), and whether by the client's death."""
        links = self.link_s(bytes_sent) + self.link_s(bytes_back)
        seconds = links + self.work_s(client, number, images)
        share = self.fails(client, number)
        return self.finish(client, start, seconds if share is None else share * seconds), share is not None

    def updates(self, client: str, until: float, images: float, nbytes: int) -> Iterator[float]:
        """When each update of a client would arrive that does nothing but train from the beginning to ``until``."""
        t = 0.0
        for number in itertools.count():
            t, died = self.due(client, number, t, images, nbytes, nbytes)
            if t > until:
                return
            if not died:
                yield t

    def fails(self, client: str, number: int) -> float | None:
        """The share of its task ``number`` after which the client dies in it, or None."""
        draws = stream(self.seed, "failure", client, number)
        return float(draws.random()) if draws.random() < self.clock.failure else None


def build(clock: Clock, seed: int, clients: tuple[str, ...], gone: dict[str, float]) -> Fleet:
    """The fleet of these clients; those in ``gone`` are switched off for good at the time given."""
    order = stream(seed, "stragglers").permutation(len(clients))[: clock.stragglers].tolist()
    slow = {name: math.exp(clock.spread * stream(seed, "slowness", name).standard_normal()) for name in clients}
    slow |= {clients[i]: slow[clients[i]] * clock.straggler_factor for i in order}
    absences = {name: _absences(clock, seed, name, gone.get(name, math.inf)) for name in clients}
    return Fleet(clock, seed, slow, absences)


def _absences(clock: Clock, seed: int, client: str, gone: float) -> tuple[tuple[float, float], ...]:
    found: list[tuple[float, float]] = []
    if clock.online < 1:
        draws = stream(seed, "absences", client)
        present = clock.offline_mean_s * clock.online / (1 - clock.online)
        t = draws.exponential(present)
        while t < min(4 * clock.horizon_s, gone):
            end = t + draws.exponential(clock.offline_mean_s)
            found.append((t, end))
            t = end + draws.exponential(present)
    if math.isfinite(gone):
        found = [(a, min(b, gone)) for a, b in found] + [(gone, math.inf)]
    return tuple(found)
