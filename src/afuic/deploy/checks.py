"""Whether a server answers, asked once and briefly."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

BRIEF_S = 2.0
Check = Callable[[], bool]


def listens(port: int, host: str = "127.0.0.1") -> Check:
    """Somebody accepts connections on that port."""

    def check() -> bool:
        try:
            with socket.create_connection((host, port), BRIEF_S):
                return True
        except OSError:
            return False

    return check


def answers(port: int, path: str, ca: Path | None, host: str = "127.0.0.1") -> Check:
    """A GET of ``path`` is answered with 200, over TLS when ``ca`` says whom to trust."""

    def check() -> bool:
        try:
            with closing(_connection(host, port, ca)) as connection:
                connection.request("GET", path)
                return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False

    return check


def _connection(host: str, port: int, ca: Path | None) -> HTTPConnection:
    if ca is None:
        return HTTPConnection(host, port, timeout=BRIEF_S)
    return HTTPSConnection(host, port, timeout=BRIEF_S, context=ssl.create_default_context(cafile=str(ca)))


def free_ports(wanted: tuple[int, ...], host: str = "127.0.0.1") -> tuple[int, ...]:
    """The wanted ports where nobody listens, others in place of the rest; all different."""
    held = []
    try:
        for port in wanted:
            held.append(_bound(port, host) or _bound(0, host))
        return tuple(s.getsockname()[1] for s in held if s is not None)
    finally:
        for s in held:
            if s is not None:
                s.close()


def _bound(port: int, host: str) -> socket.socket | None:
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind((host, port))
    except OSError:
        s.close()
        return None
    return s
