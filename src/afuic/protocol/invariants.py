"""What must be true of every state, whatever happened: checked after each step in tests and by an operator's command."""

from __future__ import annotations

from afuic.erase.ledger import client_of
from afuic.erase.rounds import SERVER
from afuic.errors import InvariantViolation
from afuic.protocol.requests import BUSY, Phase, Work
from afuic.protocol.state import State

TOLERANCE = 1e-4


def check(state: State) -> None:
    """Raise InvariantViolation, naming the first invariant that does not hold."""
    gap = state.ledger.residual(state.model)
    _require(gap < TOLERANCE, f"θ differs from θ_0 + ΣC_k + S by {gap:.2e}")
    owners = [t.client for t in state.tasks.values()]
    _require(len(owners) == len(set(owners)), "a client has two open tasks")
    for task in (t for t in state.tasks.values() if t.client != SERVER):
        client = state.clients[task.client]
        _require(task.kind != "train" or client.fenced_by is None, f"{client.name} trains although it is fenced")
        _require(task.epoch == client.epoch or task.kind != "train", f"{client.name} trains on withdrawn patients")
    _check_requests(state)
    _check_rounds(state)
    _check_ledger(state)


def _check_requests(state: State) -> None:
    for record in state.requests.values():
        held = (record.snapshot, record.scrubbed, record.direction, record.work)
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


def _check_rounds(state: State) -> None:
    busy = state.in_phase(*BUSY)
    _require(not state.in_phase(Phase.WORKING) or len(busy) == 1, "a request works in rounds while another is worked on")
    _require(bool(busy) or not state.in_phase(Phase.WAITING), "a request waits for nothing")
    if state.paused:
        _require(all(t.kind == "order" for t in state.tasks.values()), "somebody trains although training is paused")
        still = state.guard is None and state.ahead is None and not state.buffer
        _require(still, "the model may change although training is paused")
    for task in (t for t in state.tasks.values() if t.kind == "order"):
        request = state.requests[task.request or ""]
        _require(request.work is not None and task.client in request.work.open, f"{task.id} answers nothing that is asked")
        fence = None if task.client == SERVER else state.clients[task.client].fenced_by
        _require(fence in {None, request.id}, f"{task.id} was ordered from a client that another request has fenced")
    for record in state.requests.values():
        _require((record.work is not None) == (record.phase is Phase.WORKING), f"{record.id} works without a round, or not")
        if record.work is not None:
            _check_work(state, record.id, record.work)


def _check_work(state: State, request: str, work: Work) -> None:
    _require(work.version == state.version, f"the model has changed while {request} worked in rounds")
    _require(bool(work.open) and work.failed is None, f"{request} works in rounds and waits for nobody")
    idle = [name for name in work.open if state.task_of(name) is None]
    _require(all(not state.clients[name].online for name in idle), f"{request} has asked nothing of {idle}")
    _require(not idle or work.until is not None, f"{request} waits for {idle} for ever")


def _check_ledger(state: State) -> None:
    for record in state.requests.values():
        released = record.released_version is not None
        if released and record.plan.remove:
            left = set(record.gone) & set(state.ledger.clients)
            _require(not left, f"{record.id} was released but {sorted(left)} is still in the ledger")
        kept = {p.contributor for p in state.history} & set(record.gone) if released else ()
        _require(not kept, f"{record.id} was released but the history still has updates of {sorted(kept)}")
    for c in state.buffer:
        client = state.clients[c.client]
        _require(client.fenced_by is None and c.epoch == client.epoch, f"{c.task} waits in the buffer although fenced")
    for name in state.ledger.clients:
        _require(client_of(name) in state.clients, f"the ledger names {name}, which never joined")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise InvariantViolation(what)
