"""A whole federation on this machine, by the commands of the tutorial: it trains, it recovers, it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afuic.deploy import running
from afuic.deploy.kernel import Family
from afuic.service.client import Client
from afuic.settings import Access, Site, load
from afuic.store.rows import Status

pytestmark = pytest.mark.deployment
PATIENCE_S = 1800.0


def afuic(*arguments: object) -> str:
    argv = [sys.executable, "-m", "afuic.cli", *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


def wait(for_what: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not for_what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(1.0)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("local") / "federation"
    try:
        afuic("deploy", "local", folder, "--hospitals", 2, "--data", "phantom", "--slow", "hospital-1=3", "--detach")
        yield folder
    finally:
        if folder.exists():
            running.stop(running.place(folder))


def status(folder: Path) -> Status:
    with Client(load(folder / "operator" / "client.toml", Access)) as client:
        return client.status()


def applied(folder: Path) -> int:
    return status(folder).applied


def pid(folder: Path, name: str) -> int:
    return int(running.read_status(running.place(folder))[name]["pid"])


def test_it_trains_and_what_is_killed_comes_back(federation):
    wait(lambda: all(client.applied for client in status(federation).clients))
    for name in ("superlink", "server-superexec", "api", "hospital-1-superexec"):
        before, old = applied(federation), pid(federation, name)
        os.kill(old, signal.SIGKILL)
        wait(lambda name=name, old=old: running.read_status(running.place(federation))[name]["pid"] not in {None, old})
        wait(lambda before=before: _sure(lambda: applied(federation) >= before + 2))
    assert status(federation).identity_gap < 1e-4


def _sure(ask: Callable[[], bool]) -> bool:
    """No while the API, which may be the one that was killed, does not answer."""
    from afuic.errors import ServiceError

    try:
        return ask()
    except ServiceError:
        return False


def test_status_tells_of_every_process_here_and_from_afar(federation):
    wait(lambda: _sure(lambda: {row.stage for row in status(federation).processes} == {"ready", "done"}))
    told = {row.name for row in status(federation).processes}
    assert {"superlink", "api", "nginx", "server-superexec", "submit", "hospital-0-supernode"} <= told
    assert all(name in afuic("deploy", "status", federation) for name in told)
    site = load(federation / "hospitals" / "hospital-0" / "hospital.toml", Site)
    with Client(Access(api=site.api, ca=site.ca, token=site.token)) as client:
        assert client.status().processes == ()


def test_only_fleet_and_api_are_open_and_secrets_are_in_no_log(federation):
    access = load(federation / "operator" / "client.toml", Access)
    answers = {
        path: subprocess.run(
            ["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", "--cacert", access.ca, access.api + path],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for path in ("/healthz", "/v1/status", "/v1/control/list-runs", "/v1/runtime/pull", "/", "/docs")
    }
    assert answers == {
        "/healthz": "200",
        "/v1/status": "401",
        "/v1/control/list-runs": "403",
        "/v1/runtime/pull": "403",
        "/": "403",
        "/docs": "403",
    }
    logged = b"".join(path.read_bytes() for path in (federation / "server" / "logs").iterdir())
    secrets = [path.read_bytes().strip() for path in federation.rglob("*") if path.name in {"token", "superexec.secret"}]
    assert len(secrets) == 7
    assert not [secret for secret in secrets if secret in logged]


def test_stopping_leaves_nothing_and_starting_goes_on(federation):
    where = running.place(federation)
    before = status(federation).events
    family = _family(federation)
    assert len(family.members()) >= 9
    assert "processes ended" in afuic("deploy", "stop", federation)
    assert not family.members()
    with _foreground(federation) as command:
        wait(lambda: _sure(lambda: status(federation).events >= before and all(c.online for c in status(federation).clients)))
        assert not [name for name, life in running.read_status(where).items() if life["failures"]]
        family = _family(federation)
        command.send_signal(signal.SIGINT)
        assert command.wait(PATIENCE_S) == 130
    assert not family.members()
    assert running.running(where) is None


def test_it_ends_with_the_command_that_shows_it(federation):
    where = running.place(federation)
    with _foreground(federation) as command:
        wait(lambda: running.running(where) is not None and bool(Family(where.mark).members()))
        command.kill()
        command.wait(PATIENCE_S)
    wait(lambda: running.running(where) is None and not _family(federation).members())


def _family(folder: Path) -> Family:
    where = running.place(folder)
    noted = json.loads((where.run / "sessions.json").read_text())["sessions"]
    return Family(where.mark, sessions={int(number): born for number, born in noted.items()})


def _foreground(folder: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "afuic.cli", "deploy", "local", str(folder)]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
