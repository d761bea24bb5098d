"""Whether a server answers, asked once and briefly."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import islice
from pathlib import Path

from afuic import tls

BRIEF_S = 2.0
SERVERS = range(12_000, 30_000)
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


def answers(port: int, path: str, ca: Path | None, host: str = "127.0.0.1", status: int = 200) -> Check:
    """A GET of ``path`` is answered with ``status``, over TLS when ``ca`` says whom to trust."""

    def check() -> bool:
        try:
            with closing(_connection(host, port, ca)) as connection:
                connection.request("GET", path)
                return connection.getresponse().status == status
        except (OSError, HTTPException):
            return False

    return check


def _connection(host: str, port: int, ca: Path | None) -> HTTPConnection:
    if ca is None:
        return HTTPConnection(host, port, timeout=BRIEF_S)
    return HTTPSConnection(host, port, timeout=BRIEF_S, context=tls.calling(ca))


def beats(mark: Path, within_s: float, clock: Callable[[], float] = time.monotonic) -> Check:
    """A file has been touched within the last ``within_s``, or since the first question. The machine's date counts for nothing."""
    seen: list[tuple[int | None, float]] = []

    def check() -> bool:
        touched = _touched(mark)
        if not seen or (touched is not None and touched != seen[-1][0]):
            seen[:] = [(touched, clock())]
        return clock() - seen[-1][1] <= within_s

    return check


def _touched(mark: Path) -> int | None:
    try:
        return mark.stat().st_mtime_ns
    except OSError:
        return None


def free_ports(count: int, name: str, host: str = "127.0.0.1") -> tuple[int, ...]:
    """So many ports where nobody listens, drawn by ``name``, so that two who choose at the same moment choose others.

    None of them is one that the system gives to outgoing connections, which could take it whenever its server is started again.
    """
    drawn = random.Random(name).sample(SERVERS, len(SERVERS))
    with ExitStack() as held:
        free = (held.enter_context(s) for s in (_bound(port, host) for port in drawn) if s is not None)
        return tuple(s.getsockname()[1] for s in islice(free, count))


def _bound(port: int, host: str) -> socket.socket | None:
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind((host, port))
    except OSError:
        s.close()
        return None
    return s
