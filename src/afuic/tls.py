"""Which TLS is spoken, by whoever listens or calls: 1.3, and of 1.2 the suites with forward secrecy and authenticated encryption alone."""

from __future__ import annotations

import ssl
from pathlib import Path

SUITES = ":".join(
    f"ECDHE-{signed}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for signed in ("ECDSA", "RSA")
)
"""OpenSSL's names of the suites of TLS 1.2; those of 1.3 are all of this kind."""


def calling(ca: Path | None) -> ssl.SSLContext:
    """For a client that trusts the authority in ``ca`` alone, else those of this machine; OSError, ssl.SSLError: ``ca`` is unusable."""
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES)
    return context
