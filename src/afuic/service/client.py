"""The API from the other side: what a command asks, with one sentence for everything that can go wrong on the way.

TLS is verified against the federation's own CA; the token goes to nobody else (no redirects, no proxy on this machine's own addresses).
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError

from afuic import tls
from afuic.document import parse_json
from afuic.errors import ConfigError, Denied, JsonError, ServiceError, Unreachable
from afuic.service.schemas import KEY, REQUEST_ID, Ask, Problem
from afuic.settings import LOOPBACK, Access, Architecture, private
from afuic.store.rows import AuditRow, CertificateRow, RequestRow, Status, VersionRow
from afuic.text import shown

T = TypeVar("T")
LONGEST_PROBLEM = 65536
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
ADVICE = {
    401: "the token in {token} is not valid here; ask the operator for a new one",
    403: "{said}",
    429: "{said}; then repeat the command",
    503: "{said}",
}


class Client:
    """A connection to one federation's API."""

    def __init__(self, access: Access) -> None:
        self._access = access
        local = urlsplit(access.api).hostname in LOOPBACK
        self._http = httpx.Client(
            base_url=access.api,
            headers={"Authorization": f"Bearer {_token(access.token)}"},
            verify=_trust(access),
            timeout=TIMEOUT,
            trust_env=not local,
        )

    def erase(self, ask: Ask, key: str) -> tuple[RequestRow, bool]:
        """Ask for an erasure; False where it had been asked for before with this key."""
        body = ask.model_dump(mode="json", exclude_none=True)
        answer = self._call("POST", "/v1/requests", json=body, headers={"Idempotency-Key": idempotency_key(key)})
        return self._parse(answer, RequestRow), answer.status_code == 202

    def withdraw(self, request: str) -> RequestRow:
        """Take a request back."""
        return self._parse(self._call("POST", f"/v1/requests/{_id(request)}/withdraw"), RequestRow)

    def requests(self) -> list[RequestRow]:
        """The requests that the token may see."""
        return self._parse(self._call("GET", "/v1/requests"), list[RequestRow])

    def request(self, request: str) -> RequestRow:
        """One request with its history."""
        return self._parse(self._call("GET", f"/v1/requests/{_id(request)}"), RequestRow)

    def status(self) -> Status:
        """The federation at a glance."""
        return self._parse(self._call("GET", "/v1/status"), Status)

    def audit(self, limit: int, before: int | None = None) -> list[AuditRow]:
        """Who did what, newest first; ``before``: only what is older than the row of this number."""
        params = {"limit": limit} | ({} if before is None else {"before": before})
        return self._parse(self._call("GET", "/v1/audit", params=params), list[AuditRow])

    def models(self, limit: int, kept: bool) -> list[VersionRow]:
        """Versions, newest first."""
        answer = self._call("GET", "/v1/models", params={"limit": limit, "kept": kept})
        return self._parse(answer, list[VersionRow])

    def model(self, version: int) -> VersionRow:
        """A version's lineage."""
        return self._parse(self._call("GET", f"/v1/models/{version}"), VersionRow)

    def model_file(self, version: int) -> bytes:
        """A version's tensors, as safetensors."""
        return self._call("GET", f"/v1/models/{version}/file").content

    def network(self) -> Architecture:
        """The network that every model's tensors belong to."""
        return self._parse(self._call("GET", "/v1/network"), Architecture)

    def certificate(self, request: str) -> CertificateRow:
        """A request's certificate."""
        return self._parse(self._call("GET", f"/v1/certificates/{_id(request)}"), CertificateRow)

    def _call(self, method: str, path: str, **how: Any) -> httpx.Response:
        with _reaching(self._access):
            answer = self._http.request(method, path, **how)
        if answer.status_code >= 300:
            raise self._refused(answer)
        return answer

    def _refused(self, answer: httpx.Response) -> ServiceError:
        said = _said(answer)
        sentence = ADVICE.get(answer.status_code, "{said}").format(token=self._access.token, said=said)
        where = f"{self._access.api} (answer {answer.status_code}): {sentence}"
        if answer.status_code in {408, 429} or answer.status_code >= 500:
            return Unreachable(where, _seconds(answer.headers.get("retry-after", "")))
        return Denied(where, answer.status_code)

    def _parse(self, answer: httpx.Response, kind: type[T]) -> T:
        try:
            return TypeAdapter(kind).validate_python(parse_json(answer.content))
        except (ValidationError, JsonError):
            url = self._access.api
            raise ServiceError(
                f"{url}: what came is no answer of afuic; check the address and the versions on both sides"
            ) from None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()


@contextmanager
def _reaching(access: Access) -> Iterator[None]:
    try:
        yield
    except httpx.ConnectError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise ServiceError(
                f"{access.api}: its certificate is not trusted by {access.ca or 'this machine'} ({error}); use the federation's own "
                "CA file (--ca) and the server's right name, and do not go on if this used to work"
            ) from None
        raise Unreachable(f"{access.api}: nobody answers ({error}); check address, network and that the server runs") from None
    except httpx.TransportError as error:
        what = str(error) or type(error).__name__
        raise Unreachable(f"{access.api}: the connection was lost ({what}); repeat the same command, which is safe") from None


def _trust(access: Access) -> ssl.SSLContext:
    try:
        return tls.calling(access.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"{access.ca}: not a readable CA certificate ({error}); give the federation's ca.pem with --ca"
        ) from None


def _token(path: Path) -> str:
    try:
        token = private(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise ConfigError(
            f"{path}: the token cannot be read ({why}); ask the operator for it, or give another with --token"
        ) from None
    if not token or not token.isprintable() or " " in token:
        raise ConfigError(f"{path}: not a token; it is one line of letters, digits, - and _")
    return token


def idempotency_key(key: str) -> str:
    """The key as it is; ConfigError where the API would not take it."""
    return _like(KEY, key, "an idempotency key")


def _id(request: str) -> str:
    return _like(REQUEST_ID, request, "a request's id")


def _like(pattern: str, text: str, what: str) -> str:
    if re.fullmatch(pattern, text) is None:
        raise ConfigError(f"{text!r}: not {what}; those are of the form {pattern}")
    return text


def _said(answer: httpx.Response) -> str:
    try:
        return shown(Problem.model_validate(parse_json(answer.content, limit=LONGEST_PROBLEM)).error)
    except (ValidationError, JsonError):
        down = answer.status_code >= 500
        return (
            "the service is not up; repeat the command in a while" if down else "that is no answer of afuic; check the address"
        )


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0
