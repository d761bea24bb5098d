"""A federation whose truth lies in PostgreSQL: one line of its settings, everything else as in the tutorial; its server may crash."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from afuic.config import parse
from afuic.deploy import local, running
from afuic.settings import SERVER_FILE
from tests.deploy.test_local import afuic, applied, status, wait
from tests.engines.flower.conftest import CONFIG
from tests.store.postgres import Postgres, started

pytestmark = pytest.mark.deployment
STAYS, LEAVES = "hospital-0", "hospital-1"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = started()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def federation(postgres: Postgres, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "federation"
    local.create(folder, parse(CONFIG), (STAYS, LEAVES), {})
    settings = (folder / SERVER_FILE).read_text(encoding="utf-8")
    assert settings.count('database = "none"') == 1
    (folder / SERVER_FILE).write_text(settings.replace('database = "none"', f'database = "{postgres.database()}"'))
    try:
        afuic("deploy", "local", folder, "--detach")
        yield folder
    finally:
        running.stop(running.place(folder))


def test_an_erasure_is_certified_from_postgresql_which_was_killed_meanwhile(federation: Path, postgres: Postgres) -> None:
    wait(lambda: all(client.applied for client in status(federation).clients))
    postgres.kill()
    postgres.start()
    before = applied(federation)
    wait(lambda: applied(federation) > before)
    home = ("--home", federation / "operator")
    (request,) = re.findall(r"\br-[0-9a-f]+", afuic("erase", "--client", LEAVES, "--reason", "leaves", *home))
    afuic("requests", request, "--watch", *home)
    certificate = federation / "certificate.json"
    argv = [sys.executable, "-m", "afuic.cli", "certificate", request, "--out", certificate, *home]
    wait(lambda: subprocess.run(argv, capture_output=True, check=False).returncode == 0)
    afuic("verify", certificate, "--key", federation / "server" / "certificate.pub")
    assert not list((federation / "server").rglob("afuic.db*"))
    logs = b"".join(path.read_bytes() for path in (federation / "server" / "logs").iterdir())
    assert postgres.password.encode() not in logs
