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
from afuic.settings import HOSPITAL_FILE, LOOPBACK, SERVER_FILE, Api, Server, Site, load

FOUND_IN = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))
"""Where nginx may be, besides the user's own search path."""
SUBMISSION_S = 240.0


def server(folder: Path) -> tuple[Process, ...]:
    """The server's: SuperLink, the API, nginx in front of both, the SuperExec, and the run, handed over again when nobody serves it."""
    settings, at = load(folder / SERVER_FILE, Server), Layout(folder)
    _check_server(settings, folder)
    port = settings.engine.superlink_port
    return (
        _process(flower.superlink(folder, settings), ready=checks.listens(port)),
        Process("api", (sys.executable, "-m", "afuic.service", str(at.federation)), ready=_api(settings.api, at)),
        Process("nginx", nginx(folder), depends=("superlink", "api"), ready=checks.listens(settings.engine.public_port)),
        _process(flower.server_superexec(folder, settings), depends=("superlink",)),
        replace(
            _process(flower.submit(folder), depends=("superlink", "server-superexec", "api")),
            alive=lambda: flower.serving(settings.store),
            start_s=SUBMISSION_S,
        ),
    )


def hospital(folder: Path, after: tuple[str, ...] = (), prefix: str = "") -> tuple[Process, ...]:
    """A hospital's: SuperNode and SuperExec. ``after``: what has to be there before; ``prefix``: of their names."""
    site = load(folder / HOSPITAL_FILE, Site)
    if not site.data.is_file():
        raise ConfigError(f"{site.data}: no such file; put the hospital's images there ('afuic data import' makes such a file)")
    node = _process(flower.supernode(folder, site), prefix, ready=checks.listens(site.runtime_port), depends=after)
    return node, _process(flower.hospital_superexec(folder, site), prefix, depends=(node.name,))


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
    program: flower.Program, prefix: str = "", *, ready: checks.Check | None = None, depends: tuple[str, ...] = ()
) -> Process:
    return Process(prefix + program.name, program.argv, program.env, depends, ready)


def _api(api: Api, at: Layout) -> checks.Check:
    host = api.host if api.host in LOOPBACK else "127.0.0.1"
    return checks.answers(api.port, "/healthz", None if api.certificate is None else at.ca / "ca.pem", host)


def _check_server(settings: Server, folder: Path) -> None:
    """What would only come to light in the log of a process that starts again and again."""
    if settings.calibration is not None and not settings.calibration.is_file():
        raise ConfigError(
            f"{settings.calibration}: no such file; save unlabelled images there (npz, array 'images' uint8 [n, h, w, c]) or write "
            f'calibration = "none" in {folder / SERVER_FILE}, after which nothing heals a model but the hospitals\' own training'
        )
    ports = {"engine.superlink_port": settings.engine.superlink_port, "engine.public_port": settings.engine.public_port}
    ports["api.port"] = settings.api.port
    if len(set(ports.values())) < len(ports):
        raise ConfigError(f"{folder / SERVER_FILE}: {', '.join(ports)} have to be different")
