"""The routes: each checks a right, asks the store or tells it, and answers with the store's own rows."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as File
from typing import Annotated, Any, NoReturn

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPBearer

from afuic.errors import Conflict, StoreError
from afuic.service import rights
from afuic.service.door import Visit
from afuic.service.schemas import KEY, MOST_VERSION, REQUEST_ID, Ask, Inbox, Problem
from afuic.service.shelf import Shelf
from afuic.service.tokens import Caller
from afuic.settings import Architecture
from afuic.store.book import Book
from afuic.store.files import read_json
from afuic.store.rows import AuditRow, CertificateRow, Command, ProcessRow, RequestRow, Status, VersionRow, processes

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        400: "Not JSON.",
        401: "No valid token.",
        403: "Not with this token.",
        404: "Not here.",
        408: "The body did not come in time.",
        409: "Contradicts what was asked before.",
        413: "Body too large.",
        422: "Not as described here.",
        429: "Too many calls; Retry-After says how long to wait.",
        503: "The store cannot be used at the moment; ask again.",
    }.items()
}
BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
CHUNK = 1 << 20

router = APIRouter(prefix="/v1", dependencies=[Depends(HTTPBearer(auto_error=False))], responses=REFUSALS)


def _visit(request: Request) -> Visit:
    visit: Visit = request.state.visit
    return visit


def _caller(request: Request) -> Caller:
    caller = _visit(request).caller
    if caller is None:
        raise HTTPException(401)
    return caller


def _book(request: Request) -> Book:
    shelf: Shelf = request.app.state.shelf
    return shelf.book()


def _hospitals(request: Request) -> frozenset[str]:
    hospitals: frozenset[str] = request.app.state.hospitals
    return hospitals


def _ever(request: Request) -> frozenset[str]:
    """Who takes part, and who did before it left the settings: no hospital reads either's name."""
    return _hospitals(request) | _book(request).clients()


Visitor = Annotated[Visit, Depends(_visit)]
Who = Annotated[Caller, Depends(_caller)]
Store = Annotated[Book, Depends(_book)]
Names = Annotated[frozenset[str], Depends(_hospitals)]
Ever = Annotated[frozenset[str], Depends(_ever)]
Id = Annotated[str, Path(pattern=REQUEST_ID, description="a request's id")]
Version = Annotated[int, Path(ge=0, le=MOST_VERSION)]
Key = Annotated[str, Header(alias="Idempotency-Key", pattern=KEY, description="the asker's own: asking twice is asking once")]
Before = Annotated[int | None, Query(ge=1, le=MOST_VERSION, description="only what is older than the row of this number")]
Limit = Annotated[int, Query(ge=1, le=1000, description="at most so many, the newest")]


def refuse(status: int, sentence: str) -> NoReturn:
    """Answer with the sentence."""
    raise HTTPException(status, sentence)


@router.post("/requests", status_code=202, responses={200: {"model": RequestRow, "description": "Asked before with this key."}})
def ask(
    wanted: Ask, key: Key, caller: Who, book: Store, visit: Visitor, names: Names, ever: Ever, response: Response
) -> RequestRow:
    """Ask for an erasure. It is durable when the answer comes; the same key with the same content is the same request."""
    visit.subject = wanted.client
    if why := rights.against_asking(caller, wanted):
        refuse(403, why)
    if wanted.client not in names:
        refuse(404, f"{wanted.client}: no hospital of this federation has that name; afuic status lists them")
    command = _command("erase", _id(caller, key), wanted, caller, key)
    earlier, newest = book.requests(), book.version(book.tip().version)
    contributors = () if newest is None else newest.contributors
    if all(row.id != command.request for row in earlier) and (why := rights.objection(wanted, earlier, contributors)):
        refuse(409, why)
    return rights.told(caller, _asked(book, command, response), ever)


@router.post("/requests/{id}/withdraw", status_code=202, responses={200: {"model": RequestRow, "description": "Asked before."}})
def withdraw(id: Id, caller: Who, book: Store, visit: Visitor, ever: Ever, response: Response) -> RequestRow:
    """Take a request back; possible until a model without the data has been released."""
    row = _seen(book, caller, id)
    visit.subject = row.client
    if why := rights.against_withdrawing(caller, row):
        refuse(403, why)
    if row.phase not in rights.TAKEN_BACK | {"withdrawn"}:
        refuse(409, f"request {id} is {row.phase} and can no longer be taken back")
    same = Ask.model_construct(client=row.client, reason="withdrawn by who asked", patients=row.patients, salted=row.salted)
    command = _command("withdraw", id, same, caller, f"withdraw {id}")
    return rights.told(caller, _asked(book, command, response), ever)


@router.get("/requests")
def requests(caller: Who, book: Store, ever: Ever) -> list[RequestRow]:
    """Every erasure request, oldest first; a hospital sees its own."""
    return [rights.told(caller, row, ever) for row in book.requests() if rights.visible(caller, row)]


@router.get("/requests/{id}")
def request(id: Id, caller: Who, book: Store, ever: Ever) -> RequestRow:
    """How far a request is, with its history."""
    return rights.told(caller, _seen(book, caller, id), ever)


@router.get("/status")
def status(caller: Who, book: Store, request: Request, ever: Ever) -> Status:
    """The federation at a glance, with its server's processes; a hospital sees no other hospital's row, nor the processes."""
    found = rights.seen_by(caller, book.status(), book.requests(), ever)
    return found if caller.role == "hospital" else replace(found, processes=_processes(request.app.state.processes))


@router.get("/models")
def models(caller: Who, book: Store, limit: Limit = 100, kept: bool = False) -> list[VersionRow]:
    """Versions of the model, newest first; ``kept``: only those whose tensors are still there. A hospital sees the others counted."""
    rows, asked = [row for row in book.versions() if row.kept or not kept], book.requests()
    return [rights.lineage(caller, row, asked) for row in sorted(rows, key=lambda row: -row.version)[:limit]]


@router.get("/models/{version}")
def model(version: Version, caller: Who, book: Store) -> VersionRow:
    """A version's lineage: when it was made, by what, who is in its sum, and who taught the server's steps in it."""
    return rights.lineage(caller, _version(book, version), book.requests())


@router.get("/models/{version}/file", response_class=StreamingResponse, responses={200: BYTES})
def file(version: Version, caller: Who, book: Store) -> StreamingResponse:
    """A version's tensors as safetensors."""
    if caller.role == "auditor":
        refuse(403, "an auditor sees where a model comes from, but not the model; use an operator's or a hospital's token")
    if not _version(book, version).kept:
        refuse(404, f"the tensors of version {version} are no longer kept; afuic models list says of which they are")
    path = book.model_path(version)
    return StreamingResponse(
        _chunks(path), media_type="application/octet-stream", headers={"Content-Length": str(path.stat().st_size)}
    )


@router.get("/network")
def network(request: Request) -> Architecture:
    """The network that every model's tensors belong to, and its classes."""
    found: Architecture = request.app.state.network
    return found


@router.get("/certificates")
def certificates(caller: Who, book: Store) -> list[CertificateRow]:
    """Every certificate, oldest first; a hospital sees those of its own requests."""
    own = {row.id for row in book.requests() if rights.visible(caller, row)}
    return [row for row in book.certificates() if row.request in own]


@router.get("/certificates/{id}")
def certificate(id: Id, caller: Who, book: Store) -> CertificateRow:
    """A request's certificate."""
    row, found = _seen(book, caller, id), book.certificate(id)
    if found is None:
        refuse(404, f"request {id} is {row.phase} and has no certificate yet; it gets one after its purge")
    return found


@router.get("/audit")
def audit(caller: Who, book: Store, limit: Limit = 100, before: Before = None) -> list[AuditRow]:
    """Who did what, newest first; ``before``: only what is older than the row of this number, to read on from there."""
    if caller.role == "hospital":
        refuse(403, "the audit is for operators and auditors")
    return book.audited(limit, before)


@router.get("/inbox")
def inbox(caller: Who, book: Store) -> Inbox:
    """What a hospital should know while it trains."""
    if caller.hospital is None:
        refuse(403, "an inbox is a hospital's; use its token")
    return Inbox(cancelled=tuple(book.notices(caller.hospital)), fenced=rights.fenced(caller.hospital, book.requests()))


def _processes(told: File) -> tuple[ProcessRow, ...]:
    """What the supervisor of this machine told last, none where there is none."""
    try:
        return processes(read_json(told), time.monotonic())
    except StoreError:
        return ()


def _id(caller: Caller, key: str) -> str:
    """A request's id, the same whenever the same caller uses the same key."""
    return "r-" + hashlib.sha256(f"{caller.who}\0{key}".encode()).hexdigest()[:12]


def _command(kind: str, id: str, ask: Ask, caller: Caller, key: str) -> Command:
    return Command(0, kind, id, ask.client, ask.patients, ask.salted, ask.reason, caller.who, key, time.time())


def _asked(book: Book, command: Command, response: Response) -> RequestRow:
    try:
        _, new = book.ask(command)
    except Conflict:
        refuse(
            409,
            "this idempotency key was used before, for something else or with another reason; repeat that, or choose another key",
        )
    response.status_code = 202 if new else 200
    row = book.request(command.request)
    if row is None:
        refuse(503, "the request was accepted but cannot be read back; ask again with the same key")
    return row


def _seen(book: Book, caller: Caller, id: str) -> RequestRow:
    row = book.request(id)
    if row is None or not rights.visible(caller, row):
        refuse(404, f"there is no request {id}; afuic requests lists them")
    return row


def _version(book: Book, version: int) -> VersionRow:
    row = book.version(version)
    if row is None:
        refuse(404, f"there is no version {version}; afuic models list shows those there are")
    return row


def _chunks(path: File) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
