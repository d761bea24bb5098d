"""``python -m afuic.service`` as a process of its own, over TLS, on a port of this machine, with keys made for the test."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import tomli_w
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from afuic.settings import Server
from tests.service.conftest import Driver, configured, issue

ROOT = Path(__file__).parents[2]


def authority(folder: Path, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A CA; its certificate is ``folder/name.pem``."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(name, key, name, key).sign(key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def server_keys(folder: Path, signer: ec.EllipticCurvePrivateKey, issuer: str) -> None:
    """tls.pem and tls.key for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _certificate("localhost", key, issuer, signer, x509.SubjectAlternativeName([x509.DNSName("localhost")]))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "tls.pem").write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(pem))
    (folder / "tls.key").touch(0o600)
    (folder / "tls.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    names: x509.SubjectAlternativeName | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if names is None:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return builder.add_extension(usage, critical=True)
    return builder.add_extension(names, critical=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Running:
    """The process, and what it takes to call it."""

    folder: Path
    port: int
    settings: Server
    secrets: dict[str, str]
    driver: Driver
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "service.log"

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.folder / "ca.pem")

    def get(self, who: str, path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.secrets[who]}"}
        return httpx.get(self.url + path, headers=headers, verify=self.context(), trust_env=False, timeout=None)  # noqa: S113

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "afuic.service", str(self.folder / "federation.toml")]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log, stdout=log, start_new_session=True)
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.2)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send it a signal and wait for its end; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(60)
        self.driver.book.close()

    def _answers(self) -> bool:
        try:
            return httpx.get(self.url + "/healthz", verify=self.context(), trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def running(folder: Path, **api: Any) -> Iterator[Running]:
    """The service on a populated store, until the block ends."""
    _, key = authority(folder, "ca")
    server_keys(folder, key, "ca")
    port = free_port()
    secrets = issue(folder)
    api = {"port": port, "certificate": folder / "tls.pem", "key": folder / "tls.key", "tokens": folder / "tokens.json"} | api
    settings = configured(folder).model_copy(update={"api": configured(folder).api.model_copy(update=api)})
    text = settings.model_dump(mode="json", exclude_none=True)
    (folder / "federation.toml").write_text(tomli_w.dumps(text))
    driver = Driver(None, settings.store)
    driver.populate()
    found = Running(folder, port, settings, secrets, driver)
    try:
        found.start()
        yield found
    finally:
        found.close()
