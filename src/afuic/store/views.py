"""What any process may do with a store, while its one writer works: read it, ask something of the server, note what was done."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select

from afuic.errors import StoreError
from afuic.params import Params
from afuic.store import asking, chain, reading, recovery, schema, writing
from afuic.store.blobs import Blobs
from afuic.store.database import RESTORE, Database
from afuic.store.rows import (
    AuditRow,
    CertificateRow,
    Command,
    ContributionRow,
    Head,
    MeasureRow,
    PurgeReport,
    QuarantineRow,
    RequestRow,
    Status,
    UncertifiedRow,
    VerificationRow,
    VersionRow,
    Watermark,
)
from afuic.store.witness import Witness, Witnessed, asked, standing

LIMIT = 100


class Views:
    """A federation's store in a folder and a database. ``federation``: its name; ``agreed``: digest of what its members agreed on.

    ``witness``: whom everything that is acknowledged of an erasure is told.
    """

    def __init__(self, database: Database, blobs: Blobs, witness: Witness | None = None) -> None:
        self._database, self._blobs, self._witness = database, blobs, witness
        with database.reading() as connection:
            row = connection.execute(select(schema.federation)).one()
        self.federation: str = row.name
        self.agreed: str = row.agreed
        self._theta0: str = row.theta0
        self._mark: str = row.mark
        blobs.require(row.mark)

    def ask(self, command: Command) -> tuple[Command, bool]:
        """Make a command durable (its ``id`` is given here); False where it was asked before with the same key, which changes nothing.

        Conflict where the key, or the id of a new request, was used for something else.
        """
        found = asking.ask(self._database, command)
        self.testify(asked(found[0]))
        return found

    def testify(self, *lines: Mapping[str, Any]) -> None:
        """Tell the witness these lines, but for requests that it knows, and how far the record is; durable when this returns.

        A store that is behind its witness says nothing of how far it is.
        """
        if self._witness is None:
            return
        known = self._witness.read()
        self._require_own(known)
        with self._database.reading() as connection:
            stand = standing(*recovery.stand(connection)) if recovery.forward(connection, known) else {}
        told = [line for line in lines if not known.knows(line)] or ([] if lines else [{"what": "head"}])
        begun = [] if known.store is not None else [{"what": "begun", "store": self._mark}]
        if told or begun:
            self._witness.note(*({"at": time.time(), **line, **stand} for line in (*begun, *told)))

    def _require_own(self, known: Witnessed) -> None:
        if self._witness is not None and known.store not in {None, self._mark}:
            raise StoreError(
                f"{self._witness.path}: is the witness of another store; name the right one in federation.toml (witness), or take it away"
            )

    def set_back(self) -> list[str]:
        """In what this store is behind its witness; nothing where it is not."""
        if self._witness is None:
            return []
        known = self._witness.read()
        self._require_own(known)
        with self._database.reading() as connection:
            return recovery.set_back(connection, known)

    def unfinished(self) -> set[str]:
        """Requests that were asked for again after a restore and have not been released yet."""
        if self._witness is None:
            return set()
        with self._database.reading() as connection:
            return recovery.unfinished(connection, self._witness.read())

    def watermark(self) -> Watermark:
        """How far this store has come, for hospitals to remember."""
        with self._database.reading() as connection:
            return recovery.watermark(connection)

    def contradiction(self, client: str, seen: Watermark) -> str | None:
        """In what this store is behind what it once told a hospital, which the witness then learns; None where it is not."""
        with self._database.reading() as connection:
            found = recovery.contradiction(connection, seen)
        if found is not None and self._witness is not None:
            stand = standing(seen.restored, Head(seen.links, seen.head))
            self._witness.note({"what": "heard", "at": time.time(), "from": client, "requests": seen.requests, **stand})
        return found

    def audit(self, at: float, who: str, role: str, action: str, subject: str, outcome: str) -> None:
        """Note who did what, and how it ended."""
        row = {"who": who, "role": role, "action": action, "subject": subject, "outcome": outcome}
        with self._database.writing() as connection:
            texts = {name: writing.plain(value) for name, value in row.items()}
            connection.execute(insert(schema.audit).values(at=at, **texts))

    def notice(self, client: str, task: str) -> None:
        """Note that the hospital should stop this task."""
        with self._database.writing() as connection:
            writing.upsert(connection, schema.notices, {"client": client, "task": task}, {"task": task})

    def notices(self, client: str) -> list[str]:
        """Tasks that the hospital should stop."""
        table = schema.notices
        with self._database.reading() as connection:
            query = select(table.c.task).where(table.c.client == client).order_by(table.c.task)
            return list(connection.execute(query).scalars())

    def clear(self, client: str, task: str | None = None) -> None:
        """The hospital need not be told of this task any more, or of any."""
        table = schema.notices
        mine = [table.c.client == client, *([] if task is None else [table.c.task == task])]
        with self._database.writing() as connection:
            connection.execute(delete(table).where(*mine))

    def clients(self) -> frozenset[str]:
        """Every hospital that ever took part, by name."""
        with self._database.reading() as connection:
            return frozenset(connection.execute(select(schema.clients.c.name)).scalars())

    def theta0(self) -> Params:
        """The initial model."""
        return self._blobs.get(self._theta0)

    def status(self) -> Status:
        """The federation at a glance."""
        held, free = self._blobs.size() + self._database.size(), self._blobs.free()
        with self._database.reading() as connection:
            return reading.status(connection, held, free)

    def measures(self, limit: int = LIMIT) -> list[MeasureRow]:
        """How versions of the model fared, the newest first."""
        with self._database.reading() as connection:
            return reading.measures(connection, limit)

    def requests(self) -> list[RequestRow]:
        """All erasure requests in the order in which they were asked for."""
        with self._database.reading() as connection:
            return reading.requests(connection)

    def request(self, request: str) -> RequestRow | None:
        """One request, if there is one of that id."""
        with self._database.reading() as connection:
            return next(iter(reading.requests(connection, request)), None)

    def versions(self) -> list[VersionRow]:
        """All versions of the model, the oldest first, those whose tensors are gone as well."""
        with self._database.reading() as connection:
            return reading.versions(connection)

    def version(self, number: int) -> VersionRow | None:
        """One version, if there is one of that number."""
        with self._database.reading() as connection:
            return next(iter(reading.versions(connection, number)), None)

    def model(self, number: int) -> Params:
        """The model of a version; StoreError where it is not kept or not what was written."""
        return self._blobs.get(self._kept(number))

    def model_path(self, number: int) -> Path:
        """The safetensors file of a version; StoreError where it is not kept."""
        return self._blobs.path(self._kept(number))

    def _kept(self, number: int) -> str:
        row = self.version(number)
        if row is None:
            raise StoreError(f"version {number}: there is none; 'afuic models list' says which there are")
        if not row.kept:
            raise StoreError(f"version {number}: its model is not kept any more (retention or a purge); its lineage is")
        return row.digest

    def contributions(self, client: str | None = None, limit: int = LIMIT) -> list[ContributionRow]:
        """Updates that entered or wait in a buffer, the newest first."""
        with self._database.reading() as connection:
            return reading.contributions(connection, client, limit)

    def quarantined(self, limit: int = LIMIT) -> list[QuarantineRow]:
        """What never entered, the newest first."""
        with self._database.reading() as connection:
            return reading.quarantined(connection, limit)

    def audited(self, limit: int = LIMIT, before: int | None = None) -> list[AuditRow]:
        """What was done through the API, the newest first; ``before``: only what is older than the row of this number."""
        with self._database.reading() as connection:
            return reading.audited(connection, limit, before)

    def head(self) -> Head:
        """The newest link of the record's chain."""
        with self._database.reading() as connection:
            return chain.head(connection)

    def holds(self, known: Head) -> bool:
        """Whether this was once the newest link of the record's chain."""
        with self._database.reading() as connection:
            return chain.holds(connection, known)

    def faults(self, most: int = 10) -> list[str]:
        """Where the tables are not what was written through this program: at most so many places, in words."""
        with self._database.reading() as connection:
            return list(itertools.islice(chain.faults(connection), most))

    def certificates(self) -> list[CertificateRow]:
        """All certificates in the order of their chain."""
        with self._database.reading() as connection:
            return reading.certificates(connection)

    def certificate(self, request: str) -> CertificateRow | None:
        """The request's certificate, if it has been issued."""
        with self._database.reading() as connection:
            return next(iter(reading.certificates(connection, request)), None)

    def verification(self, request: str) -> VerificationRow | None:
        """How the hospital's own verification ended; None where nothing is known of one."""
        with self._database.reading() as connection:
            return reading.verification(connection, request)

    def uncertified(self) -> list[UncertifiedRow]:
        """Requests that have ended and could not be certified, with the reason and how often it was tried."""
        with self._database.reading() as connection:
            return reading.uncertified(connection)

    def purge_report(self, request: str) -> PurgeReport | None:
        """What the request's purge removed; None before it has ended."""
        with self._database.reading() as connection:
            return reading.purge_report(connection, request)

    def scan(self, digests: Collection[str]) -> list[str]:
        """Those of ``digests`` that are in any file of the store, judged by content, and files that cannot be judged."""
        return self._blobs.found(digests)

    def check(self) -> float:
        """The ledger identity's gap at the last snapshot; StoreError names the first row or model that is not what was written."""
        if found := self.faults(1):
            raise StoreError(f"{self._database.name}: {found[0]} from outside; {RESTORE}")
        with self._database.reading() as connection:
            gap = float(connection.execute(select(schema.federation.c.identity_gap)).scalar_one())
            names = sorted(writing.used(connection))
        for name in names:
            self.check_model(name)
        return gap

    def needed(self) -> list[str]:
        """Digests of all models that something needs, the present one first."""
        with self._database.reading() as connection:
            now = str(connection.execute(select(schema.federation.c.digest)).scalar_one())
            return sorted(writing.used(connection), key=lambda name: (name != now, name))

    def check_model(self, name: str) -> None:
        """StoreError where a model that is still needed is missing or not what was written."""
        try:
            self._blobs.get(name)
        except StoreError:
            with self._database.reading() as connection:
                if writing.unused(connection, [name]):
                    return
            raise
