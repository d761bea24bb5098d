"""A federation on Flower's real programs: who is let in, what survives which death, and one erasure from request to certificate.

The tests share one federation and run in their order, each leaving it running.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from afuic.certify.envelope import verify
from afuic.certify.keys import load_public
from afuic.deploy import keys, pki
from afuic.engines import flower_commands as commands
from afuic.store.book import Book
from afuic.store.rows import Command
from tests.engines.flower.running import Running, wait

pytestmark = [pytest.mark.deployment, pytest.mark.slow]


@pytest.fixture
def book(federation: Running) -> Book:
    settings = federation.settings
    return Book.open(settings.database, settings.store)


def applied(book: Book) -> dict[str, int]:
    return {row.name: row.applied for row in book.status().clients}


def goes_on(book: Book, *names: str) -> None:
    """Updates of all of these enter."""
    before = applied(book)
    wait(f"updates of {names}", lambda: all(applied(book)[name] > before.get(name, 0) for name in names))


def test_hospitals_train(federation: Running, book: Book) -> None:
    wait("both have joined", lambda: len(applied(book)) == 2)
    goes_on(book, *federation.names)
    assert book.status().quarantined == 0


def test_no_code_that_came_with_the_run_is_run(federation: Running) -> None:
    assert list(federation.folder.glob("hospitals/*/flower/apps/*/*/__init__.py"))
    assert not (federation.folder / "imported").exists()


def test_tokens_are_not_in_the_list_of_processes(federation: Running) -> None:
    (server,) = federation.servers()
    said = [Path(f"/proc/{server}/{name}").read_bytes() for name in ("cmdline", "environ")]
    assert b"forkserver" in said[0]
    assert not any(b"token" in text.lower() for text in said)


def test_the_outside_reaches_the_fleet_s_endpoint_only(federation: Running) -> None:
    trusted = ssl.create_default_context(cafile=str(federation.folder / "ca" / "ca.pem"))
    base = f"https://localhost:{federation.settings.engine.public_port}"
    for path in ("/v1/control/list-runs", "/v1/control/start-run", "/v1/runtime/acquire-task", "/docs", "/"):
        assert httpx.post(base + path, content=b"x", verify=trusted).status_code == 403


def test_a_key_that_is_not_registered_is_refused(federation: Running, tmp_path: Path) -> None:
    intruder(federation, tmp_path, keys.node(), federation.folder / "ca" / "ca.pem")
    process = federation.processes["intruder"]
    assert process.wait(600) == commands.REFUSED
    assert "its node key is not registered there" in federation.said("intruder")


def test_a_server_that_another_authority_vouches_for_is_not_believed(federation: Running, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(pki.authority("other").certificate)
    start = len(federation.said("intruder"))
    intruder(federation, tmp_path, keys.node(), tmp_path / "other.pem", {"FLWR_LOG_LEVEL": "DEBUG"})
    wait("it is refused", lambda: "certificate verify failed" in federation.said("intruder")[start:])
    assert "SuperNode ID" not in federation.said("intruder")
    federation.kill("intruder")


def test_a_node_that_is_no_hospital_s_is_sent_nothing(federation: Running, book: Book, tmp_path: Path) -> None:
    """Registered by somebody on the server's machine, named like a hospital: its key decides."""
    pair = keys.node()
    (tmp_path / "node.pub").write_bytes(pair.public)
    argv = commands.command("supernode", "register", str(tmp_path / "node.pub"), "afuic", "--name", "hospital-0")
    environment = {**os.environ, **federation.env, **commands.submit(federation.folder).env}
    answer = json.loads(subprocess.run(argv, env=environment, capture_output=True, check=True).stdout)
    intruder(federation, tmp_path, pair, federation.folder / "ca" / "ca.pem")
    wait("it is connected", lambda: "SuperNode ID" in federation.said("intruder"))
    wait("it is noticed", lambda: f"node {answer['node-id']} is connected" in federation.said("server-superexec"))
    goes_on(book, *federation.names)
    assert "Receiving" not in federation.said("intruder")
    federation.kill("intruder")


def intruder(federation: Running, folder: Path, pair: keys.Pair, ca: Path, env: dict[str, str] | None = None) -> None:
    (folder / "node.key").write_bytes(pair.private)
    (folder / "superexec.secret").write_bytes(keys.shared())
    site = federation.site("hospital-0").model_copy(
        update={"node_private_key": folder / "node.key", "ca": ca, "runtime_port": free()}
    )
    program = commands.supernode(folder, site)
    federation.start(commands.Program("intruder", program.argv, {**program.env, **(env or {})}))


def free() -> int:
    from afuic.deploy.checks import free_ports

    return free_ports(1, str(os.getpid()))[0]


def test_a_killed_supernode_comes_back(federation: Running, book: Book) -> None:
    """Started again as a supervisor would: the SuperLink refuses it while it still counts the dead one as connected."""
    federation.kill("node-hospital-0")
    before = federation.said("node-hospital-0").count("SuperNode ID")
    federation.node("hospital-0")

    def back() -> bool:
        if not federation.running("node-hospital-0"):
            federation.node("hospital-0")
            time.sleep(5.0)
        return federation.said("node-hospital-0").count("SuperNode ID") > before

    wait("it is let in again", back)
    goes_on(book, "hospital-0", "hospital-1")


def test_handshakes_that_fail_take_no_hospital_off(federation: Running, book: Book) -> None:
    """As under a flood of half-finished ones: Flower's own SuperNode would give up for good, and live on."""
    names = [f"node-{name}" for name in federation.names]
    before = {name: federation.said(name).count("Connection attempt failed") for name in names}
    federation.kill("nginx")
    with hanging_up(federation.settings.engine.public_port) as hung_up:
        wait("connections are hung up on", lambda: len(hung_up) > 4)
        wait("all notice", lambda: all(federation.said(n).count("Connection attempt failed") > before[n] for n in names))
    federation.nginx()
    goes_on(book, *federation.names)
    assert all(federation.running(name) for name in names)


@contextmanager
def hanging_up(port: int) -> Iterator[list[int]]:
    """Somebody listens there, hears how a handshake begins, and hangs up; how much was heard each time."""
    heard: list[int] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    heard.append(len(connection.recv(4096)))

    with socket.create_server(("127.0.0.1", port)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield heard
        server.shutdown(socket.SHUT_RDWR)


def test_a_killed_superlink_loses_no_run(federation: Running, book: Book) -> None:
    server = federation.servers()
    federation.kill("superlink")
    federation.superlink()
    goes_on(book, *federation.names)
    assert federation.servers() == server


def test_a_killed_serverapp_is_followed_by_another(federation: Running, book: Book) -> None:
    store = federation.settings.store
    assert commands.serving(store)
    (server,) = federation.servers()
    os.kill(server, signal.SIGKILL)
    wait("nobody serves", lambda: not commands.serving(store), 30.0)
    assert federation.submit() == 0, federation.said("submit")
    goes_on(book, *federation.names)


def test_a_run_that_is_served_is_left_alone(federation: Running) -> None:
    server = federation.servers()
    assert federation.submit() == 0
    assert federation.servers() == server


def test_an_erasure_ends_with_a_certificate(federation: Running, book: Book) -> None:
    asked = Command(0, "erase", "leave", "hospital-0", None, None, "leaves", "operator", "once", time.time())
    book.ask(asked)
    wait("the certificate", lambda: bool(book.certificates()), 400.0)
    (certificate,) = book.certificates()
    found = verify(certificate.envelope, load_public(federation.folder / "server" / "certificate.pub"))
    assert found is not None
    assert book.request("leave").phase == "completed"
    goes_on(book, "hospital-1")


def test_every_update_was_applied_once(federation: Running, book: Book) -> None:
    tasks = Counter(row.task for name in federation.names for row in book.contributions(name, 10_000))
    assert tasks
    assert set(tasks.values()) == {1}
    assert book.check() < 1e-4
