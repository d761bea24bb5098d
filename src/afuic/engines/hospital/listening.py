"""Asks the server, while a task is being done, whether it is still wanted: an engine delivers nothing to a hospital that is at work.

In a thread of its own and seldom, so that training waits for no network. A server that cannot be reached is asked less and less often;
what the hospital has withdrawn itself does not depend on it.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from afuic import tls
from afuic.document import parse_json
from afuic.settings import Site, private

if TYPE_CHECKING:
    import httpx

EVERY_S, SELDOM_S, TIMEOUT_S = 1.0, 60.0, 5.0
LARGEST = 1 << 20
LOG = logging.getLogger("afuic.hospital")


@dataclass(frozen=True)
class Heard:
    """The server's word: tasks that nobody waits for, and whether it has fenced the whole hospital."""

    cancelled: frozenset[str]
    fenced: bool


class Listener:
    """Within its block the server is asked every ``every_s`` seconds; ``told`` is true once an answer ``concerns`` the work."""

    def __init__(self, site: Site, concerns: Callable[[Heard], bool], every_s: float = EVERY_S) -> None:
        self.site, self.concerns, self.every_s = site, concerns, every_s
        self._over, self._told = threading.Event(), threading.Event()

    def told(self) -> bool:
        """Whether the work under way is not wanted any more."""
        return self._told.is_set()

    def __enter__(self) -> Listener:
        threading.Thread(target=self._listen, name="afuic-listener", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()

    def _listen(self) -> None:
        pause = self.every_s
        with ExitStack() as stack:
            client: httpx.Client | None = None
            while not self._over.wait(pause):
                try:
                    client = client or stack.enter_context(_client(self.site))
                    heard = _ask(client)
                    pause = self.every_s
                except Exception as error:  # whatever is wrong with the network or the answer, the work goes on
                    pause = min(2 * pause, SELDOM_S)
                    LOG.info("the server's inbox cannot be read (%s); asked again in %g s", type(error).__name__, pause)
                else:
                    if self.concerns(heard):
                        self._told.set()
                        return


def _client(site: Site) -> httpx.Client:
    import httpx  # noqa: PLC0415 - part of the deploy extra

    token = private(site.token).read_text(encoding="utf-8").strip()
    trust: ssl.SSLContext | bool = tls.calling(site.ca) if site.api.startswith("https") else True
    return httpx.Client(base_url=site.api, headers={"Authorization": f"Bearer {token}"}, verify=trust, timeout=TIMEOUT_S)


def _ask(client: httpx.Client) -> Heard:
    with client.stream("GET", "/v1/inbox") as response:
        response.raise_for_status()
        content = b""
        for part in response.iter_bytes():
            content += part
            if len(content) > LARGEST:
                raise ValueError("the server's inbox is larger than it can rightly be")
    return _heard(parse_json(content, limit=LARGEST))


def _heard(value: object) -> Heard:
    if not isinstance(value, dict):
        raise TypeError("the server's inbox is not an object")
    cancelled, fenced = value.get("cancelled"), value.get("fenced")
    if not isinstance(cancelled, list) or not all(isinstance(task, str) for task in cancelled) or not isinstance(fenced, bool):
        raise TypeError("the server's inbox is not tasks and a fence")
    return Heard(frozenset(cancelled), fenced)
