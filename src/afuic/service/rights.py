"""Who may ask for what and see what: pure decisions, so that they can be read and tested as one table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from afuic.service.schemas import Ask
from afuic.service.tokens import Caller
from afuic.store.rows import RequestRow, Status, VersionRow
from afuic.text import unnamed

LIFTED = frozenset({"withdrawn", "refused", "superseded"})
"""Phases of a request that by itself fences nobody."""
TAKEN_BACK = frozenset({"asked", "waiting", "scrubbing", "healing", "working"})
"""Phases in which a request can be withdrawn: nothing has been released yet."""
ENDED = frozenset({"completed", "failed", "refused", "superseded", "withdrawn"})

UNCERTIFIED = "the server could not make its certificate; the server's operator sees why"
"""What a hospital is told: the reason may name the server's own files."""


def against_asking(caller: Caller, ask: Ask) -> str | None:
    """Why this caller may not ask for it; None where it may."""
    if caller.role == "auditor":
        return "an auditor reads and asks for nothing; use an operator's or the hospital's own token"
    if caller.role == "operator" and ask.patients is not None:
        return "only the hospital itself can ask for its patients; run afuic erase --patients there"
    if caller.role == "hospital" and ask.client != caller.hospital:
        return "a hospital can ask only for itself; use that hospital's own token, or an operator's"
    return None


def against_withdrawing(caller: Caller, row: RequestRow) -> str | None:
    """Why this caller may not take the request back: an operator may an operator's, a hospital only its own."""
    own = row.who.startswith("operator:") if caller.role == "operator" else row.who == caller.who
    if caller.role == "auditor" or not own:
        return "only who asked can take a request back; use a token of the operators or of the hospital that asked"
    return None


def objection(ask: Ask, earlier: Iterable[RequestRow], contributors: Iterable[str]) -> str | None:
    """Why asking for it contradicts what was asked before; None where nothing does. ``contributors``: those of the newest model.

    A hospital may have refined the model after its erasure: then there is something of it, and it can be erased again.
    """
    left = ask.patients is None and any(name.rpartition("@")[0] == ask.client for name in contributors)
    for row in earlier:
        if row.client != ask.client or row.phase in {"withdrawn", "refused"}:
            continue
        if ask.salted is not None and row.salted == ask.salted:
            return f"these patients were asked for before, in request {row.id}; nothing was changed"
        if row.patients is None and row.phase in {"guarding", "purging", "completed"} and not left:
            return f"{ask.client} has been erased as a whole by request {row.id}; nothing of it is left to remove"
    return None


def visible(caller: Caller, row: RequestRow) -> bool:
    """Whether the caller may see the request: a hospital only those that concern itself."""
    return caller.role != "hospital" or row.client == caller.hospital


def fenced(hospital: str, rows: Iterable[RequestRow]) -> bool:
    """Whether the hospital is being erased, or has been, from the moment that it was asked for."""
    return any(row.client == hospital and row.patients is None and row.phase not in LIFTED for row in rows)


def told(caller: Caller, row: RequestRow, hospitals: Iterable[str]) -> RequestRow:
    """The request as the caller may read it: in whatever sentence a hospital reads no other hospital is named."""
    if caller.role != "hospital":
        return row
    others = {name for name in hospitals if name != caller.hospital}
    history = tuple({**move, "reason": unnamed(str(move["reason"]), others)} for move in row.history)
    held = None if row.uncertified is None else UNCERTIFIED
    notes = tuple(unnamed(note, others) for note in row.notes)
    beside = None if row.beside is None else {k: v for k, v in row.beside.items() if k not in {"cosines", "against"}}
    return replace(row, reason=unnamed(row.reason, others), notes=notes, history=history, uncertified=held, beside=beside)


def lineage(caller: Caller, row: VersionRow, rows: Iterable[RequestRow]) -> VersionRow:
    """A version as the caller may see it: a hospital's own contributors by name, the other hospitals counted; its own requests alone."""
    if caller.role != "hospital":
        return row
    contributors, others = _own(caller, row.contributors)
    taught_by, teachers = _own(caller, row.taught_by)
    pinned = tuple(request.id for request in rows if request.id in row.pinned_by and visible(caller, request))
    found = replace(row, contributors=contributors, taught_by=taught_by, pinned_by=pinned)
    return replace(found, other_contributors=others, other_taught_by=teachers)


def _own(caller: Caller, names: Iterable[str]) -> tuple[tuple[str, ...], int]:
    """Its own contributors, and how many other hospitals there are."""
    clients = {name: name.rpartition("@")[0] for name in names}
    own = tuple(name for name, client in clients.items() if client == caller.hospital)
    return own, len(set(clients.values()) - {caller.hospital})


def seen_by(caller: Caller, status: Status, rows: Iterable[RequestRow], hospitals: Iterable[str]) -> Status:
    """The federation at a glance; a hospital sees no other hospital's row nor its requests, and no sentence names one."""
    if caller.role != "hospital":
        return status
    own = {row.id for row in rows if visible(caller, row)}
    clients = tuple(client for client in status.clients if client.name == caller.hospital)
    held = {request: UNCERTIFIED for request in status.uncertified if request in own}
    pending, doubtful = (tuple(r for r in listed if r in own) for listed in (status.pending, status.doubtful))
    others = {name for name in hospitals if name != caller.hospital}
    halted, fault = (None if said is None else unnamed(said, others) for said in (status.halted, status.fault))
    found = replace(status, clients=clients, pending=pending, uncertified=held, doubtful=doubtful)
    return replace(found, halted=halted, fault=fault)
