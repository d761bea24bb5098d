"""Who calls: bearer tokens, of which the server keeps salted digests only, and what each stands for.

A token is 256 random bits, so a fast hash is enough: nothing can be guessed. All entries are compared, each in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from afuic.config import Section
from afuic.document import parse_json
from afuic.errors import ConfigError, JsonError
from afuic.settings import NAME, private
from afuic.store.files import write_bytes

Role = Literal["operator", "hospital", "auditor"]
BYTES, LONGEST = 32, 128


class Token(Section):
    """What is kept of a token: whom it stands for, a salt, and the SHA-256 of the salt and the token."""

    name: str = Field(pattern=NAME)
    role: Role
    hospital: str | None = Field(None, pattern=NAME)
    salt: str = Field(pattern=r"^[0-9a-f]{32}$")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _of_a_hospital(self) -> Token:
        if (self.role == "hospital") != (self.hospital is not None):
            raise ValueError("a token of role hospital names its hospital, and no other does")
        return self


@dataclass(frozen=True)
class Caller:
    """Who a token stands for."""

    name: str
    role: Role
    hospital: str | None = None

    @property
    def who(self) -> str:
        """The name under which requests are kept: for a hospital its own, whichever of its tokens was used."""
        return f"{self.role}:{self.hospital or self.name}"


def issue(name: str, role: Role, hospital: str | None = None) -> tuple[str, Token]:
    """A new token and what is to be kept of it. The token itself is kept nowhere: hand it to whom it is for."""
    token, salt = secrets.token_urlsafe(BYTES), secrets.token_bytes(16)
    return token, Token(name=name, role=role, hospital=hospital, salt=salt.hex(), digest=_hash(salt, token))


def recognise(tokens: Sequence[Token], text: str) -> Caller | None:
    """Whom the token stands for, None for nobody; takes as long whichever it is."""
    found: Token | None = None
    for token in tokens:
        if hmac.compare_digest(_hash(bytes.fromhex(token.salt), text[:LONGEST]), token.digest):
            found = token
    return None if found is None or len(text) > LONGEST else Caller(found.name, found.role, found.hospital)


def write(path: Path, tokens: Iterable[Token]) -> None:
    """Write the file of tokens, readable by its owner alone."""
    entries = [token.model_dump(mode="json", exclude_none=True) for token in tokens]
    write_bytes(path, (json.dumps(entries, indent=1) + "\n").encode(), mode=0o600)


def read(path: Path) -> tuple[Token, ...]:
    """The tokens of a file; ConfigError says what is wrong with it, or that others may read or change it."""
    try:
        tokens = TypeAdapter(tuple[Token, ...]).validate_python(parse_json(private(path).read_bytes()))
    except OSError as error:
        raise ConfigError(f"{path}: the tokens cannot be read ({error.strerror}); 'afuic deploy init' writes them") from None
    except JsonError as error:
        raise ConfigError(f"{path}: not a list of tokens ({error}); 'afuic deploy init' writes it") from None
    except ValidationError as error:
        bad = sorted({".".join(map(str, item["loc"])) or "the file" for item in error.errors(include_input=False)})
        raise ConfigError(f"{path}: not a list of tokens as 'afuic deploy init' writes it (see {', '.join(bad)})") from None
    if len({token.name for token in tokens}) < len(tokens):
        raise ConfigError(f"{path}: two tokens have the same name; give each a name of its own")
    return tokens


class Keyring:
    """The tokens of a file, read anew when it changes: a token that is taken out is refused at once, without a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen = self._mark()
        self._tokens = read(path)

    def caller(self, text: str) -> Caller | None:
        """Whom the token stands for; ConfigError while the file is unusable, so that nobody comes in by an old one."""
        with self._lock:
            mark = self._mark()
            if mark != self._seen:
                self._tokens = read(self._path)
                self._seen = mark
            tokens = self._tokens
        return recognise(tokens, text)

    def _mark(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_size, status.st_ino)


def _hash(salt: bytes, token: str) -> str:
    return hashlib.sha256(salt + token.encode()).hexdigest()
