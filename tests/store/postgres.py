"""A PostgreSQL server of the tests' own: Debian's programs, a temporary folder, a free port on this machine, stopped at the end.

It does not sync its files: processes are killed here, never the machine, and the disk would be most of the time.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

PATIENCE_S = 1800.0


def programs() -> Path | None:
    """Where the server's programs are, if they are installed."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((p for p in places if (p / "postgres").exists()), None)


class Postgres:
    """The server. It refuses to run as root, so that root runs it as the user ``postgres``."""

    def __init__(self, bin_: Path) -> None:
        self.bin, self.password = bin_, secrets.token_hex(8)
        self.folder = Path(tempfile.mkdtemp(prefix="afuic-postgres-"))
        self.user: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            self.user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        word = self.folder / "password"
        word.write_text(self.password, encoding="utf-8")
        word.chmod(0o644)
        command = [self.bin / "initdb", "-D", self.folder / "data", "-U", "afuic", "--auth=scram-sha-256", f"--pwfile={word}"]
        subprocess.run(
            [*command, "--encoding=UTF8", "--locale=C", "--no-sync"], check=True, capture_output=True, cwd="/", **self.user
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.databases = 0

    def url(self, database: str) -> str:
        """A database's URL as a user writes it."""
        return f"postgresql://afuic:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start and wait until it answers; again where what a killed one has left is still there."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if self.process is None or self.process.poll() is not None:
                command = [self.bin / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-k", self.folder]
                with (self.folder / "log").open("ab") as log:
                    self.process = subprocess.Popen(
                        [*command, "-h", "127.0.0.1", "-c", "fsync=off"],
                        stdout=log,
                        stderr=log,
                        cwd="/",
                        start_new_session=True,
                        **self.user,
                    )
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError((self.folder / "log").read_text())

    def database(self) -> str:
        """A new, empty database; its URL."""
        self.databases += 1
        name = f"afuic{self.databases}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def kill(self) -> None:
        """End it as a crash of the machine would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it and forget everything."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE_S)
            self.process = None


def started() -> Postgres:
    """A server that runs; the test is skipped where PostgreSQL is not installed."""
    bin_ = programs()
    if bin_ is None:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    server = Postgres(bin_)
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    return server
