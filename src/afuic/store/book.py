"""The durable truth of a deployment: one writer, the driver; many readers; commands from any process.

Every write is one transaction, after the tensors it names are on disk; it has happened when the method returns, whatever happens to the
process then. What is half-done when a process is killed is undone when the next one opens the book for writing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from afuic.document import parse_json
from afuic.errors import StoreError
from afuic.params import Params
from afuic.protocol import State
from afuic.protocol.effects import Effect
from afuic.protocol.events import Event
from afuic.scores import Measured, measured
from afuic.settings import Retention
from afuic.store import asking, chain, codec, purging, reading, recording, recovery, retention, schema, snapshots, writing
from afuic.store.blobs import Blobs, Stored, remove
from afuic.store.database import RESTORE, Database
from afuic.store.rows import CertificateRow, Command, MeasureRow, PurgeReport, Tip
from afuic.store.views import Views
from afuic.store.witness import Witness, Witnessed, asked

BLOBS = "blobs"
PAGE = 100
HANDFUL = 16
RECONCILE = "'afuic deploy reconcile' (docs/deployment/operate.md)"

log = logging.getLogger("afuic.store")

Traces = Callable[[Sequence[bytes]], Iterable[str]]


def nowhere(_: Sequence[bytes]) -> Iterable[str]:
    """Where nothing but the store ever has a copy."""
    return ()


class Book(Views):
    """A federation's store, open for reading or, by one process at a time, for writing."""

    _seq = 0
    _doubtful: str | None = None

    @classmethod
    def exists(cls, url: str | None, folder: Path) -> bool:
        """Whether there is a store; one whose making was cut short is none, and ``create`` makes it whole.

        StoreError where something of a store is there and its database is not: beginning anew would end in the loss of the rest.
        """
        database = Database(url, folder)
        try:
            if database.exists():
                return True
            _require_nothing(database, Blobs(folder / BLOBS))
            return False
        finally:
            database.close()

    @classmethod
    def create(
        cls, url: str | None, folder: Path, federation: str, agreed: str, theta0: Params, witness: Path | None = None
    ) -> Self:
        """A new store that holds the initial model, open for writing; StoreError if there is one already, or something of one.

        ``witness``: the folder of its witness, which must know of no other.
        """
        database, blobs = Database(url, folder), Blobs(folder / BLOBS)
        own = None if witness is None else Witness(witness)
        try:
            if own is not None and own.read().head.links:
                raise StoreError(
                    f"{own.path}: knows of a store that is not in {folder} and {database.name}; {RESTORE}, or take the witness away to "
                    f"begin a new federation"
                )
            database.exclude()
            if database.exists():
                raise StoreError(
                    f"{database.name}: there is a store already; choose another folder and database, or start its server"
                )
            _require_nothing(database, blobs)
            key = blobs.begin()
            database.upgrade()
            blobs.prepare()
            origin = blobs.put(theta0)
            with database.owning() as connection:
                _begin(connection, federation, agreed, origin, key)
            blobs.finish(key)
            book = cls(database, blobs, own)
            book.testify()
            return book
        except BaseException:
            database.close()
            raise

    @classmethod
    def open(
        cls, url: str | None, folder: Path, *, write: bool = False, witness: Path | None = None, tidy: bool = True
    ) -> Self:
        """The store in ``folder``; with ``write`` as its only writer, its tables brought up to this version.

        StoreError where there is none or only something of one, where it is of a newer version, or where another process writes.
        """
        database = Database(url, folder)
        try:
            if not database.exists():
                _require_nothing(database, Blobs(folder / BLOBS))
                raise StoreError(f"{database.name}: there is no store; start the server once, which makes it")
            if write:
                database.exclude()
                database.sound()
                database.upgrade()
            else:
                database.require_current()
            book = cls(database, Blobs(folder / BLOBS), None if witness is None else Witness(witness))
            if write:
                book._take_over(tidy)
            return book
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Let go of the store and of the writer's lock."""
        self._database.close()

    def tip(self) -> Tip:
        """Where the store stands after its last event."""
        with self._database.reading() as connection:
            row = connection.execute(select(schema.federation)).mappings().one()
        return Tip(row["seq"], row["t"], row["version"], row["digest"])

    def append(
        self, event: Event, before: State, after: State, effects: Iterable[Effect], *, at: float, command: int | None = None
    ) -> int:
        """Make an event durable with everything that follows from it, and the ``command`` it came of taken up; its number.

        Its tensors are on disk first. Where this raises, nothing has happened and the same append may be tried again; it is written once,
        even if it was only the answer to a commit that got lost.
        """
        effects, stored = tuple(effects), Stored(self._blobs)
        body = recording.body_of(recording.kept_part(event, before, effects), stored)
        carried = stored.digests
        model = stored(after.model) if after.version != before.version else None
        with self._trying(body), self._database.owning() as connection:
            seq, known = self._seq + 1, self._position(connection, body)
            if known is not None:
                entry = recording.Entry(seq, at, event, before, after, effects, body, carried, model or known)
                recording.write(connection, entry)
                if command is not None:
                    asking.take(connection, command)
        self._seq = seq
        return seq

    @contextmanager
    def _trying(self, body: str) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._doubtful = body
            raise
        self._doubtful = None

    def _position(self, connection: Connection, body: str) -> str | None:
        """The model's digest after the last event, if this one comes next; None if it is that one, its commit's answer having been lost."""
        row = connection.execute(select(schema.federation.c.seq, schema.federation.c.digest)).one()
        if row.seq == self._seq:
            return str(row.digest)
        events = schema.events
        last = connection.execute(select(events.c.body).where(events.c.seq == row.seq)).scalar_one_or_none()
        if row.seq == self._seq + 1 and last == body == self._doubtful:
            return None
        raise StoreError(f"{self._database.name}: has {row.seq} events where this process knows {self._seq}; start it again")

    def refuse(self, command: int, reason: str) -> None:
        """The server cannot do what was asked."""
        with self._database.owning() as connection:
            asking.refuse(connection, command, reason)

    def hold(
        self, task: str, client: str, reason: str, digest: str | None, norm: float | None, at: float | None = None
    ) -> None:
        """Note a result that the engine contained before it became an event; its tensors are not kept."""
        table = schema.quarantine
        row = {"task": task, "client": client, "digest": digest, "reason": writing.plain(reason)}
        with self._database.owning() as connection:
            if connection.execute(select(table.c.id).where(table.c.task == task, table.c.seq.is_(None))).first() is None:
                at = time.time() if at is None else at
                connection.execute(insert(table).values(seq=None, at=at, norm=norm, **row))
                failed = {"failed_at": at, "failure": row["reason"]}
                connection.execute(update(schema.clients).where(schema.clients.c.name == client).values(**failed))

    def measure(self, row: MeasureRow) -> None:
        """Keep how a version of the model fared."""
        with self._database.owning() as connection:
            values = {name: value for name, value in vars(row).items() if name != "version"}
            writing.upsert(connection, schema.measures, {"version": row.version}, values)

    def commands(self) -> list[Command]:
        """Commands that have not been taken up or refused, the oldest first."""
        with self._database.reading() as connection:
            return asking.waiting(connection)

    def heartbeat(self, at: float, halted: str | None = None) -> None:
        """Note that the server is alive; ``halted``: why it hands out no work."""
        with self._database.owning() as connection:
            beat = update(schema.federation).values(heartbeat_at=at, halted=halted)
            connection.execute(beat.execution_options(unchained=True))

    def checked(self, at: float, fault: str | None) -> None:
        """Note that the models were read, and what was found wrong with one."""
        with self._database.owning() as connection:
            noted = update(schema.federation).values(checked_at=at, fault=fault)
            connection.execute(noted.execution_options(unchained=True))

    def seen(self, task: str) -> bool:
        """Whether a result of this task is durable: as an event, or held and the task declared failed for it."""
        with self._database.reading() as connection:
            return reading.seen(connection, task)

    def snapshot(self, seq: int, state: State, opened: Any) -> None:
        """Keep the state after event ``seq`` and the work under way, so that a start need not replay what was before."""
        stored = Stored(self._blobs)
        body, gap = snapshots.encoded(state, opened, stored), state.ledger.residual(state.model)
        with self._database.owning() as connection:
            dropped = writing.doom(connection, snapshots.write(connection, seq, body, stored, gap))
        self._blobs.delete(dropped)

    def resume(self, classes: tuple[type, ...]) -> tuple[int, State | None, Any | None]:
        """The newest snapshot that can be read: its event's number, the state and the work under way; (0, None, None) without one.

        A snapshot that was damaged is passed over, and noted, where an older one with the events after it is still there. From here on
        events are appended after the last one that the store has, whatever this process believed before.
        """
        with self._database.reading() as connection:
            order = snapshots.sequence(connection)
            self._seq, self._doubtful = int(connection.execute(select(schema.federation.c.seq)).scalar_one()), None
        damaged: list[int] = []
        for seq in order:
            try:
                with self._database.reading() as connection:
                    found = snapshots.read(connection, seq, self._blobs, classes)
            except StoreError as error:
                if seq == order[-1]:
                    raise
                damaged.append(seq)
                self.audit(time.time(), "afuic", "server", "resume", f"snapshot {seq}", f"passed over: {error}")
            else:
                self._drop_snapshots(damaged)
                return (seq, *found)
        return 0, None, None

    def _drop_snapshots(self, numbers: list[int]) -> None:
        if numbers:
            with self._database.owning() as connection:
                dropped = writing.doom(connection, snapshots.drop(connection, numbers))
            self._blobs.delete(dropped)

    def events(self, after: int, classes: tuple[type, ...]) -> Iterator[tuple[int, Event]]:
        """Events after number ``after``, in order, with what they carried; StoreError where that is not kept any more."""
        for seq, event, _ in self.record(classes, self._blobs.get, after):
            yield seq, event

    def record(
        self, classes: tuple[type, ...], named: Callable[[str], Params], after: int = 0
    ) -> Iterator[tuple[int, Event, str]]:
        """Number, event and the model's digest after it, with ``named(digest)`` for what an event carried, which need not be kept."""
        table = schema.events
        query = select(table.c.seq, table.c.body, table.c.digest).order_by(table.c.seq).limit(PAGE)
        while True:
            with self._database.reading() as connection:
                page = connection.execute(query.where(table.c.seq > after)).all()
            for seq, body, digest in page:
                yield seq, codec.decode(parse_json(body), named, classes), digest
                after = seq
            if not page:
                return

    def sweep(self, policy: Retention) -> None:
        """Drop what the policy does not keep, so that the store's size is bounded."""
        with self._database.owning() as connection:
            dropped = writing.doom(connection, retention.sweep(connection, policy))
        self._blobs.delete(dropped)

    def purge(
        self, request: str, gone: tuple[str, ...], state: State, opened: Any, seq: int, elsewhere: Traces = nowhere
    ) -> PurgeReport:
        """Drop everything durable that contains the erased data, keeping ``state`` (after event ``seq``) and the work under way.

        Again after a crash: the report then says what both have removed. ``gone``: contributors, from the request's record.
        ``elsewhere``: where copies may be that are not the store's own; given pieces of what goes, it says what it could not get rid of.
        """
        stored = Stored(self._blobs)
        body, gap = snapshots.encoded(state, opened, stored), state.ledger.residual(state.model)
        with self._database.owning() as connection:
            versions = purging.tainted(connection, request, gone)
            dropped = snapshots.write(connection, seq, body, stored, gap, keep=1) | purging.drop(connection, versions, seq)
            dropped = writing.doom(connection, dropped)
            unreachable = purging.reachable_still(connection, versions, state, opened)
            removed = purging.begin(connection, request, self._blobs.sizes(dropped), unreachable)
        pieces = self._blobs.pieces(dropped)
        self._blobs.delete(dropped)
        places, left, at = elsewhere(pieces), self.scan(removed), time.time()
        with self._database.owning() as connection:
            purging.finish(connection, request, left, at, places)
            return purging.report(connection, request)

    def certify(self, request: str, envelope: str, digest: str, at: float) -> CertificateRow:
        """Append a certificate to the chain; a request has one, so that a second is not written and the first comes back."""
        with self._database.owning() as connection:
            known = reading.certificates(connection)
            mine = next((row for row in known if row.request == request), None)
            if mine is None:
                mine = CertificateRow(len(known), request, envelope, digest, at)
                connection.execute(insert(schema.certificates).values(**vars(mine)))
                connection.execute(delete(schema.uncertified).where(schema.uncertified.c.request == request))
        self.testify({"what": "certified", "request": request, "number": mine.number, "digest": mine.digest})
        return mine

    def put_off(self, request: str, why: str, at: float) -> int:
        """Note why a request that has ended could not be certified; how often that was tried by now."""
        table = schema.uncertified
        with self._database.owning() as connection:
            known = connection.execute(select(table.c.tries).where(table.c.request == request)).scalar_one_or_none()
            tries = (known or 0) + 1
            writing.upsert(connection, table, {"request": request}, {"why": writing.plain(why), "tries": tries, "at": at})
        return tries

    def record_verification(self, request: str, client: str, found: Measured | str, at: float) -> None:
        """Keep what the hospital measured of the released model, or why it measured nothing; ScoresError where these are no scores."""
        numbers, why = ({}, writing.plain(found)) if isinstance(found, str) else (measured(found), "")
        with self._database.owning() as connection:
            values = {"client": client, "numbers": dict(numbers), "at": at, "why": why}
            writing.upsert(connection, schema.verifications, {"request": request}, values)

    def _take_over(self, tidy: bool) -> None:
        """Begin where the last writer ended, and undo what it had left half-done.

        StoreError where more files are unnamed than one process can have begun: then the database is not these files' own.
        """
        with self._database.reading() as connection:
            needed, late = writing.used(connection), set(connection.execute(select(schema.doomed.c.digest)).scalars())
            row = connection.execute(select(schema.federation)).mappings().one()
            most = HANDFUL + 4 * _count(connection, schema.clients) + _last_snapshot(connection)
        self._seq = int(row["seq"])
        self._blobs.finish(row["mark"])
        if not tidy or self.set_back():
            return
        self._blobs.delete(late - needed)
        unnamed = self._blobs.unnamed(needed)
        if len(unnamed) > most:
            raise StoreError(
                f"{self._blobs.folder}: {len(unnamed)} files are named by no row of {self._database.name}, more than a killed process can "
                f"have begun, so that nothing is deleted: the database is older than the folder, or another's; {RESTORE}, or have them "
                f"deleted with 'afuic deploy reconcile --unnamed'"
            )
        for path in unnamed:
            remove(path)

    def standstill(self) -> str | None:
        """Why no work may be handed out from this store; None where it may, and the witness then knows all that the store does."""
        if broken := self.faults():
            return f"the record does not fit: {'; '.join(broken)}: changed from outside of afuic; {RESTORE}, or see {RECONCILE}"
        if behind := self.set_back():
            return f"the store is behind what it was: {'; '.join(behind)}; it was set back to an older copy, see {RECONCILE}"
        self._miss_witness()
        with self._database.reading() as connection:
            commands = [asked(command) for command in asking.all_of(connection)]
            certificates = reading.certificates(connection)
        issued = [{"what": "certified", "request": c.request, "number": c.number, "digest": c.digest} for c in certificates]
        self.testify(*commands, *issued)
        self.testify()
        return None

    def _miss_witness(self) -> None:
        """Say where the witness of a store that is not new knows nothing: whether the store was set back cannot be told then."""
        if self._witness is not None and self._witness.read().store is None:
            said = "knew nothing and begins with what the store says now: whether that was set back, only hospitals can tell"
            log.warning("%s: %s", self._witness.path, said)
            self.audit(time.time(), "afuic", "server", "begin witness", str(self._witness.path), said)

    def reconcile(self, waived: Mapping[str, str], accept: str | None, unnamed: bool, at: float) -> list[str]:
        """Put right what ``standstill`` complains of, and say what was done; nothing is done where anything of it cannot be.

        Requests that the witness knows and the store does not are asked for again, or, where ``waived`` gives a reason, left for good.
        ``accept``: why rows that were changed from outside are to count as they are; ``unnamed``: delete files that no row names.
        """
        known = Witnessed() if self._witness is None else self._witness.read()
        self._require_own(known)
        broken, behind, done = self.faults(), self.set_back(), list[str]()
        if broken and accept is None:
            raise StoreError(f"the record does not fit: {'; '.join(broken)}; {RESTORE}, or accept them by name (--accept)")
        with self._database.reading() as connection:
            asks, left = recovery.missing(connection, known, waived)
        if self._witness is not None and asks:
            self._witness.note(*({"what": "again", "at": at, "request": request} for request in asks))
        with self._database.owning() as connection:
            for request in asks:
                recovery.ask_again(connection, request, known)
                done.append(f"{request}: asked for again")
            for request in left:
                why = waived.get(request, "withdrawn before the store was restored")
                recovery.leave(connection, request, known, f"not asked for again after a restore: {why}", at)
                done.append(f"{request}: left, {why}")
            if behind:
                recovery.rise(connection, known)
                done.append("the store counts as restored from here on")
            for outcome in (*done, *(f"accepted as it is ({accept}): {fault}" for fault in broken)):
                row = {
                    "who": "afuic",
                    "role": "server",
                    "action": "reconcile",
                    "subject": "store",
                    "outcome": writing.plain(outcome),
                }
                connection.execute(insert(schema.audit).values(at=at, **row))
        if broken and accept is not None:
            with self._database.owning() as connection:
                chain.anew(connection, accept)
            done += [f"accepted: {fault}" for fault in broken]
        self.testify()
        if unnamed:
            paths = self._blobs.unnamed(self.needed())
            for path in paths:
                remove(path)
            done.append(f"{len(paths)} files that no row names: deleted")
        return done


def _require_nothing(database: Database, blobs: Blobs) -> None:
    """StoreError where a database without a federation stands beside something of a store, or is itself what is left of one."""
    making = blobs.empty() and blobs.begun()
    if not blobs.empty() or (database.begun() and not making):
        raise StoreError(
            f"{blobs.folder.parent}: holds something of a store, but {database.name} holds no federation: it is missing, empty or another; "
            f"nothing is begun anew over it. Name the right database in federation.toml, or {RESTORE}"
        )


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _last_snapshot(connection: Connection) -> int:
    """How many models the newest snapshot needs: the next may have needed as many, and have been cut short."""
    numbers = snapshots.sequence(connection)[:1]
    uses = schema.uses
    mine = (uses.c.kind == "snapshot", uses.c.number.in_(numbers))
    return int(connection.execute(select(func.count()).select_from(uses).where(*mine)).scalar_one())


def _begin(connection: Connection, federation: str, agreed: str, origin: str, key: str) -> None:
    now = time.time()
    none = dict.fromkeys(("seq", "t", "version", "step", "applied", "quarantined", "lost", "identity_gap", "restored"), 0)
    row = {"id": 1, "name": federation, "agreed": agreed, "mark": key, "theta0": origin, "created_at": now, "digest": origin}
    connection.execute(insert(schema.federation).values(**none, **row))
    first = {"version": 0, "seq": 0, "step": 0, "t": 0.0, "at": now, "digest": origin, "why": "initial"}
    connection.execute(insert(schema.versions).values(**first, contributors=[], taught_by=[], kept=True))
    writing.use(connection, "version", 0, [origin])
    writing.use(connection, "origin", 0, [origin])
