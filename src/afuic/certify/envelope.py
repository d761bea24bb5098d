"""The certificate as a file: a DSSE envelope with one Ed25519 signature over the statement's bytes.

Read strictly: an envelope has one spelling, so that every character of it counts and its digest does not depend on how it was copied.
Reference: DSSE v1.0, https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from afuic.certify import form
from afuic.certify.canonical import canonical, sha256
from afuic.certify.keys import PublicKey, load_private
from afuic.certify.statement import parse
from afuic.document import parse_json
from afuic.errors import CertificateError, JsonError

PAYLOAD = "application/vnd.in-toto+json"
LARGEST = 64 * 1024 * 1024
"""Bytes of a certificate: far more than any has."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Signature(_Strict):
    keyid: str = Field(pattern=r"^[0-9a-f]{64}$")
    sig: str = Field(pattern=r"^[A-Za-z0-9+/]{86}==$")


class _Form(_Strict):
    payload: str
    payloadType: Literal["application/vnd.in-toto+json"]  # noqa: N815 - the envelope's own word
    signatures: list[_Signature] = Field(min_length=1, max_length=1)


def sign(statement: dict[str, Any], key: Path) -> str:
    """The envelope as canonical JSON, one line without its end; ConfigError when the key cannot be used."""
    payload = canonical(statement)
    parse(payload)
    private = load_private(key)
    signature = {"keyid": PublicKey(private.public_key()).keyid, "sig": _text(private.sign(_signed(payload)))}
    return canonical({"payload": _text(payload), "payloadType": PAYLOAD, "signatures": [signature]}).decode()


def verify(envelope: str, keys: PublicKey | Sequence[PublicKey]) -> form.Statement:
    """The statement, signed with one of ``keys``; CertificateError says why it is not to be believed. Needs no network and no store."""
    known = {key.keyid: key for key in ([keys] if isinstance(keys, PublicKey) else keys)}
    found = _read(envelope)
    payload, [signature] = _bytes(found.payload), found.signatures
    if signature.keyid not in known:
        raise CertificateError(f"it was signed with another key ({signature.keyid[:16]}…), or says so")
    try:
        known[signature.keyid].key.verify(_bytes(signature.sig), _signed(payload))
    except InvalidSignature:
        raise CertificateError("its signature does not fit: the content or the signature was changed") from None
    return parse(payload)


def claimed(envelope: str) -> form.Statement:
    """What it says, whoever signed it; CertificateError where it is no certificate."""
    return parse(_bytes(_read(envelope).payload))


def digest(envelope: str) -> str:
    """``sha256:…`` of the envelope as ``sign`` wrote it, by which the next certificate names it; spaces and line ends do not count."""
    return sha256(canonical(_read(envelope).model_dump()))


def key_id(envelope: str) -> str:
    """Which key it says that it was signed with."""
    return _read(envelope).signatures[0].keyid


def _signed(payload: bytes) -> bytes:
    """What the signature is over: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def _read(envelope: str) -> _Form:
    try:
        found = _Form.model_validate(parse_json(envelope, limit=LARGEST))
        same = all(_text(_bytes(text)) == text for text in (found.payload, found.signatures[0].sig))
    except (ValidationError, JsonError, binascii.Error):
        raise CertificateError("it is not a DSSE envelope with one signature over an in-toto statement") from None
    if not same:
        raise CertificateError("its base64 is not in the one spelling that counts")
    return found


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode(), validate=True)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
