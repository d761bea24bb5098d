"""Keys and secrets of a deployment, made on the machine where ``afuic deploy init`` runs and nowhere else.

Node keys are on the curve P-384 in OpenSSH's format, which is what Flower's node authentication reads; certificates of erasure are
signed with Ed25519.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True)
class Pair:
    """A private key and its public half, as the bytes of their files."""

    private: bytes
    public: bytes

    def __repr__(self) -> str:
        return f"Pair(public={self.public!r})"


def node() -> Pair:
    """A SuperNode's key; the public half is one line."""
    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return Pair(private, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n")


def signing() -> Pair:
    """The key that signs certificates of erasure, as PEM."""
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def shared() -> bytes:
    """A secret that two processes on one machine share."""
    return secrets.token_urlsafe(32).encode()
