"""How updates enter the model. A rule turns arriving contributions into steps that are linear in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from afuic.aggregate import fedasync, fedbuff
from afuic.aggregate.contribution import Contribution
from afuic.aggregate.staleness import weight

__all__ = ["RULES", "Contribution", "Rule", "weight"]


class Take(Protocol):
    """``take(buffer, new, size)`` -> (buffer left, contributions that form one step now, already scaled)."""

    def __call__(
        self, buffer: tuple[Contribution, ...], new: Contribution, size: int
    ) -> tuple[tuple[Contribution, ...], tuple[Contribution, ...]]: ...


@dataclass(frozen=True)
class Rule:
    """A named aggregation rule with the source it follows."""

    name: str
    source: str
    take: Take


RULES: Mapping[str, Rule] = {
    "fedasync": Rule("fedasync", "Xie, Koyejo, Gupta, arXiv 1903.03934 (in delta form)", fedasync.take),
    "fedbuff": Rule("fedbuff", "Nguyen et al., arXiv 2106.06639, Algorithm 1", fedbuff.take),
}
