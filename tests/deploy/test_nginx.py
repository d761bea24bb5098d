"""nginx as it stands before a federation: what passes, what is offered, what it logs, and that half a handshake keeps nobody out."""

from __future__ import annotations

import http.server
import resource
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path

import pytest

from afuic import tls
from afuic.deploy import checks, files, listing, planning
from afuic.deploy.planning import Plan
from afuic.settings import Api, Engine
from tests.engines.flower.running import wait

pytestmark = [
    pytest.mark.deployment,
    pytest.mark.skipif(shutil.which("nginx", path=f"/usr/sbin:{listing.FOUND_IN}") is None, reason="nginx is not installed"),
]
HALF_OPEN = 4000
WEAK = ("AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-CCM8", "ECDHE-ECDSA-CAMELLIA256-SHA384")
"""Of CBC twice, CCM with a short tag, Camellia; OpenSSL's names, which it takes at security level 0 only."""


@dataclass
class Front:
    """nginx and what lies behind it: ``seen`` holds each request's method, path, Host and body length."""

    folder: Path
    port: int
    seen: list[tuple[str, str, str | None, int]] = field(default_factory=list)
    log: Path = Path()

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> HTTPResponse:
        with closing(HTTPSConnection("localhost", self.port, timeout=60, context=tls.calling(self.folder / "ca/ca.pem"))) as c:
            c.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = c.getresponse()
            answer.read()
            return answer


def behind(front: Front, port: int) -> http.server.ThreadingHTTPServer:
    class Echo(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            left = length
            while left:
                left -= len(self.rfile.read(min(left, 1 << 20)))
            front.seen.append((self.command, self.path, self.headers.get("Host"), length))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - as http.server calls it

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(front.folder / "server/tls.pem", front.folder / "server/tls.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Echo)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def front(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx") / "federation"
    superlink, public, api = checks.free_ports(3, str(folder))
    engine = Engine(superlink_port=superlink, public_port=public)
    made = Plan(plan.federation, plan.images, plan.hospitals, engine, Api(port=api))
    files.write_tree(folder, planning.tree(made))
    front = Front(folder, public, log=folder / "server/logs/nginx.log")
    servers = [behind(front, port) for port in (superlink, api)]
    with front.log.open("wb") as log:
        process = subprocess.Popen(listing.nginx(folder), stdout=log, stderr=log)
    try:
        wait("nginx answers", checks.answers(public, "/", folder / "ca/ca.pem", status=403))
        yield front
    finally:
        process.terminate()
        process.wait()
        for server in servers:
            server.shutdown()
            server.server_close()


def test_what_passes_and_what_does_not(front):
    key = {"flwr_public_key": "QUJD"}
    assert front.ask("/v1/fleet/pull-messages", "POST", b"x" * 45_000_000, **key).status == 200
    assert front.seen[-1] == ("POST", "/v1/fleet/pull-messages", "localhost", 45_000_000)
    assert front.ask("/v1/status", Host="evil.example").status == 200
    assert front.seen[-1][2] == "localhost"
    assert front.ask("/healthz").status == 200
    for path, method in (
        ("/v1/fleet", "POST"),
        ("/v1/fleet/", "POST"),
        ("/v1/fleet/pull-messages", "GET"),
        ("/v1/fleet/../control/run", "POST"),
        ("/v1/control/run", "POST"),
    ):
        assert front.ask(path, method, **key).status == 403, path
    assert front.ask("/v1/fleet/pull-messages", "POST").status == 403
    assert front.ask("/v1/fleet/pull-messages", "POST", flwr_public_key="not base64").status == 403


@pytest.mark.parametrize("path", ["/v1/fleet", "/v1/status/", "//v1/fleet", "/v1", "/v1/fleet/x/"])
def test_nothing_is_redirected_to_a_host_that_the_caller_named(front, path):
    answer = front.ask(path, Host="evil.example")
    assert answer.getheader("Location") is None
    assert "evil.example" not in str(answer.headers)


def test_no_suite_without_forward_secrecy_and_authenticated_encryption_is_taken(front):
    for suite in (*WEAK, *tls.SUITES.split(":")):
        context = tls.calling(front.folder / "ca/ca.pem")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{suite}:@SECLEVEL=0")
        taken = handshake(context, front.port)
        assert taken == (suite if suite not in WEAK and "ECDSA" in suite else None)
    context = tls.calling(front.folder / "ca/ca.pem")
    assert str(handshake(context, front.port)).startswith("TLS_")


def handshake(context: ssl.SSLContext, port: int) -> str | None:
    """The suite that was agreed on; None where there was none."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as s,
        ):
            return str(s.cipher()[0])
    except ssl.SSLError:
        return None


def test_a_token_in_a_query_is_in_no_log(front):
    token = "sesame-open-" + "x" * 31
    for path in ("/v1/status", "/healthz", "/nothing", "/v1/fleet/pull-messages"):
        front.ask(f"{path}?token={token}", Authorization=f"Bearer {token}")
        front.ask(f"{path}/{token}")
        front.ask(f"{path}?token={token}", "POST", flwr_public_key="QUJD")
    assert front.ask("/v1/requests?token=sesame-open", "POST", b"x" * 100_000).status == 413
    wait("it is logged", lambda: "POST /v1/requests 413" in front.log.read_text())
    assert "GET /v1/status 200" in front.log.read_text()
    assert "sesame" not in front.log.read_text()


def test_half_finished_handshakes_keep_nobody_out(front):
    room = resource.getrlimit(resource.RLIMIT_NOFILE)
    if room[1] != resource.RLIM_INFINITY and room[1] < HALF_OPEN + 1000:
        pytest.skip("too few files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(room[0], min(room[1], HALF_OPEN + 1000)), room[1]))
    with ExitStack() as held:
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, room)
        hello = client_hello()
        for _ in range(HALF_OPEN):
            half = held.enter_context(socket.create_connection(("127.0.0.1", front.port), 60))
            half.sendall(hello)
        assert front.ask("/v1/fleet/pull-messages", "POST", b"x", flwr_public_key="QUJD").status == 200
        assert front.ask("/healthz").status == 200
        half.settimeout(60)
        with suppress(ConnectionResetError):
            while half.recv(65536):
                pass


def client_hello() -> bytes:
    """How a TLS handshake begins."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def test_one_node_is_slowed_down_and_others_are_not(front):
    busy = [front.ask("/v1/fleet/pull-messages", "POST", flwr_public_key="QUJE").status for _ in range(400)]
    assert set(busy) <= {200, 503}
    assert front.ask("/v1/fleet/pull-messages", "POST", flwr_public_key="QUJF").status == 200
