"""What must be true of every state, whatever happened: checked after each step in tests and by an operator's command."""

from __future__ import annotations

from afuic.erase.ledger import client_of
from afuic.errors import InvariantViolation
from afuic.protocol.requests import Phase
from afuic.protocol.state import State

TOLERANCE = 1e-4


def check(state: State) -> None:
    """Raise InvariantViolation, naming the first invariant that does not hold."""
    gap = state.ledger.residual(state.model)
    _require(gap < TOLERANCE, f"θ differs from θ_0 + ΣC_k + S by {gap:.2e}")
    owners = [t.client for t in state.tasks.values()]
    _require(len(owners) == len(set(owners)), "a client has two open tasks")
    for task in state.tasks.values():
        client = state.clients[task.client]
        _require(task.kind != "train" or client.fenced_by is None, f"{client.name} trains although it is fenced")
        _require(task.epoch == client.epoch or task.kind != "train", f"{client.name} trains on withdrawn patients")
    _check_requests(state)
    _check_ledger(state)


def _check_requests(state: State) -> None:
    for record in state.requests.values():
        held = (record.snapshot, record.scrubbed, record.direction)
        ended = record.phase.terminal or record.phase is Phase.PURGING
        _require(not ended or (all(h is None for h in held) and not record.teachers), f"{record.id} ended but holds models")
        _require((record.phase is Phase.SUPERSEDED) == (record.covered_by is not None), f"{record.id} is covered by nothing")
        released = record.phase in {Phase.GUARDING, Phase.PURGING, Phase.COMPLETED}
        _require(
            released == (record.released_version is not None), f"{record.id} is {record.phase.value} but its release is not"
        )
    healed = state.heal.requests if state.heal else ()
    _require(
        all(state.requests[r].phase is Phase.HEALING for r in healed), "a healing job works for a request that does not wait"
    )
    waits = state.in_phase(Phase.HEALING)
    _require(not waits or state.heal is not None, "a request waits for healing and nothing heals")


def _check_ledger(state: State) -> None:
    for record in state.requests.values():
        released = record.released_version is not None
        if released and record.plan.remove:
            left = set(record.gone) & set(state.ledger.clients)
            _require(not left, f"{record.id} was released but {sorted(left)} is still in the ledger")
    for c in state.buffer:
        client = state.clients[c.client]
        _require(client.fenced_by is None and c.epoch == client.epoch, f"{c.task} waits in the buffer although fenced")
    for name in state.ledger.clients:
        _require(client_of(name) in state.clients, f"the ledger names {name}, which never joined")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise InvariantViolation(what)
