"""Which processes the server and a hospital consist of, what each waits for, and how to tell that it is there."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from afuic.deploy import checks
from afuic.deploy.layout import Layout
from afuic.deploy.processes import Process
from afuic.engines import flower_commands as flower
from afuic.errors import ConfigError
from afuic.settings import HOSPITAL_FILE, LOOPBACK, SERVER_FILE, Api, Server, Site, load, private

FOUND_IN = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))
"""Where nginx may be, besides the user's own search path."""
SUBMISSION_S = 240.0
QUIET_S, BEAT_S, LONGEST_PUSH_S, LONGEST_TURN_S, LONGEST_MESSAGE_S = 60.0, 90.0, 300.0, 600.0, 900.0
"""How long a mark may be old: of what is done every few seconds; a SuperNode's heartbeat, answered every 22 s at the latest; large
messages' way between ServerApp and SuperLink; a turn of the server's loop, the reading of a large store at its start included; a
message's way through a slow line."""


def server(folder: Path) -> tuple[Process, ...]:
    """The server's: SuperLink, the API, nginx in front of both, the SuperExec, and the run, handed over again when nobody serves it."""
    settings, at = load(folder / SERVER_FILE, Server), Layout(folder)
    _check_server(settings, at)
    ca, marks = at.ca / "ca.pem", flower.marks(folder)
    port, public = settings.engine.superlink_port, settings.engine.public_port
    links, front, api = checks.answers(port, "/health", ca), checks.answers(public, "/", ca, status=403), _api(settings.api, at)
    heard, polled, turned = (
        checks.beats(marks / name, within_s)
        for name, within_s in ((flower.HEARD, LONGEST_PUSH_S), (flower.POLLED, QUIET_S), (flower.TURNED, LONGEST_TURN_S))
    )

    def idle() -> bool:
        return not flower.serving(settings.store)

    return (
        _process(flower.superlink(folder, settings), ready=links, alive=lambda: links() and (heard() or idle())),
        Process("api", (sys.executable, "-m", "afuic.service", str(at.federation)), ready=api, alive=api),
        Process("nginx", nginx(folder), depends=("superlink", "api"), ready=front, alive=front),
        _process(
            flower.server_superexec(folder, settings), depends=("superlink",), alive=lambda: polled() and (turned() or idle())
        ),
        replace(
            _process(flower.submit(folder), depends=("superlink", "server-superexec", "api")),
            alive=lambda: flower.serving(settings.store),
            hands_over=True,
            start_s=SUBMISSION_S,
        ),
    )


def hospital(folder: Path, after: tuple[str, ...] = (), prefix: str = "") -> tuple[Process, ...]:
    """A hospital's: SuperNode and SuperExec. ``after``: what has to be there before; ``prefix``: of their names.

    Alone, without a prefix, all ends when the server does not let it in.
    """
    site = load(folder / HOSPITAL_FILE, Site)
    _check_hospital(site, folder)
    marks = flower.marks(folder)
    beaten, pulled, polled, working = (
        checks.beats(marks / name, within_s)
        for name, within_s in (
            (flower.BEATEN, BEAT_S),
            (flower.PULLED, LONGEST_MESSAGE_S),
            (flower.POLLED, QUIET_S),
            (flower.WORKING, QUIET_S),
        )
    )
    node = replace(
        _process(flower.supernode(folder, site), prefix, ready=(marks / flower.PULLED).exists, depends=after),
        alive=lambda: ((marks / flower.WORKING).exists() and working()) or (beaten() and pulled()),
        marks=tuple(marks / name for name in (flower.BEATEN, flower.PULLED, flower.WORKING, flower.WHY)),
        why=lambda: _said(marks / flower.WHY),
        final=None if prefix else flower.REFUSED,
    )
    return node, _process(flower.hospital_superexec(folder, site), prefix, depends=(node.name,), alive=polled)


def local(folder: Path) -> tuple[Process, ...]:
    """The server's and those of every hospital whose folder is below ``hospitals``."""
    sites = sorted(path.parent for path in (folder / "hospitals").glob(f"*/{HOSPITAL_FILE}"))
    if not sites:
        raise ConfigError(f"{folder}: no hospital's folder below it; start the server alone with 'afuic deploy serve'")
    return (*server(folder), *(p for site in sites for p in hospital(site, ("nginx", "submit"), f"{site.name}-")))


def nginx(folder: Path) -> tuple[str, ...]:
    """nginx with this folder's settings; as root its workers stay root, or they could not read the folder."""
    program = shutil.which("nginx") or shutil.which("nginx", path=FOUND_IN)
    if program is None:
        raise ConfigError("nginx: not installed, but nothing else may stand between the network and Flower; apt install nginx")
    own = ("-g", "user root;") if os.geteuid() == 0 else ()
    return (program, "-p", str(folder), "-c", str(Layout(folder).nginx), "-e", "stderr", *own)


def _process(
    program: flower.Program,
    prefix: str = "",
    *,
    ready: checks.Check | None = None,
    depends: tuple[str, ...] = (),
    alive: checks.Check | None = None,
) -> Process:
    return Process(prefix + program.name, program.argv, program.env, depends, ready, alive)


def _said(why: Path) -> str:
    try:
        return why.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _api(api: Api, at: Layout) -> checks.Check:
    host = api.host if api.host in LOOPBACK else "127.0.0.1"
    return checks.answers(api.port, "/healthz", None if api.certificate is None else at.ca / "ca.pem", host)


def _check_hospital(site: Site, folder: Path) -> None:
    """What would only come to light in a log, or at the server."""
    for path in (folder, site.state, site.node_private_key, site.token, folder / "superexec.secret"):
        private(path)
    if not site.data.is_file():
        raise ConfigError(f"{site.data}: no such file; put the hospital's images there ('afuic data import' makes such a file)")


def _check_server(settings: Server, at: Layout) -> None:
    """What would only come to light in the log of a process that starts again and again."""
    own, folder = at.server, at.folder
    keys = (settings.signing_key, settings.api.tokens, *(() if settings.api.key is None else (settings.api.key,)))
    for path in (folder, own, at.ca / "ca.key", own / "tls.key", own / "superexec.secret", *keys):
        private(path)
    if settings.calibration is not None and not settings.calibration.is_file():
        raise ConfigError(
            f"{settings.calibration}: no such file; save unlabelled images there (npz, array 'images' uint8 [n, h, w, c]) or write "
            f'calibration = "none" in {folder / SERVER_FILE}, after which nothing heals a model but the hospitals\' own training'
        )
    ports = {"engine.superlink_port": settings.engine.superlink_port, "engine.public_port": settings.engine.public_port}
    ports["api.port"] = settings.api.port
    if len(set(ports.values())) < len(ports):
        raise ConfigError(f"{folder / SERVER_FILE}: {', '.join(ports)} have to be different")
