"""The one way in which a certificate is written, so that the same content is the same bytes.

It is RFC 8785 but for two things: floats are Python's shortest decimal that reads back the same (1e-05 where that says 0.00001), and what
is not ASCII is escaped. A signature is over bytes and nothing is written anew to verify it, so that readers in other languages need
not know.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, ASCII alone; NaN and infinity are a ValueError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def sha256(content: bytes) -> str:
    """``sha256:…`` of bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()
