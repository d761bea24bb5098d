"""The commands that ask a running federation: erase, requests, status, certificate. ``models`` has those about its models."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from afuic.cli.common import dump, output, say
from afuic.cli.finding import Authority, Home, Server, TokenFile, client, site
from afuic.errors import ConfigError, ServiceError, Unreachable

if TYPE_CHECKING:
    from afuic.service.client import Client
    from afuic.service.schemas import Ask
    from afuic.settings import Site
    from afuic.store.rows import AuditRow, ProcessRow, RequestRow

T = TypeVar("T")
PAUSE_S, MOST_ROWS = 2.0, 1000

Id = Annotated[str, typer.Argument(metavar="ID", help="A request's id.")]


def erase(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the record and the certificate; no patient's name.")],
    client_: Annotated[
        str | None, typer.Option("--client", metavar="NAME", help="The hospital.", show_default="the folder's own")
    ] = None,
    patients: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv", help="Only these patients of it; at the hospital itself.", show_default="the whole hospital"
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Your own name for the request: twice is once.", show_default="made of what is asked"),
    ] = None,
    server: Server = None,
    token: TokenFile = None,
    ca: Authority = None,
    home: Home = None,
) -> None:
    """Ask that a hospital, or some of its patients, be erased from the model. Patients' ids never leave the hospital."""
    from afuic.service.client import idempotency_key

    own = site(home)
    name = client_ or (own.name if own else None)
    if name is None:
        raise ConfigError(
            "--client: name the hospital that is to be erased; only in a hospital's own folder it may be left out"
        )
    here = own if own and own.name == name else None
    if patients is not None and here is None:
        raise ConfigError(f"--patients: run this at {name}, in the folder with its hospital.toml; no patient's id leaves it")
    plain = _ask(name, reason)
    with client(server, token, ca, home) as connection:
        if key is not None:
            idempotency_key(key)
        wanted, own_key = (plain, _key(plain)) if here is None else _withdrawn(here, reason, patients)
        try:
            _erase(connection, wanted, key or own_key)
        except ServiceError as error:
            if here is not None:
                error.args = (f"{error}; at this hospital it is in force already",)
            raise


def _withdrawn(here: Site, reason: str, patients: Path | None) -> tuple[Ask, str]:
    """What is sent, and its key. At the hospital itself it is in force from here on, whether or not the server can be reached."""
    from afuic.data.tables import read_ids
    from afuic.engines.hospital import withdrawals

    now = time.time()
    asked = withdrawals.withdraw_all(here, now) if patients is None else withdrawals.withdraw(here, read_ids(patients), now)
    return _ask(here.name, reason, asked.patients, asked.salted), asked.key


def _ask(name: str, reason: str, patients: int | None = None, salted: str | None = None) -> Ask:
    from pydantic import ValidationError

    from afuic.service.schemas import Ask

    try:
        return Ask(client=name, reason=reason, patients=patients, salted=salted)
    except ValidationError as error:
        places = {str(item["loc"][0]): item["msg"] for item in error.errors() if item["loc"]}
        raise ConfigError("; ".join(f"--{place}: {said}" for place, said in places.items())) from None


def _erase(connection: Client, ask: Ask, key: str) -> None:
    say(f"key {key}: the same command again is the same request", err=True)
    row, new = connection.erase(ask, key)
    if not new:
        say(f"{row.id} was asked for on an earlier call and is {row.phase}; a new request needs another --key", err=True)
    _print(row)
    say(f"follow it with: afuic requests {row.id} --watch", err=True)


def _key(ask: Ask) -> str:
    """A key that is the same for the same request, so that a command repeated after a lost connection asks nothing new."""
    return "erase-" + hashlib.sha256(ask.model_dump_json().encode()).hexdigest()[:32]


def requests(
    id_: Annotated[str | None, typer.Argument(metavar="ID", help="Only this request.", show_default="all")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on telling until the request, or all of them, have ended.")
    ] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the request back; possible until the release.")] = False,
    server: Server = None,
    token: TokenFile = None,
    ca: Authority = None,
    home: Home = None,
) -> None:
    """Tell how far erasure requests are; with an id, one of them with its history."""
    if withdraw and id_ is None:
        raise ConfigError("--withdraw: name the request that is to be taken back")
    with client(server, token, ca, home) as connection:
        if withdraw and id_ is not None:
            _withdraw(connection, id_, site(home))
        ended = _one(connection, id_, watch) if id_ is not None else _all(connection, watch)
    if watch and any(row.phase in {"failed", "refused"} for row in ended):
        raise typer.Exit(1)


def _withdraw(connection: Client, id_: str, own: Site | None) -> None:
    """Take the request back, and wait until the server has: only then may the hospital's own training use the data again."""
    from afuic.service.rights import TAKEN_BACK

    row = connection.withdraw(id_)
    while row.phase in TAKEN_BACK:
        time.sleep(PAUSE_S)
        row = _patiently(lambda: connection.request(id_))
    if row.phase != "withdrawn":
        raise ServiceError(f"{id_} is {row.phase}: it could no longer be taken back")
    if own is not None and own.name == row.client:
        _lift(own, row)


def _lift(own: Site, row: RequestRow) -> None:
    from afuic.engines.hospital import withdrawals

    if row.salted is None:
        withdrawals.take_all_back(own)
    else:
        withdrawals.take_back(own, row.salted)


def _one(connection: Client, id_: str, watch: bool) -> list[RequestRow]:
    row = connection.request(id_)
    _print(row)
    told, first = _tell(row, 0), row
    while watch and not _ended(row):
        time.sleep(PAUSE_S)
        row = _patiently(lambda: connection.request(id_))
        told = _tell(row, told)
    if row != first:
        _print(row)
    return [row]


def _all(connection: Client, watch: bool) -> list[RequestRow]:
    from afuic.cli import telling

    rows = connection.requests()
    output().print(telling.requests(rows))
    told = {row.id: len(row.history) for row in rows}
    while watch and not all(map(_ended, rows)):
        time.sleep(PAUSE_S)
        rows = _patiently(connection.requests)
        for row in rows:
            told[row.id] = _tell(row, told.get(row.id, 0), f"{row.id} {row.client}: ")
    return rows


def _ended(row: RequestRow) -> bool:
    from afuic.service.rights import ENDED

    return row.phase in ENDED


def _tell(row: RequestRow, told: int, prefix: str = "") -> int:
    """Print what a request's history has beyond its first ``told`` entries; how many it has."""
    from afuic.cli import telling

    for entry in row.history[told:]:
        say(prefix + telling.moved(entry))
    return len(row.history)


def _patiently(ask: Callable[[], T]) -> T:
    """The answer, however long the server is away; said once."""
    silent = False
    while True:
        try:
            return ask()
        except Unreachable as error:
            if not silent:
                say(f"afuic: {error}; still trying", err=True)
            silent = True
            time.sleep(max(PAUSE_S, error.wait_s))


def _print(row: RequestRow) -> None:
    from afuic.cli import telling

    for line in telling.request(row):
        say(line)


def status(server: Server = None, token: TokenFile = None, ca: Authority = None, home: Home = None) -> None:
    """Tell how the federation is: hospitals, version, staleness, the ledger's identity, disk, requests under way, processes.

    In a hospital's folder its own processes come first, whether the server answers or not.
    """
    from afuic.cli import telling

    if here := _here(home):
        output().print(telling.processes(here))
    with client(server, token, ca, home) as connection:
        found = connection.status()
    for line in telling.overview(found):
        say(line)
    output().print(telling.clients(found))
    if found.processes:
        output().print(telling.processes(found.processes))


def _here(home: Path | None) -> tuple[ProcessRow, ...]:
    """The processes of the hospital whose folder this is."""
    if site(home) is None:
        return ()
    from afuic.deploy import running
    from afuic.store.rows import processes

    where = running.place(home or Path())
    return () if running.running(where) is None else processes(running.read_status(where), time.monotonic())


def audit(
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="At most so many rows, the newest.")] = 100,
    before: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Only rows older than this one.", show_default="the newest")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all rows there as JSON lines, oldest first.", show_default="print a table"),
    ] = None,
    server: Server = None,
    token: TokenFile = None,
    ca: Authority = None,
    home: Home = None,
) -> None:
    """Tell who did what through the API, for operators and auditors, or export all of it."""
    from afuic.cli import telling
    from afuic.store.files import write_bytes

    with client(server, token, ca, home) as connection:
        if export is None:
            output().print(telling.audit(connection.audit(limit, before)))
            return
        record = connection.status().record
        rows = _all_rows(connection, before)
    lines = [json.dumps(asdict(row)) for row in reversed(rows)]
    write_bytes(export, "".join(f"{line}\n" for line in lines).encode())
    say(f"wrote {export}: {len(rows)} rows; the record had {record.links} links then, head {record.head}")


def _all_rows(connection: Client, before: int | None) -> list[AuditRow]:
    """Page by page, the newest first."""
    rows: list[AuditRow] = []
    while page := connection.audit(MOST_ROWS, before):
        rows += page
        before = page[-1].id
    return rows


def certificate(
    id_: Id,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there.", show_default="standard output")] = None,
    server: Server = None,
    token: TokenFile = None,
    ca: Authority = None,
    home: Home = None,
) -> None:
    """Fetch a request's certificate, to be checked offline with afuic verify."""
    from afuic.store.files import write_bytes

    with client(server, token, ca, home) as connection:
        row = connection.certificate(id_)
    if out is None:
        dump(row.envelope)
        return
    write_bytes(out, row.envelope.encode())
    say(f"wrote {out} (certificate {row.number}); check it with: afuic verify {out} --key certificate.pub")
