"""The transport over a Grid that hands out what no honest node replies: one node's poison is its own, and a dead thread is noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import HttpGrid

from afuic.engines import flower, flower_post
from afuic.engines.flower import RECORD, FlowerTransport
from afuic.engines.live.transport import Reply
from afuic.errors import EngineError
from tests.engines.flower.running import wait

KEYS = {name: ec.generate_private_key(ec.SECP384R1()) for name in ("a", "b")}
NODES = {"a": 1, "b": 2}


def public(name: str, encoding: Encoding, form: PublicFormat) -> bytes:
    return KEYS[name].public_key().public_bytes(encoding, form)


class Node:
    def __init__(self, name: str) -> None:
        self.node_id = NODES[name]
        self.public_key = public(name, Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Grid(HttpGrid):
    """``unpack``: what becomes of a node's reply when the Grid unpacks it."""

    def __init__(self, unpack: Callable[[int, Message], Message]) -> None:
        self.sent: dict[str, Message] = {}
        self.unpack = unpack

    def get_nodes(self) -> Iterable[Any]:
        return [Node(name) for name in NODES]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        for message in messages:
            message.metadata.__dict__["_message_id"] = name = f"message-{len(self.sent)}"
            self.sent[name] = message
            yield name

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self.unpack(self.sent[name].metadata.dst_node_id, self.sent[name]) for name in message_ids]

    def close(self) -> None:
        """There is no connection."""


def honest(node: int, asked: Message) -> Message:
    record: Any = asked.content.config_records[RECORD]
    name = next(name for name, number in NODES.items() if number == node)
    signature = flower_post.prove(KEYS[name], record["challenge"], record["task"], b"document", b"")
    answer = ConfigRecord({"task": record["task"], "document": b"document", "tensors": b"", "signature": signature})
    return Message(RecordDict({RECORD: answer}), reply_to=asked)


def deep(node: int, asked: Message) -> Message:
    if node == NODES["a"]:
        raise RecursionError
    return honest(node, asked)


def strange(node: int, asked: Message) -> Message:
    return (
        honest(node, asked) if node != NODES["a"] else Message(RecordDict({RECORD: ConfigRecord({"task": 3})}), reply_to=asked)
    )


def replies(unpack: Callable[[int, Message], Message], monkeypatch: pytest.MonkeyPatch) -> dict[str, Reply]:
    monkeypatch.setattr(flower, "PAUSE_S", 0.01)
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    lines = {name: public(name, Encoding.OpenSSH, PublicFormat.OpenSSH).decode() for name in NODES}
    transport, found = FlowerTransport(Grid(unpack), lines, 60.0), dict[str, Reply]()
    for name in NODES:
        transport.send(name, f"{name}/0", b"task", b"")

    def came() -> bool:
        assert transport.present() <= frozenset(NODES)
        found.update({reply.client: reply for reply in transport.receive()})
        return len(found) == len(NODES)

    wait("both have answered", came)
    assert transport.present() == frozenset(NODES)
    transport.close()
    return found


def test_a_reply_that_cannot_be_unpacked_is_its_senders_failure_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = replies(deep, monkeypatch)
    assert found["a"].failure == "its reply cannot be unpacked (RecursionError)"
    assert found["b"] == Reply("b/0", "b", b"document", b"")


def test_a_reply_of_another_form_is_its_senders_failure_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = replies(strange, monkeypatch)
    assert found["a"].failure == flower_post.UNSIGNED
    assert found["b"].failure is None


def test_a_reply_that_makes_reading_raise_is_its_senders_failure_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    content = flower._content

    def fails(message: Message) -> Any:
        if message.metadata.src_node_id == NODES["a"]:
            raise MemoryError
        return content(message)

    monkeypatch.setattr(flower, "_content", fails)
    found = replies(honest, monkeypatch)
    assert found["a"].failure == "its reply cannot be read (MemoryError)"
    assert found["b"].failure is None


def test_a_thread_that_has_ended_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FlowerTransport, "_run", lambda self: None)
    transport = FlowerTransport(Grid(honest), {}, 60.0)
    transport._thread.join()
    with pytest.raises(EngineError, match="has ended; start the server again"):
        transport.present()
