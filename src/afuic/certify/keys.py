"""The key that certificates are signed with: Ed25519, made once for a federation, its public half handed to everybody who verifies."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from afuic.errors import ConfigError
from afuic.settings import private

BROKEN = (ValueError, TypeError)


@dataclass(frozen=True)
class PublicKey:
    """A public key and its name: the SHA-256 of its DER form, as ``openssl pkey -pubin -outform DER | sha256sum`` gives it."""

    key: Ed25519PublicKey

    @property
    def keyid(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def make_key(path: Path) -> Path:
    """Write a new private key (PKCS#8 PEM, for its owner alone) and beside it its public half, ending in ``.pub``, which is returned.

    ConfigError where one of them is there already: an old key is never overwritten.
    """
    key, public = Ed25519PrivateKey.generate(), public_path(path)
    for present in (p for p in (path, public) if p.exists()):
        raise ConfigError(f"{present}: there is a key already; move it away first if you really want another one")
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    _write(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    return public


def public_path(path: Path) -> Path:
    """Where the public half of the key in ``path`` lies."""
    return path.with_suffix(".pub")


def load_private(path: Path) -> Ed25519PrivateKey:
    """The private key; ConfigError when the file is missing, no Ed25519 key, or readable by others."""
    content = _read(private(path))
    try:
        key = load_pem_private_key(content, None)
    except BROKEN:
        raise ConfigError(f"{path}: not an unencrypted private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: not an Ed25519 key; 'afuic deploy init' makes one")
    return key


def load_public(path: Path) -> PublicKey:
    """The public key; ConfigError when the file is missing or no Ed25519 public key."""
    try:
        key = load_pem_public_key(_read(path))
    except BROKEN:
        raise ConfigError(f"{path}: not a public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path}: not an Ed25519 key")
    return PublicKey(key)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such key file") from None


def _write(path: Path, content: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
