"""Clusters of clients that each train a model of their own; the model of the federation is their mean.

A client then starts from its cluster's model θ_g = θ_0 + G·Σ_{k∈g} C_k, and a share a of θ_g enters the federation's model as a/G, so that
θ = θ_0 + Σ_k C_k = mean of the θ_g and the ledger's identity holds as ever. Nothing of a client reaches another cluster. Without
``Rules.clusters`` all of this is the identity.
"""

from __future__ import annotations

from afuic.erase.ledger import Contributor, client_of
from afuic.errors import UnknownClient
from afuic.params import Params, add, scale
from afuic.protocol.requests import Phase
from afuic.protocol.state import Rules, State


def count(rules: Rules) -> int:
    """G, the number of clusters; 1 without them."""
    return len(set(rules.clusters.values())) if rules.clusters else 1


def together(rules: Rules, one: str, other: str) -> bool:
    """Whether two clients are of one cluster; UnknownClient for one that has none although there are clusters."""
    if rules.clusters is None:
        return True
    for name in (one, other):
        if name not in rules.clusters:
            raise UnknownClient(f"client {name!r} belongs to no cluster; name it in Rules.clusters before it joins")
    return rules.clusters[one] == rules.clusters[other]


def members(rules: Rules, state: State, client: str) -> tuple[str, ...]:
    """The clients of ``client``'s cluster, itself included, in the order they joined."""
    return tuple(name for name in state.clients if together(rules, client, name))


def contributors(rules: Rules, state: State, client: str) -> tuple[Contributor, ...]:
    """Whoever put something into the model of ``client``'s cluster."""
    return tuple(name for name in state.ledger.clients if together(rules, client, client_of(name)))


def model(rules: Rules, state: State, client: str) -> Params:
    """The model that ``client`` trains from."""
    if rules.clusters is None:
        return state.model
    own = state.ledger.of(contributors(rules, state, client))
    return add(state.ledger.origin, scale(own, float(count(rules))))


def steps(rules: Rules, state: State, client: str) -> int:
    """Aggregation steps that the model of ``client``'s cluster has taken, from which staleness is counted."""
    if rules.clusters is None:
        return state.steps
    applied = sum(state.clients[name].applied for name in members(rules, state, client))
    return applied // (rules.aggregation.buffer if rules.aggregation.rule == "fedbuff" else 1)


def rebuilding(rules: Rules, state: State, client: str) -> bool:
    """Whether ``client`` trains anew because of a request."""
    return any(not r.plan.cluster or together(rules, r.client, client) for r in state.in_phase(Phase.REBUILDING))
