"""A supervisor in a process of its own, with a guardian above it: whichever of the two is killed, the other ends all they have started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from afuic.deploy import kernel, listing, logs
from afuic.deploy.kernel import Family
from afuic.deploy.layout import Layout
from afuic.deploy.processes import Process
from afuic.deploy.supervisor import GRACE_S, OWN_LOG, STATUS, Supervisor, sweep
from afuic.errors import ConfigError, StoreError
from afuic.settings import HOSPITAL_FILE, SERVER_FILE
from afuic.store.files import holding, read_json, write_bytes

What = Literal["serve", "join", "local"]
LISTINGS: Mapping[str, Callable[[Path], tuple[Process, ...]]] = {
    "serve": listing.server,
    "join": listing.hospital,
    "local": listing.local,
}
PID = "supervisor.pid"
STOP_S = 60.0


@dataclass(frozen=True)
class Place:
    """Where the supervisor of a folder keeps what: ``run`` and ``log``, and the ``mark`` of its processes."""

    folder: Path
    run: Path
    log: Path

    @property
    def mark(self) -> str:
        return str(self.folder)


def place(folder: Path) -> Place:
    """Of a federation's folder or of a hospital's own; ConfigError for any other."""
    folder = folder.resolve()
    if (folder / SERVER_FILE).is_file():
        server = Layout(folder).server
        return Place(folder, server / "run", server / "logs")
    if (folder / HOSPITAL_FILE).is_file():
        return Place(folder, folder / "run", folder / "logs")
    raise ConfigError(
        f"{folder}: neither a federation's folder nor a hospital's; 'afuic deploy init' or 'afuic deploy local' makes one"
    )


def start(what: str, folder: Path) -> int:
    """Keep running what ``folder`` is for: ``serve`` the server, ``join`` a hospital, ``local`` both; the exit code."""
    where = place(folder)
    if what not in LISTINGS:
        raise ConfigError(f"{what}: not one of {', '.join(LISTINGS)}")
    return guard(where, LISTINGS[what](where.folder))


def guard(where: Place, listed: tuple[Process, ...], grace_s: float = GRACE_S) -> int:
    """Keep the processes running until SIGTERM or SIGINT; the exit code. StoreError where another supervisor does already.

    Returns when nothing of them is left, also when the supervisor itself was killed.
    """
    _refuse_second(where)
    with holding(where.run):
        kernel.adopt()
        kernel.as_new(but=[signal.SIGHUP])  # nohup means it
        me, child = os.getpid(), 0
        asked: list[int] = []

        def forward(number: int, _: Any) -> None:
            asked.append(number)
            if child:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGTERM)

        before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
        write_bytes(where.run / PID, json.dumps({"pid": me, "born": kernel.born(me)}).encode())
        try:
            child = os.fork()
            if not child:
                _supervise(where, listed, me, grace_s)
            if asked:
                os.kill(child, signal.SIGTERM)
            code = _await(child)
        finally:
            sweep(where.run, where.mark, grace_s)
            kernel.reap()
            (where.run / PID).unlink(missing_ok=True)
            for number, handler in before.items():
                signal.signal(number, handler)
    return 0 if asked else code


def _supervise(where: Place, listed: tuple[Process, ...], parent: int, grace_s: float) -> None:
    """The supervisor's process; never returns."""
    code = 1
    try:
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        kernel.die_with(parent, signal.SIGTERM)
        Supervisor(listed, where.run, where.log, where.mark, grace_s).run(lambda: bool(stopped))
        code = 0
    except BaseException as error:
        logs.note(where.log, OWN_LOG, f"supervisor: {type(error).__name__}: {error}")
    finally:
        os._exit(code)


def _await(child: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def _refuse_second(where: Place) -> None:
    if running(where) is not None:
        raise StoreError(f"{where.folder}: runs already; 'afuic deploy stop {where.folder}' ends it")


def running(where: Place) -> int | None:
    """The guardian's process number, None where none runs."""
    try:
        noted = read_json(where.run / PID)
        pid, began = int(noted["pid"]), int(noted["born"])
    except (StoreError, ValueError, KeyError, TypeError):
        return None
    return pid if kernel.runs(pid, began) else None


def detach(where: Place, what: What, *, tied: bool) -> None:
    """Start the guardian in the background; ``tied``: it stops when this process ends. Returns once it runs."""
    _refuse_second(where)
    log = logs.opened(where.log, OWN_LOG)
    parent = os.getpid()

    def before() -> None:
        kernel.as_new()
        if tied:
            kernel.die_with(parent, signal.SIGTERM)

    try:
        child = subprocess.Popen(  # noqa: S603 - this package
            [sys.executable, "-m", "afuic.deploy", what, str(where.folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=before,  # noqa: PLW1509 - there is one thread
        )
    finally:
        os.close(log)
    while running(where) is None:
        if child.poll() is not None:
            raise StoreError(f"{where.folder}: could not be started; {where.log / (OWN_LOG + '.log')} says why")
        time.sleep(0.05)
    child.returncode = 0


def stop(where: Place, wait_s: float = STOP_S) -> int:
    """End everything that runs for this folder, even what a killed supervisor left; how many processes there were."""
    guardian = running(where)
    if guardian is None:
        return sweep(where.run, where.mark)
    count = len(Family(where.mark).members())
    with suppress(ProcessLookupError):
        os.kill(guardian, signal.SIGTERM)
    ended = _gone(where, wait_s)
    if not ended:
        with suppress(ProcessLookupError):
            os.kill(guardian, signal.SIGKILL)
        _gone(where, wait_s)
    sweep(where.run, where.mark)
    return count


def _gone(where: Place, wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while running(where) is not None and time.monotonic() < until:
        time.sleep(0.1)
    return running(where) is None


def read_status(where: Place) -> dict[str, dict[str, Any]]:
    """How it stands with each process, as the supervisor told last."""
    try:
        told = read_json(where.run / STATUS)
    except StoreError:
        return {}
    return told if isinstance(told, dict) else {}
