"""What one client's update is worth, after staleness and clipping, and from where it came."""

from __future__ import annotations

from dataclasses import dataclass

from afuic.params import Params


@dataclass(frozen=True)
class Contribution:
    """A scaled update ``a = η·s(τ)·clip(Δ)`` of ``client``, trained in its data epoch ``epoch`` and sent for ``task``.

    ``staleness`` is τ in aggregation steps; ``carrier``: its base still contained data that was being erased; ``base_version``: the
    version it was trained from.
    """

    task: str
    client: str
    epoch: int
    share: Params
    staleness: int = 0
    carrier: bool = False
    base_version: int = 0
