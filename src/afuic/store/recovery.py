"""A store that was set back: how that is found out, by what the witness and hospitals know, and how it is put right by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from afuic.errors import ConfigError, StoreError
from afuic.store import asking, chain, schema, witness
from afuic.store.retention import TERMINAL
from afuic.store.rows import Head, Watermark
from afuic.store.witness import Witnessed
from afuic.store.writing import plain

UNKNOWN = "unknown"


def stand(connection: Connection) -> tuple[int, Head]:
    """How often the store was restored, and its record's newest link."""
    return int(connection.execute(select(schema.federation.c.restored)).scalar_one()), chain.head(connection)


def watermark(connection: Connection) -> Watermark:
    """How far the store has come, sealed."""
    restored, head = stand(connection)
    store = connection.execute(select(schema.federation.c.mark)).scalar_one()
    return witness.sealed(store, Watermark(restored, head.links, head.head, tuple(sorted(_requests(connection)))))


def set_back(connection: Connection, known: Witnessed) -> list[str]:
    """In what the store is behind what is ``known``; nothing where it is not."""
    (restored, head), missing = stand(connection), sorted(known.requests.keys() - _requests(connection))
    found = [f"request {request}, {_of(known.requests[request])}, is not in the store" for request in missing]
    if restored < known.restored or (restored == known.restored and not chain.holds(connection, known.head)):
        found.insert(0, f"its record has {head.links} links, and not the one that was link {known.head.links}")
    return found


def forward(connection: Connection, known: Witnessed) -> bool:
    """Whether what the store holds goes on from what is known."""
    restored, _ = stand(connection)
    return restored > known.restored or (restored == known.restored and chain.holds(connection, known.head))


def contradiction(connection: Connection, seen: Watermark) -> str | None:
    """In what this store is behind what it once said to a hospital; None where it is not, or never said so."""
    store = connection.execute(select(schema.federation.c.mark)).scalar_one()
    if not witness.genuine(store, seen):
        return None
    known = Witnessed(store, seen.restored, Head(seen.links, seen.head), {request: {} for request in seen.requests})
    return "; ".join(set_back(connection, known)) or None


def unfinished(connection: Connection, known: Witnessed) -> set[str]:
    """Requests that were asked for again after a restore and have not been released or ended otherwise yet."""
    table = schema.requests
    query = select(table.c.id).where(table.c.released_version.is_(None), table.c.phase.not_in(TERMINAL))
    return set(connection.execute(query).scalars()) & known.again


def missing(connection: Connection, known: Witnessed, waived: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Requests to ask for again and requests to leave, of those that the store does not know.

    ConfigError where one that is waived is not missing; StoreError where one can be neither asked for again nor is waived.
    """
    gone = known.requests.keys() - _requests(connection)
    if strange := sorted(waived.keys() - gone):
        raise ConfigError(f"--waive: {', '.join(strange)}: the store lacks no such request")
    left = {request for request in gone if request in waived or request in known.withdrawn}
    lost = sorted(request for request in gone - left if not known.requests[request])
    if lost:
        raise StoreError(
            f"{', '.join(lost)}: only hospitals know of it, by its id; ask for that erasure again in the same words ('afuic erase', which "
            f"gives it the same id) while the server runs, or waive it by name"
        )
    return sorted(gone - left), sorted(left)


def ask_again(connection: Connection, request: str, known: Witnessed) -> None:
    """Put the request in once more, under its own id and key."""
    asking.put(connection, witness.again(request, known.requests[request]))


def leave(connection: Connection, request: str, known: Witnessed, why: str, at: float) -> None:
    """Let the store know the request as one that is not carried out, and why."""
    told = {"client": UNKNOWN, "patients": None, "salted": None, "who": UNKNOWN, "asked_at": at} | known.requests[request]
    row: dict[str, Any] = {name: told[name] for name in ("client", "patients", "salted", "who", "asked_at")}
    said = {"reason": "", "phase": "refused", "notes": [plain(why)]}
    connection.execute(insert(schema.requests).values(id=request, **row, **said))


def rise(connection: Connection, known: Witnessed) -> None:
    """From here on the store is not the one that it was set back from."""
    restored, _ = stand(connection)
    connection.execute(update(schema.federation).values(restored=max(restored, known.restored) + 1))


def _requests(connection: Connection) -> set[str]:
    return set(connection.execute(select(schema.requests.c.id)).scalars())


def _of(line: Mapping[str, Any]) -> str:
    if not line:
        return "of which a hospital knows"
    return f"for {'the whole' if line['patients'] is None else 'patients'} of {line['client']}"
