"""Replies made to end the server: nothing that reading or judging one raises goes further than its sender, and a death is counted."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from afuic.engines.live.attempts import DEATHS, MARK, Attempts, Deadly
from afuic.engines.live.driver import PER_TURN, WAITING
from afuic.engines.live.gate import REASON, Gate, Held
from afuic.engines.live.messages import Answer, pack_answer
from afuic.engines.live.transport import Reply
from afuic.params import Params
from afuic.protocol import initial, invariants
from afuic.protocol.effects import Train
from afuic.settings import Gate as Limits
from tests.engines.live.conftest import Live, Make

MODEL: Params = {"w": torch.zeros(2, 2)}
DOCUMENT, TENSORS = pack_answer(Answer("a/0", MODEL))
GATE = Gate(Limits(), lambda params, images: images @ params["w"], torch.eye(2))
BAD = "hospital-1"
Spoil = Callable[[Reply], Reply]


def headed(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + body


NESTED = b'{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"__metadata__":' + b"[" * 1000 + b"]" * 1000 + b"}"
DOCUMENTS: dict[str, tuple[bytes, str]] = {
    "a megabyte of brackets": (b"[" * 1_000_000, "nested deeper"),
    "nested in its place": (DOCUMENT[:-1] + b', "numbers": ' + b'{"a":' * 100_000, "nested deeper"),
    "UTF-16": (DOCUMENT.decode().encode("utf-16"), "not UTF-8"),
    "UTF-16 without its mark": (DOCUMENT.decode().encode("utf-16-le"), "not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + DOCUMENT, "byte order mark"),
    "a huge number": (DOCUMENT.replace(b'"numbers": null', b'"numbers": {"a": ' + b"9" * 5000 + b"}"), "more than 64 digits"),
    "a large number": (DOCUMENT.replace(b'"numbers": null', b'"numbers": {"a": 1' + b"0" * 9 + b"e300}"), "NaN, infinity"),
    "not a number": (DOCUMENT.replace(b'"numbers": null', b'"numbers": {"a": NaN}'), "NaN"),
    "a key twice": (DOCUMENT[:-1] + b', "task": "a/1"}', "a key twice"),
    "a name without end": (DOCUMENT.replace(b'"numbers": null', b'"numbers": {"' + b"a" * 300 + b'": 1}'), "scores: a"),
    "half a character": (DOCUMENT.replace(b'"a/0"', b'"\\ud800"'), "surrogate"),
}
HEADERS: dict[str, tuple[bytes, str]] = {
    "a nested header": (headed(NESTED, bytes(16)), "nested deeper"),
    "a header of brackets": (headed(b"[" * 4000), "nested deeper"),
    "a header longer than any": (headed(b"{" + b" " * 4364 + b"}"), "its header is of 4366 bytes"),
    "a name twice": (
        headed(b'{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"w":1}', bytes(16)),
        "a key twice",
    ),
    "a header that says 2^63": (struct.pack("<Q", 1 << 63) + b"{}", "its header is of 9223372036854775808 bytes"),
    "half a length": (b"\x01\x02", "its header"),
    "an unknown type": (headed(b'{"w":{"dtype":"F99","shape":[2,2],"data_offsets":[0,16]}}', bytes(16)), "not safetensors"),
    "a negative shape": (headed(b'{"w":{"dtype":"F32","shape":[-2,-2],"data_offsets":[0,16]}}', bytes(16)), "not safetensors"),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_poisonous_document_is_held_with_its_reason(kind: str) -> None:
    document, why = DOCUMENTS[kind]
    found = GATE.read(Reply("a/0", "a", document, TENSORS), MODEL)
    assert isinstance(found, Held)
    assert why in found.reason
    assert len(found.reason) <= REASON


@pytest.mark.parametrize("kind", HEADERS)
def test_a_poisonous_header_is_held_with_its_reason(kind: str) -> None:
    tensors, why = HEADERS[kind]
    found = GATE.read(Reply("a/0", "a", DOCUMENT, tensors), MODEL)
    assert isinstance(found, Held)
    assert why in found.reason


def test_a_model_of_a_thousand_named_tensors_fits_its_own_bound() -> None:
    large = {f"block.{n}.attention.in_proj_weight": torch.zeros(1) for n in range(1000)}
    found = GATE.read(Reply("a/0", "a", *pack_answer(Answer("a/0", large))), large)
    assert isinstance(found, Answer)


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(Answer("a/0").task),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("task", "format", "failed", "x")), inner),
    max_leaves=12,
)
nestings = st.builds(
    lambda opening, depth, closed: opening * depth + {b"[": b"]", b'{"a":': b"}", b'[{"a":[': b"]}]"}[opening] * depth * closed,
    st.sampled_from((b"[", b'{"a":', b'[{"a":[')),
    st.integers(1, 100_000),
    st.booleans(),
)


def spliced(content: bytes, place: int, cut: int, piece: bytes) -> bytes:
    place %= len(content) + 1
    return content[:place] + piece + content[place + cut :]


pieces = nestings | st.binary(max_size=12) | st.builds(lambda tree: json.dumps(tree).encode(), trees)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 40), pieces, st.booleans())
def test_whatever_stands_in_a_reply_it_is_read_or_held(place: int, cut: int, piece: bytes, in_tensors: bool) -> None:
    """A hospital's own signed bytes, with anything at any place of the document or of the tensors, nested documents among them."""
    reply = Reply("a/0", "a", DOCUMENT, spliced(TENSORS, place, cut, piece))
    reply = reply if in_tensors else Reply("a/0", "a", spliced(DOCUMENT, place, cut, piece), TENSORS)
    found = GATE.read(reply, MODEL)
    if isinstance(found, Answer) and found.delta is not None:
        found = GATE.objection(Train("a/0", "a", MODEL, 0, 0), found.delta, None, initial(MODEL)) or found
    assert isinstance(found, Answer) or found.reason


@pytest.mark.parametrize("error", [RecursionError, MemoryError, OverflowError, RuntimeError("tensor")])
def test_whatever_judging_raises_is_held(monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(GATE, "_too_large", fails)
    found = GATE.objection(Train("a/0", "a", MODEL, 0, 0), MODEL, None, initial(MODEL))
    assert isinstance(found, Held)
    assert "cannot be read or judged" in found.reason


def of_bad(change: Spoil) -> Spoil:
    return lambda reply: change(reply) if reply.client == BAD else reply


@pytest.mark.parametrize("kind", ["a megabyte of brackets", "UTF-16", "a huge number", "a nested header"])
def test_the_others_train_on_and_the_hospital_is_named(live: Make, kind: str) -> None:
    bad = {"document": DOCUMENTS[kind][0]} if kind in DOCUMENTS else {"tensors": HEADERS[kind][0]}
    found = live(spoil=of_bad(lambda reply: replace(reply, **bad)))
    found.turns(40)
    clients = found.state.clients
    assert {row.client for row in found.book.quarantined()} == {BAD}
    assert clients[BAD].applied == 0
    assert clients["hospital-0"].applied > 10
    invariants.check(found.state)


def test_an_update_that_the_core_cannot_take_up_is_held_and_its_task_has_failed(
    live: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from afuic.engines.live import standing

    step = standing.step

    def fails(rules: Any, state: Any, event: Any) -> Any:
        if type(event).__name__ == "UpdateArrived" and event.client == BAD:
            raise ZeroDivisionError
        return step(rules, state, event)

    monkeypatch.setattr(standing, "step", fails)
    found = live()
    found.turns(40)
    assert "cannot be taken up (ZeroDivisionError)" in found.book.quarantined()[0].reason
    assert found.state.clients[BAD].tasks >= 2  # the first has failed, another was handed out
    assert found.state.clients["hospital-0"].applied > 10


class Ended(BaseException):
    """The process is gone: no code of it runs any more."""


def deadly(found: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply of the bad hospital ends the server's process; another one is started."""

    def reads(reply: Reply, like: Params) -> Any:
        if reply.client == BAD:
            raise Ended
        return Gate.read(found.driver.gate, reply, like)

    monkeypatch.setattr(found.driver.gate, "read", reads)
    with pytest.raises(Ended):
        found.turns(60)
    found.stop()
    found.start()


def test_a_reply_that_ends_the_process_is_read_twice_and_no_more(live: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    found = live()
    for _ in range(2):
        deadly(found, monkeypatch)
    first = found.state.clients["hospital-0"].applied
    found.turns(100)  # 10 s: the hospital rests for 60
    assert "ended 2 times while it read an answer" in found.book.quarantined()[0].reason
    assert f"{BAD}/0" not in found.driver.standing.open.work
    assert found.state.clients[BAD].applied == 0
    assert found.state.clients["hospital-0"].applied > first + 10
    found.turns(20, step_s=5.0)
    assert found.state.clients[BAD].applied > 0
    assert json.loads((found.trial.settings.store / DEATHS).read_text()) == {}


def test_deaths_are_counted_forgiven_and_survive_what_is_half_written(tmp_path: Path) -> None:
    def dies(task: str) -> None:
        with pytest.raises(Ended), Attempts(tmp_path).reading("a", task):
            raise Ended

    dies("a/0")
    assert Attempts(tmp_path).deadly == []
    dies("a/0")
    found = Attempts(tmp_path)
    assert found.deadly == [Deadly("a", "a/0", 2)]
    assert found.deadly[0].rest_s == 60.0
    assert Attempts(tmp_path).deadly == []  # told once
    dies("a/1")
    assert [(d.deaths, d.rest_s) for d in Attempts(tmp_path).deadly] == [(3, 120.0)]
    with Attempts(tmp_path).reading("a", "a/2"):
        pass
    with pytest.raises(ValueError, match="lives"), Attempts(tmp_path).reading("a", "a/3"):
        raise ValueError("it lives")
    assert json.loads((tmp_path / DEATHS).read_text()) == {"a": 2}
    (tmp_path / MARK).write_text('{"client": "a')
    assert Attempts(tmp_path).deadly == []


def test_a_flood_of_replies_keeps_nobody_waiting_and_fills_no_record(live: Make) -> None:
    found = live()
    receive = found.driver.transport.receive

    def flooded() -> list[Reply]:
        sent = found.driver.clock.now()
        return [*(Reply(f"{BAD}/{n}{sent:.3f}", BAD, b"[" * 1000) for n in range(3 * WAITING)), *receive()]

    found.driver.transport.receive = flooded  # type: ignore[method-assign]
    found.turns(60)
    assert len(found.driver.inbox) <= WAITING
    assert len(found.book.quarantined(10_000)) <= 4 * PER_TURN  # in 6 s: pauses of 1, 2 and 4 s
    assert found.state.clients["hospital-0"].applied > 20
    assert found.state.clients["hospital-2"].applied > 5
