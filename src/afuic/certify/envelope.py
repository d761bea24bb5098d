"""The certificate as a file: a DSSE envelope with one Ed25519 signature over the statement's bytes.

Read strictly: an envelope has one spelling, so that every character of it counts and its digest does not depend on how it was copied.
Reference: DSSE v1.0, https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError

from afuic.certify import form
from afuic.certify.canonical import canonical, sha256
from afuic.certify.keys import PublicKey, load_private
from afuic.certify.statement import parse
from afuic.errors import CertificateError

PAYLOAD = "application/vnd.in-toto+json"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Signature(_Strict):
    keyid: str = Field(pattern=r"^[0-9a-f]{64}$")
    sig: str = Field(pattern=r"^[A-Za-z0-9+/]{86}==$")


class _Form(_Strict):
    payload: str
    payloadType: str = Field(pattern=f"^{PAYLOAD.replace('+', '[+]')}$")  # noqa: N815 - the envelope's own word
    signatures: list[_Signature] = Field(min_length=1, max_length=1)


def sign(statement: dict[str, Any], key: Path) -> str:
    """The envelope as canonical JSON, one line without its end; ConfigError when the key cannot be used."""
    payload = canonical(statement)
    parse(payload)
    envelope = Envelope(payload, PAYLOAD, {})
    envelope.sign(load_private(key))
    return canonical(envelope.to_dict()).decode()


def verify(envelope: str, keys: PublicKey | Sequence[PublicKey]) -> form.Statement:
    """The statement, signed with one of ``keys``; CertificateError says why it is not to be believed. Needs no network and no store."""
    known = [keys] if isinstance(keys, PublicKey) else list(keys)
    found = Envelope.from_dict(_read(envelope))
    try:
        found.verify(known, 1)
    except (VerificationError, ValueError):
        signer = next(iter(found.signatures))
        if signer not in {key.keyid for key in known}:
            raise CertificateError(f"it was signed with another key ({signer[:16]}…), or says so") from None
        raise CertificateError("its signature does not fit: the content or the signature was changed") from None
    return parse(found.payload)


def digest(envelope: str) -> str:
    """``sha256:…`` of the envelope as ``sign`` wrote it, by which the next certificate names it; spaces and line ends do not count."""
    return sha256(canonical(_read(envelope)))


def key_id(envelope: str) -> str:
    """Which key it says that it was signed with."""
    return str(_read(envelope)["signatures"][0]["keyid"])


def _read(envelope: str) -> dict[str, Any]:
    try:
        values = json.loads(envelope, object_pairs_hook=_once)
        _Form.model_validate(values)
        same = canonical(Envelope.from_dict(json.loads(envelope)).to_dict()) == canonical(values)
    except (ValidationError, ValueError, RecursionError):
        raise CertificateError("it is not a DSSE envelope with one signature over an in-toto statement") from None
    if not same:
        raise CertificateError("its base64 is not in the one spelling that counts")
    return dict(values)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)
