"""How our SuperNode differs from Flower's: what fails on the network is tried again, what the server refuses is said, marks are left."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from afuic.engines import flower
from afuic.engines import flower_commands as commands

REQUEST = httpx.Request("POST", "https://localhost/v1/fleet/pull-messages")


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(commands.MARKS, str(tmp_path))
    return tmp_path


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Exit codes with which the program would have ended."""

    def end(code: int) -> None:
        codes.append(code)
        raise SystemExit(code)

    codes: list[int] = []
    monkeypatch.setattr(flower.os, "_exit", end)
    monkeypatch.setattr(flower.time, "sleep", lambda s: None)
    return codes


def status(code: int) -> httpx.HTTPStatusError:
    return httpx.HTTPStatusError(str(code), request=REQUEST, response=httpx.Response(code, request=REQUEST))


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)"),
        httpx.ConnectError("_ssl.c:989: The handshake operation timed out"),
        httpx.ReadError("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] ssl/tls alert handshake failure"),
        httpx.ConnectTimeout("TLS handshake timed out"),
        httpx.ConnectError("[Errno 104] Connection reset by peer"),
        status(502),
        status(503),
    ],
)
def test_a_failed_handshake_is_tried_again_like_any_failure_of_the_network(error):
    tries = []

    def call() -> str:
        tries.append(1)
        if len(tries) < 4:
            raise error
        return "answered"

    invoker = flower.persistent()
    invoker.wait_function = lambda seconds: None
    assert invoker.invoke(call) == "answered"
    assert len(tries) == 4


def test_the_longest_pause_between_two_tries_is_short():
    waits = flower.persistent().wait_gen_factory()
    assert max(next(waits) for _ in range(20)) <= flower.AGAIN_S


def test_a_server_of_another_authority_is_not_asked_again(marks, ended):
    def call() -> None:
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate")

    with pytest.raises(SystemExit):
        flower.persistent().invoke(call)
    assert ended == [commands.REFUSED]
    assert "ca.pem" in (marks / commands.WHY).read_text()


def test_a_node_that_is_refused_waits_out_its_predecessor_and_says_so(marks, ended):
    answers: list[Any] = [status(412), status(412), "in"]

    def call(self: object, request: object) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            assert len(answers) == 2 or "not registered there, or the server still counts" in (marks / commands.WHY).read_text()
            raise answer
        return answer

    assert flower.activated(call)(SimpleNamespace(), None) == "in"
    assert ended == []
    assert "has let this hospital in" in (marks / commands.WHY).read_text()


def test_a_node_that_stays_refused_ends_and_says_why(marks, ended):
    def call(self: object, request: object) -> None:
        raise status(412)

    with pytest.raises(SystemExit):
        flower.activated(call, patience_s=-1.0)(SimpleNamespace(), None)
    assert ended == [commands.REFUSED]
    assert (marks / commands.WHY).read_text().endswith("its node key is not registered there; ask the server's operator")


def test_a_supernode_whose_work_has_ended_ends(marks, ended, monkeypatch):
    """Flower's own lives on: its server for ClientApps keeps the process."""
    monkeypatch.setattr(flower, "flower_supernode", lambda: None)
    monkeypatch.setattr(flower.FleetHttpClient, "ActivateNode", flower.FleetHttpClient.ActivateNode)
    connection = __import__("flwr.supernode.fleet_http_connection", fromlist=["x"])
    monkeypatch.setattr(connection, "make_simple_http_retry_invoker", connection.make_simple_http_retry_invoker)
    with pytest.raises(SystemExit):
        flower.supernode()
    assert ended == [1]
    assert "has ended" in (marks / commands.WHY).read_text()


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/v1/fleet/send-node-heartbeat", {commands.BEATEN}),
        ("/v1/fleet/pull-messages", {commands.PULLED}),
        ("/v1/fleet/push-object", {commands.PULLED}),
        ("/v1/runtime/acquire-task", {commands.POLLED}),
        ("/v1/runtime/get-run", set()),
    ],
)
def test_what_has_been_answered_leaves_its_mark(marks, path, left):
    assert flower.marked(lambda self, *, path: "answer")(None, path=path) == "answer"
    assert set(os.listdir(marks)) == left


def test_what_fails_leaves_none(marks):
    def fails(self: object, *, path: str) -> None:
        raise ssl.SSLError("handshake")

    with pytest.raises(ssl.SSLError):
        flower.marked(fails)(None, path="/v1/fleet/pull-messages")
    assert not list(marks.iterdir())
