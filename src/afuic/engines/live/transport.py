"""What an engine has to offer, and all of it: send a task to a hospital, hear what came, say who can be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Reply:
    """What came back for ``task`` from ``client``, which the transport has authenticated; ``failure`` set where the engine gave up instead.

    ``document`` and ``tensors`` are bytes from outside: to be validated before anything is made of them.
    """

    task: str
    client: str
    document: bytes = b""
    tensors: bytes = b""
    failure: str | None = None


class Transport(Protocol):
    """Messages between the server and its hospitals. At most one task is outstanding per hospital; a task sent again is the same task."""

    def present(self) -> frozenset[str]:
        """Hospitals that can be reached now."""

    def send(self, client: str, task: str, document: bytes, tensors: bytes) -> None:
        """Hand a task to a hospital; never blocks for long, and a failure comes as a Reply."""

    def receive(self) -> list[Reply]:
        """What has come since the last call, without waiting."""

    def forget(self, client: str, task: str) -> None:
        """Nobody waits for this task any more; its reply need not be kept."""

    def traces(self, pieces: Sequence[bytes]) -> tuple[str, ...]:
        """Overwrite what passed through here and is not needed any more; where something of ``pieces`` is left, or may be, in words."""
