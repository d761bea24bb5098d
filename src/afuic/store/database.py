"""One database by URL, SQLite or PostgreSQL: transactions that are durable when they return, the schema, and the writer's lock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from afuic.document import parse_json
from afuic.errors import JsonError, StoreError
from afuic.store import chain, schema
from afuic.store.files import holding

FILE = "afuic.db"
RESTORE = "restore the store from a backup, database and folder together (docs/deployment/operate.md)"
BUSY_MS = 30_000
LOCK_KEY = 0x6166756963
LOCK_PATIENCE_S = 5.0
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}", "foreign_keys=ON")


class Database:
    """Connections to one database. Every error of it comes as a StoreError that names the database, never its password."""

    def __init__(self, url: str | None, folder: Path) -> None:
        self.folder, self.url = folder, address(url, folder)
        self.name = self.url.render_as_string(hide_password=True)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite(self.url) if self.sqlite else _postgresql(self.url)
        chain.listen(self.engine)
        self._held = ExitStack()
        self._session: Connection | None = None
        self._exclusive = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database."""
        level = {} if self.sqlite else {"isolation_level": "REPEATABLE READ"}
        with self._speaking(), self.engine.connect() as connection, connection.execution_options(**level).begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is durable at the end of the block, or has not happened where the block or its commit raises.

        It ends with its link in the record's chain.

        Where the connection broke during the commit, StoreError does not say which; the store's own numbers do (``Book.append``).
        """
        touched = chain.Touched()
        with self._writing(touched) as connection:
            yield connection
            chain.extend(connection, touched)

    @contextmanager
    def _writing(self, touched: chain.Touched | None) -> Iterator[Connection]:
        with self._speaking(), ExitStack() as stack:
            connection = self._owned() if self._exclusive and not self.sqlite else stack.enter_context(self.engine.connect())
            with connection.execution_options(writing=True, touched=touched).begin():
                yield connection

    @contextmanager
    def owning(self) -> Iterator[Connection]:
        """A transaction that only the one writer may make."""
        if not self._exclusive:
            raise StoreError(f"{self.name}: is open for reading; only the server writes there")
        with self.writing() as connection:
            yield connection

    def exclude(self) -> None:
        """Be the only writer from now until ``close`` or the end of the process; StoreError while another is."""
        self._held.enter_context(holding(self.folder))
        self._exclusive = True
        if not self.sqlite:
            with self._speaking():
                self._owned()

    def close(self) -> None:
        """Let go of everything."""
        if self._session is not None:
            self._session.close()
        self.engine.dispose()
        self._held.close()

    def size(self) -> int:
        """Bytes that the database takes."""
        if self.sqlite:
            base = Path(str(self.url.database))
            return sum(p.stat().st_size for p in base.parent.glob(f"{base.name}*") if p.is_file())
        with self.reading() as connection:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())

    def begun(self) -> bool:
        """Whether there is anything, were it an empty file; nothing is made by asking."""
        if self.sqlite:
            return Path(str(self.url.database)).exists()
        with self.reading() as connection:
            return inspect(connection).has_table("federation")

    def exists(self) -> bool:
        """Whether there is a database that holds a federation; a SQLite file is not made by asking."""
        if not self.begun():
            return False
        with self.reading() as connection:
            table = schema.federation
            known = inspect(connection).has_table(table.name)
            return known and connection.execute(select(table.c.id)).first() is not None

    def sound(self) -> None:
        """StoreError where the database's own file is damaged, as far as it can say so itself."""
        if self.sqlite:
            with self.reading() as connection:
                said = str(connection.execute(text("PRAGMA quick_check(1)")).scalar_one())
            if said != "ok":
                raise StoreError(f"{self.name}: is damaged ({' '.join(said.split())}); {RESTORE}")

    def upgrade(self) -> None:
        """Bring the tables to this version; StoreError for those of a newer one. All of it happens, or nothing.

        Rows that were as the record's chain says are so afterwards, and others are not; a store without a chain begins one.
        """
        with self._writing(None) as connection:
            if self._current(connection) == _scripts().get_current_head():
                return
            tables = MetaData()
            tables.reflect(connection, only=[t for t in inspect(connection).get_table_names() if t in schema.metadata.tables])
            known = [table for table in tables.sorted_tables if chain.chained(schema.metadata.tables[table.name])]
            before = chain.kept(connection, known) if "chain" in tables.tables else None
            rows = chain.present(connection, known)
            command.upgrade(_migrations(connection), "head")
            if before is not None:
                chain.relink(connection, before, rows)
            elif rows:
                chain.anew(connection, "a store of before there was a chain")

    def require_current(self) -> None:
        """StoreError unless the tables are those of this version."""
        with self.reading() as connection:
            if self._current(connection) != _scripts().get_current_head():
                raise StoreError(f"{self.name}: its tables are of an older afuic; start the server once, which brings them up")

    def _current(self, connection: Connection) -> str | None:
        found = MigrationContext.configure(connection).get_current_revision()
        if found is not None and found not in {s.revision for s in _scripts().walk_revisions()}:
            raise StoreError(
                f"{self.name}: its tables are of a newer afuic (schema {found}); install that version or a later one"
            )
        return found

    def _owned(self) -> Connection:
        """The connection that holds PostgreSQL's lock. A lock goes with its connection, so a new connection takes it anew."""
        if self._session is not None and self._session.invalidated:
            self._session.close()
            self._session = None
        if self._session is None:
            self._session = self._locked(self.engine.connect())
        return self._session

    def _locked(self, connection: Connection) -> Connection:
        """A killed writer's session may outlive it for a moment, so another is believed only after a while."""
        until = time.monotonic() + LOCK_PATIENCE_S
        while not connection.execute(text(f"SELECT pg_try_advisory_lock({LOCK_KEY})")).scalar_one():
            connection.rollback()
            if time.monotonic() > until:
                connection.close()
                raise StoreError(f"{self.name}: another server writes there; stop it, or give this one a database of its own")
            time.sleep(0.1)
        connection.commit()
        return connection

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StoreError(f"{self.name}: {_reason(error)}") from error
        except JsonError as error:
            raise StoreError(f"{self.name}: a row holds what is none of ours ({error}); {RESTORE}") from error
        except SQLAlchemyError as error:
            raise StoreError(f"{self.name}: cannot be used ({' '.join(str(error).split())})") from error


def address(url: str | None, folder: Path) -> URL:
    """The URL with its driver; without one, SQLite in ``folder``. StoreError for any other database."""
    if url is None:
        return URL.create("sqlite", database=str(folder.resolve() / FILE))
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(
            "database: not a URL; write postgresql://user:password@host/name, or leave it out for SQLite"
        ) from None
    backend = parsed.drivername.partition("+")[0]
    if backend == "sqlite" and parsed.database:
        return parsed.set(drivername="sqlite", database=str(Path(parsed.database).resolve()))
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    raise StoreError(f"database: {parsed.drivername!r} is not supported; write postgresql://…, or leave it out for SQLite")


def _reason(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    said = lines[0]
    if "disk is full" in said or "No space left" in said:
        return f"the disk is full ({said}); free space and go on, nothing of this was written"
    if "malformed" in said or "not a database" in said:
        return f"is damaged ({said}); {RESTORE}"
    if "locked" in said:
        return f"busy for {BUSY_MS // 1000} s ({said}); another process holds it, stop that one"
    return f"cannot be used ({said})"


def _sqlite(url: URL) -> Engine:
    """Durable at each commit. Transactions begin when told to, and writing ones at once, so that none has to be given up half-way."""
    engine = create_engine(url, connect_args={"check_same_thread": False}, json_deserializer=parse_json)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgresql(url: URL) -> Engine:
    """Durable at each commit, whatever the server's own default is."""
    engine = create_engine(url, pool_pre_ping=True, json_deserializer=parse_json)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
        connection.commit()

    return engine


def _migrations(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_migrations())
