"""From a configuration to the protocol's rules, the same for the simulator and for a deployment."""

from __future__ import annotations

from collections.abc import Iterable

from afuic.config import Config
from afuic.erase import Configured, configured
from afuic.protocol import Rules
from afuic.rng import stream


def rules_of(config: Config, method: str, *, calibration: bool, clients: Iterable[str], head: str | None) -> Rules:
    """The rules under ``method``, with all kept ready that any method of the configuration needs.

    ``calibration``: whether the server holds images; ``clients``: who takes part, in a fixed order, for methods that train in clusters;
    ``head``: the network's ``head_weight``.
    """
    needs = [configured(config, name).needs for name in config.methods]
    own = configured(config, method)
    return Rules(
        aggregation=config.aggregation,
        method=own,
        calibration=calibration,
        average=any(n.average for n in needs),
        last_models=any(n.last_models for n in needs),
        ahead=getattr(own.options, "ahead", None),
        history=any(n.history for n in needs),
        clusters=_clusters(config, own, clients),
        head=head,
    )


def _clusters(config: Config, method: Configured, clients: Iterable[str]) -> dict[str, int] | None:
    """The clients dealt to clusters of equal size or nearly so; None for methods without."""
    if not method.method.clusters:
        return None
    order = stream(config.seed, "clusters").permutation(list(clients))
    return {str(name): place % method.options.clusters for place, name in enumerate(order)}
