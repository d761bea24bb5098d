"""The API as a process of its own: TLS, a store it shares with the server, and an end at any moment."""

from __future__ import annotations

import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from afuic.errors import ConfigError
from afuic.service.__main__ import configured as serving
from afuic.service.__main__ import main
from tests.service.conftest import configured, issue
from tests.service.process import Running, authority, running

PATIENTS = {"client": "hospital-1", "reason": "withdrawn", "patients": 2, "salted": "sha256:" + "7" * 64}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("service")) as found:
        yield found


@pytest.mark.deployment
def test_it_speaks_tls_to_those_who_know_its_ca(service: Running):
    assert service.get("auditor", "/v1/status").json()["version"] == 3
    authority(service.folder, "other")
    wrong = ssl.create_default_context(cafile=service.folder / "other.pem")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(service.url + "/healthz", verify=wrong, trust_env=False)
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"https://127.0.0.1:{service.port}/healthz", verify=service.context(), trust_env=False)


@pytest.mark.deployment
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_it_speaks_nothing_else(service: Running):
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://localhost:{service.port}/healthz", trust_env=False)
    old = service.context()
    old.minimum_version, old.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("localhost", service.port)) as raw, pytest.raises(ssl.SSLError):
        old.wrap_socket(raw, server_hostname="localhost")


@pytest.mark.deployment
@pytest.mark.parametrize(
    "suite", ["ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES128-SHA256", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-CCM8"]
)
def test_it_offers_no_suite_without_forward_secrecy_and_authenticated_encryption(service: Running, suite: str):
    weak = service.context()
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers(f"{suite}:@SECLEVEL=0")
    with socket.create_connection(("localhost", service.port)) as raw, pytest.raises(ssl.SSLError):
        weak.wrap_socket(raw, server_hostname="localhost")


@pytest.mark.deployment
def test_a_header_that_is_too_long_is_refused(service: Running):
    with socket.create_connection(("localhost", service.port)) as raw:
        connection = service.context().wrap_socket(raw, server_hostname="localhost")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Much: ")
        for _ in range(100):
            connection.sendall(b"x" * 10_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
        connection.close()
    assert service.get("operator", "/v1/status").status_code == 200


@pytest.mark.deployment
def test_many_at_once_with_one_key_are_one_request(service: Running):
    def ask(_: int) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {service.secrets['hospital-1']}", "Idempotency-Key": "at-once"}
        address, context = service.url + "/v1/requests", service.context()
        answer = httpx.post(address, json=PATIENTS, headers=headers, verify=context, trust_env=False, timeout=None)  # noqa: S113
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))
    assert sorted(status for status, _ in answers) == [200] * 15 + [202]
    assert len({request for _, request in answers}) == 1
    assert sum(command.key == "at-once" for command in service.driver.book.commands()) == 1


@pytest.mark.deployment
def test_what_it_has_acknowledged_survives_a_kill(service: Running):
    def ask() -> httpx.Response:
        headers = {"Authorization": f"Bearer {service.secrets['operator']}", "Idempotency-Key": "before-the-kill"}
        body = {"client": "hospital-2", "reason": "left"}
        return httpx.post(service.url + "/v1/requests", json=body, headers=headers, verify=service.context(), trust_env=False)

    first = ask()
    assert first.status_code == 202
    assert service.kill() == -signal.SIGKILL
    service.start()
    again = ask()
    assert again.status_code == 200
    assert again.json() == first.json()
    assert service.kill(signal.SIGTERM) in {0, -signal.SIGTERM}
    log = service.log.read_text()
    assert "Traceback" not in log
    assert not any(secret in log for secret in service.secrets.values())
    service.start()


def test_without_tls_it_stays_on_this_machine(tmp_path):
    issue(tmp_path)
    assert serving(configured(tmp_path)).host == "127.0.0.1"
    with pytest.raises(ConfigError, match=r"api\.certificate"):
        serving(configured(tmp_path, host="0.0.0.0"))  # noqa: S104 - what is refused


def test_missing_keys_and_settings_are_named(tmp_path, capsys):
    issue(tmp_path)
    settings = configured(tmp_path)
    api = settings.api.model_copy(update={"certificate": tmp_path / "tls.pem", "key": tmp_path / "tls.key"})
    with pytest.raises(ConfigError, match=r"tls\.pem: no such file"):
        serving(settings.model_copy(update={"api": api}))
    assert main([]) == 2
    assert main([str(tmp_path / "federation.toml")]) == 2
    said = capsys.readouterr().err
    assert "usage: " in said
    assert "no such file; 'afuic deploy init' writes one" in said
    assert "uvicorn" in sys.modules
