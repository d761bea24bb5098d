"""Flower's real programs on this machine: each in a session of its own, killed and started at will, none left at the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from afuic.engines import flower_commands as commands
from afuic.engines.flower_commands import Program
from afuic.settings import HOSPITAL_FILE, SERVER_FILE, Server, Site, load

PATIENCE_S = 1800.0


def wait(what: str, done: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Until ``done``, generously: other processes share the machine."""
    until = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < until, f"after {patience_s:.0f} s still not: {what}"
        time.sleep(0.25)


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0):
            return True
    except OSError:
        return False


@dataclass
class Running:
    """A federation's programs by name. ``env`` is added to everybody's environment."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def settings(self) -> Server:
        return load(self.folder / SERVER_FILE, Server)

    @property
    def names(self) -> list[str]:
        return [hospital.name for hospital in self.settings.hospitals]

    def site(self, name: str) -> Site:
        return load(self.hospital(name) / HOSPITAL_FILE, Site)

    def hospital(self, name: str) -> Path:
        return self.folder / "hospitals" / name

    def start(self, program: Program, name: str = "") -> None:
        name = name or program.name
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                program.argv,
                env={**os.environ, **self.env, **program.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        place = self.folder / "server" / "logs" / f"{name}.log"
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def said(self, name: str) -> str:
        return self.log(name).read_text(errors="replace")

    def superlink(self) -> None:
        self.start(commands.superlink(self.folder, self.settings))
        wait("the SuperLink listens", lambda: listens(self.settings.engine.superlink_port))

    def nginx(self) -> None:
        argv = ("/usr/sbin/nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-e", "stderr")
        self.start(Program("nginx", argv, {}))
        wait("nginx listens", lambda: listens(self.settings.engine.public_port))

    def server(self) -> None:
        """SuperLink, nginx and the SuperExec for the ServerApp."""
        self.superlink()
        self.nginx()
        self.start(commands.server_superexec(self.folder, self.settings))

    def submit(self) -> int:
        self.start(commands.submit(self.folder))
        return self.processes["submit"].wait(PATIENCE_S * 2)

    def node(self, name: str) -> None:
        self.start(commands.supernode(self.hospital(name), self.site(name)), f"node-{name}")

    def join(self, name: str) -> None:
        """A hospital's two programs."""
        self.node(name)
        self.start(commands.hospital_superexec(self.hospital(name), self.site(name)), f"exec-{name}")

    def kill(self, name: str) -> None:
        """As a power cut would, with all that it has started."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def servers(self) -> list[int]:
        """The ServerApps that run."""
        every = descendants(self.processes["server-superexec"].pid)
        return [pid for pid in every if Path(f"/proc/{pid}/comm").read_text() == "serverapp\n"]

    def running(self, name: str) -> bool:
        return self.processes[name].poll() is None

    def close(self) -> None:
        for name in list(self.processes):
            try:
                self.kill(name)
            except ProcessLookupError:
                self.processes.pop(name, None)


def descendants(pid: int) -> list[int]:
    """The processes that one has started and that still run, with theirs."""
    children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [found for child in children if not _ended(child) for found in (child, *descendants(child))]


def _ended(pid: int) -> bool:
    return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
