"""When a federation that was just started is said to be ready."""

from __future__ import annotations

from afuic.cli.watching import _serves
from afuic.store.rows import ClientRow, Status


def client(name: str, *, online: bool = True, erased: bool = False) -> ClientRow:
    return ClientRow(name, online, 0, None, erased, 0, None, None, None)


def status(*clients: ClientRow, heartbeat_at: float | None = 1.0) -> Status:
    return Status("f", 0, 0, 0.0, 0, 0, 0, 0, 0.0, 0, 0, heartbeat_at, clients, ())


def test_every_hospital_has_joined_and_can_be_reached_or_was_erased() -> None:
    both = {"a", "b"}
    assert _serves(status(client("a"), client("b")), both)
    assert _serves(status(client("a"), client("b", online=False, erased=True)), both)
    assert not _serves(status(client("a"), client("b", online=False)), both)
    assert not _serves(status(client("a")), both)


def test_a_server_that_nobody_has_joined_or_that_is_not_heard_is_not_ready() -> None:
    assert not _serves(status(), {"a"})
    assert not _serves(status(client("a"), heartbeat_at=None), {"a"})
    assert not _serves(None, {"a"})
