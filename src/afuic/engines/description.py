"""What every document of results says of a federation and its requests, whichever engine ran it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afuic.config import Config
from afuic.engines.laboratory import Laboratory


def requested(config: Config) -> list[dict[str, Any]]:
    """The requests, in the order of time, as ``evaluate.results.Requested``."""
    return [
        {
            "id": f"request-{number}",
            "client": r.client,
            "patients": r.patients if r.patients is None or isinstance(r.patients, int) else len(r.patients),
            "t": r.at * config.clock.horizon_s,
            "target_online": r.target_online,
        }
        for number, r in enumerate(config.requests)
    ]


def hospitals(lab: Laboratory) -> dict[str, dict[str, Any]]:
    """The hospitals by name, as ``evaluate.results.Client``."""
    slowness = lab.fleet.slowness
    return {
        name: {"images": len(data), "triggered": int(data.triggered.sum()), "slowness": slowness[name]}
        for name, data in lab.federation.clients.items()
    }


def of_others(config: Config, applied: Mapping[str, int]) -> int:
    """How many of the updates ``applied``, by hospital, are of hospitals that no request names: starting over loses these."""
    named = {r.client for r in config.requests}
    return sum(count for name, count in applied.items() if name not in named)
