"""Knot with random clusters: clusters of hospitals train apart from the beginning, so that an erasure retrains one of them alone.

Su and Li, "Asynchronous Federated Unlearning", INFOCOM 2023. Updates are aggregated within a cluster only and the model that is used is
the clusters' mean. Nothing of a hospital ever reaches another cluster, so its own starts over without it and the others train on. The
erasure is exact; its price is paid before, by models that never learn from all hospitals.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from afuic.config import Section
from afuic.erase.method import Ask, Method, Plan


class Options(Section):
    """Options of Knot."""

    clusters: int = Field(2, ge=1, description="clusters that hospitals are dealt to at random; at most one for each hospital")


SEARCH: tuple[dict[str, Any], ...] = ({}, {"clusters": 3})
"""Two settings: there is one option, and with more clusters than half the hospitals most would train alone."""


def plan(options: Options, ask: Ask) -> Plan:
    """Restart the cluster; release when as much time has passed as before the request."""
    return Plan(merge="restart", cluster=True, restart_s=ask.elapsed_s)


METHOD = Method(
    name="knot",
    source="Su & Li, INFOCOM 2023, with random clusters",
    summary="Train in clusters from the beginning; an erasure starts one cluster over while the others train on.",
    needs_target=False,
    removes=True,
    options=Options,
    plan=plan,
    clusters=True,
)
