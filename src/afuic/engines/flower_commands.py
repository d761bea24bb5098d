"""What Flower's programs are called with, as data for whoever supervises them; nothing here imports or starts anything.

On the server: a SuperLink, which hears this machine only, a SuperExec that starts the ServerApp, and ``submit``, which registers the
hospitals' keys and hands the run over. At each hospital: a SuperNode and a SuperExec that starts the ClientApp. What has to be started
again, and when, is in ``docs/deployment/flower.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from afuic.errors import StoreError
from afuic.settings import HOSPITAL_FILE, SERVER_FILE, Server, Site
from afuic.store.files import holding

LOOPBACK = "127.0.0.1"
CONNECTION = "afuic"
SERVER_SETTINGS, SITE_SETTINGS = "AFUIC_SERVER", "AFUIC_SITE"
SERVING = "serving"
MARKS = "AFUIC_MARKS"
"""Names the folder where a program touches a file each time it has done what it is for, so that a supervisor sees that it does."""
POLLED, TURNED, HEARD, BEATEN, PULLED, WORKING, WHY = "polled", "turned", "heard", "beaten", "pulled", "working", "why"
"""Marks: a SuperExec asked for tasks; the ServerApp's loop turned; it heard the SuperLink; a SuperNode's heartbeat was answered, and
its question for messages; a ClientApp works. ``WHY`` holds a sentence of the SuperNode's own."""
REFUSED = 77
"""The exit code of a SuperNode that the server does not let in."""
QUIET: Mapping[str, str] = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class Program:
    """``env`` is added to the environment of whoever starts it."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]


def superlink(folder: Path, settings: Server) -> Program:
    """Keep it running. Its runs survive if it is back within some 25 s. Ready when the port accepts."""
    own = folder / "server"
    argv = (
        *(_tool("flower-superlink"), "--host", LOOPBACK, "--port", str(settings.engine.superlink_port)),
        *("--ssl-certfile", str(own / "tls.pem"), "--ssl-keyfile", str(own / "tls.key")),
        *("--ssl-ca-certfile", str(folder / "ca" / "ca.pem"), "--enable-supernode-auth"),
        *("--isolation", "process", "--database", str(database(folder))),
        *("--superexec-auth-secret-file", str(own / "superexec.secret"), "--disable-runtime-dependency-installation"),
    )
    return Program("superlink", argv, {**_environment(folder), "FLWR_LOG_LEVEL": "WARNING"})


def server_superexec(folder: Path, settings: Server) -> Program:
    """Keep it running. The ServerApp is its child and ends with it; then ``submit`` has to be run again."""
    argv = _superexec(settings.engine.superlink_port, folder / "server" / "superexec.secret")
    argv += ("--root-certificates", str(folder / "ca" / "ca.pem"))
    return Program("server-superexec", argv, {**_environment(folder), SERVER_SETTINGS: str(folder / SERVER_FILE)})


def submit(folder: Path) -> Program:
    """Run it once SuperLink and SuperExec run, and again whenever ``serving`` says no: it ends without error when a ServerApp serves."""
    argv = (sys.executable, "-m", "afuic.engines.flower_submit", str(folder))
    return Program("submit", argv, _environment(folder))


def supernode(folder: Path, site: Site) -> Program:
    """Keep it running; ``folder``: the hospital's own. After a kill the SuperLink refuses it for up to a minute, which it waits out.

    Ours, in place of ``flower-supernode``, which lives on without working when a handshake has failed once. ``REFUSED`` is its exit code
    where the server does not let it in.
    """
    argv = (
        *(sys.executable, "-m", "afuic.engines.flower", "supernode"),
        *("--superlink", site.superlink, "--root-certificates", str(site.ca)),
        *("--auth-supernode-private-key", str(site.node_private_key), "--isolation", "process"),
        *("--host", LOOPBACK, "--port", str(site.runtime_port)),
        *("--superexec-auth-secret-file", str(folder / "superexec.secret")),
    )
    return Program("supernode", argv, _environment(folder))


def hospital_superexec(folder: Path, site: Site) -> Program:
    """Keep it running; the ClientApp is its child and ends with it. It speaks with the SuperNode on this machine alone, without TLS."""
    argv = (*_superexec(site.runtime_port, folder / "superexec.secret"), "--insecure")
    return Program("superexec", argv, {**_environment(folder), SITE_SETTINGS: str(folder / HOSPITAL_FILE)})


def serving(store: Path) -> bool:
    """Whether a ServerApp runs, or waits to, for this store; it holds a lock that ends with its process."""
    try:
        with holding(store.parent / SERVING):
            return False
    except StoreError:
        return True


def home(folder: Path) -> Path:
    """Flower's own folder of the server (below ``server``) or of a hospital."""
    return folder / "server" / "flower" if (folder / "server").is_dir() else folder / "flower"


def marks(folder: Path) -> Path:
    """Where the programs of the server or of a hospital leave their marks."""
    return (folder / "server" if (folder / "server").is_dir() else folder) / "run" / "marks"


def database(folder: Path) -> Path:
    """Where the SuperLink keeps messages under way."""
    return home(folder) / "superlink.db"


def connection(folder: Path, settings: Server) -> str:
    """``config.toml`` in Flower's folder: how its commands find the SuperLink."""
    address, ca = f"{LOOPBACK}:{settings.engine.superlink_port}", folder / "ca" / "ca.pem"
    return f"[superlink]\ndefault = '{CONNECTION}'\n\n[superlink.{CONNECTION}]\naddress = '{address}'\nroot-certificates = '{ca}'\n"


def command(*arguments: str) -> tuple[str, ...]:
    """One of Flower's own commands, its answer as JSON; its exit code is 0 even where it failed."""
    return (_tool("flwr"), *arguments, "--format", "json")


def _superexec(port: int, secret: Path) -> tuple[str, ...]:
    """Ours, in place of ``flower-superexec``: it starts afuic's apps, never code that came over the network."""
    own = (sys.executable, "-m", "afuic.engines.flower", "superexec")
    return (*own, "--runtime-api-address", f"{LOOPBACK}:{port}", "--superexec-auth-secret-file", str(secret))


def _environment(folder: Path) -> dict[str, str]:
    return {**QUIET, "FLWR_HOME": str(home(folder)), MARKS: str(marks(folder))}


def _tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)
