"""Who comes in, how often and with how much, and the record of what they did: in front of every route, so that none can forget it.

Without a valid token there is one answer, whatever was wrong with it. Nothing that a caller sends but its path is ever logged.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from afuic.document import parse_json
from afuic.errors import ConfigError, JsonError, StoreError
from afuic.service import limits
from afuic.service.limits import Hourly, Limiter
from afuic.service.shelf import Shelf
from afuic.service.tokens import Caller, Keyring
from afuic.settings import Api

LOG = logging.getLogger("afuic.service")
OPEN = "/healthz"
DEEPEST = 8
SHORTEST = 40
"""What is shorter is no token of ours."""
SAFE = re.compile(r"/[A-Za-z0-9_./-]{0,128}")
NAMED = re.compile(r"token|auth|bearer|secret|password|key", re.IGNORECASE)
IN_ADDRESS = (
    "a token belongs in the header Authorization (Bearer TOKEN), never in the address, which ends up in logs and histories; if this was "
    "one that counts, ask the operator for a new one"
)
UNKNOWN = "the token is missing or is not one of this federation; give the one that its operator handed to you"

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, limits.Receive, Send], Awaitable[None]]


@dataclass
class Visit:
    """One call: who made it and from where, what it asks for, whom it concerns, and why it was refused if it was.

    ``secret``: its path holds a token and is not to be told.
    """

    method: str
    path: str
    address: str
    caller: Caller | None = None
    subject: str = ""
    why: str = ""
    secret: bool = False

    @property
    def who(self) -> str:
        return self.caller.who if self.caller else "unknown"

    @property
    def action(self) -> str:
        shown = SAFE.fullmatch(self.path) and not self.secret
        return f"{self.method} {self.path if shown else '(malformed path)'}"

    @property
    def reads(self) -> bool:
        return self.method in {"GET", "HEAD", "OPTIONS"}


class Refused(Exception):
    """The call goes no further than the door."""

    def __init__(self, status: int, sentence: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers


class Door:
    """The middleware. Callers with a token are counted by its name, those without by their address."""

    def __init__(self, app: App, keyring: Keyring, shelf: Shelf, api: Api) -> None:
        self._app, self._keyring, self._shelf, self._api = app, keyring, shelf, api
        self._callers, self._strangers = Limiter(api.requests_per_minute), Limiter(api.requests_per_minute)
        self._hourly = Hourly()

    async def __call__(self, scope: Message, receive: limits.Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == OPEN:
            await self._app(scope, receive, send)
            return
        visit = Visit(scope["method"], scope["path"], (scope.get("client") or ("?",))[0])
        scope.setdefault("state", {})["visit"] = visit
        recording = self._recording(visit, send)
        try:
            self._refuse_in_address(visit, scope.get("query_string", b""))
            content = await self._let_in(visit, _headers(scope), receive)
        except ConnectionError:
            return
        except Refused as refused:
            visit.why = refused.sentence
            answer = JSONResponse({"error": refused.sentence}, refused.status, dict(refused.headers))
            await answer(scope, receive, recording)
            return
        await self._app(scope, _once(content, receive), recording)

    async def _let_in(self, visit: Visit, headers: dict[bytes, str], receive: limits.Receive) -> bytes:
        visit.caller = self._recognise(headers.get(b"authorization", ""))
        if visit.caller is None:
            self._count(self._strangers, visit.address)
            raise Refused(401, UNKNOWN, (("WWW-Authenticate", "Bearer"),))
        self._count(self._callers, (visit.caller.name, visit.reads))
        try:
            content = await limits.body(receive, headers.get(b"content-length"), self._api.max_body_bytes)
            if content:
                parse_json(content, depth=DEEPEST)
            return content
        except JsonError as error:
            raise Refused(400, f"the body is no JSON of ours: {error}") from None
        except limits.TooLarge:
            raise Refused(
                413, f"the body is larger than {self._api.max_body_bytes} bytes; an erasure is asked for in less"
            ) from None
        except TimeoutError:
            raise Refused(408, "the body did not come in time; ask again") from None

    def _refuse_in_address(self, visit: Visit, query: bytes) -> None:
        """Whoever sends a token in an address has to learn it, even where the header holds one as well."""
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        visit.secret = any(self._is_token(part) for part in visit.path.split("/"))
        if visit.secret or any(NAMED.search(name) or self._is_token(name) or self._is_token(value) for name, value in pairs):
            self._count(self._strangers, visit.address)
            raise Refused(400, IN_ADDRESS)

    def _is_token(self, text: str) -> bool:
        return len(text) >= SHORTEST and self._recognise(f"Bearer {text}") is not None

    def _recognise(self, authorization: str) -> Caller | None:
        scheme, _, token = authorization.partition(" ")
        try:
            return self._keyring.caller(token.strip() if scheme.lower() == "bearer" else "")
        except ConfigError as error:
            LOG.error("%s", error)
            raise Refused(503, "the server's tokens cannot be read; ask its operator to look at its log") from None

    def _count(self, limiter: Limiter, key: Any) -> None:
        if wait := limiter.take(key):
            raise Refused(429, f"too many calls; wait {wait} s", (("Retry-After", str(wait)),))

    def _recording(self, visit: Visit, send: Send) -> Send:
        async def recording(message: Message) -> None:
            if message["type"] == "http.response.start":
                await run_in_threadpool(self._record, visit, message["status"])
            await send(message)

        return recording

    def _record(self, visit: Visit, status: int) -> None:
        """Audit and log the call. One that only reads, or is refused at the door, is audited once an hour; the rest always."""
        if self._repeated(visit, status):
            return
        outcome = f"{status}: {visit.why}" if visit.why else str(status)
        subject = visit.subject or (visit.address if visit.caller is None else "")
        role = visit.caller.role if visit.caller else "none"
        LOG.info("%s %s %s %s", visit.who, visit.action, subject, outcome)
        try:
            self._shelf.book().audit(time.time(), visit.who, role, visit.action, subject, outcome)
        except StoreError as error:
            LOG.error("not in the audit: %s %s (%s)", visit.who, visit.action, error)

    def _repeated(self, visit: Visit, status: int) -> bool:
        if visit.caller is None:
            return not self._hourly.new((visit.address, status))
        if status == 429:
            return not self._hourly.new((visit.who, status))
        polls = visit.reads and status < 300 and not visit.path.endswith("/file")
        return polls and not self._hourly.new((visit.who, visit.action))


def _headers(scope: Message) -> dict[bytes, str]:
    return {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _once(content: bytes, receive: limits.Receive) -> limits.Receive:
    """Gives the body that has been read already, then whatever the connection says."""
    waiting = [content]

    async def again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return again
