"""A supervisor in a process of its own, with a guardian above it: whichever of the two is killed, the other ends all they have started."""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from afuic.deploy import kernel, listing, logs
from afuic.deploy.kernel import Family
from afuic.deploy.layout import Layout
from afuic.deploy.processes import Life, Process
from afuic.deploy.supervisor import CHECK_S, GRACE_S, OWN_LOG, STATUS, Echo, Supervisor, sweep
from afuic.errors import ConfigError, StoreError
from afuic.settings import HOSPITAL_FILE, SERVER_FILE
from afuic.store.files import holding, read_json, write_bytes

What = Literal["serve", "join", "local"]
LISTINGS: Mapping[str, Callable[[Path], tuple[Process, ...]]] = {
    "serve": listing.server,
    "join": listing.hospital,
    "local": listing.local,
}
PID, FITS = "supervisor.pid", "fits"
STOP_S = 60.0
STUCK_S, TELL_S = 120.0, 10.0
"""A supervisor that has not turned for so long is killed; how often systemd is told that it turns."""


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


def start(what: str, folder: Path, echo: Echo = logs.silence) -> int:
    """Keep running what ``folder`` is for: ``serve`` the server, ``join`` a hospital, ``local`` both; the exit code.

    ``echo`` is told how it goes, a line at a time.
    """
    where = place(folder)
    if what not in LISTINGS:
        raise ConfigError(f"{what}: not one of {', '.join(LISTINGS)}")
    listed = LISTINGS[what](where.folder)
    if what == "join":
        _refuse_unfit(where.folder)
    return guard(where, listed, echo=echo)


def _refuse_unfit(folder: Path) -> None:
    """ConfigError where the hospital's images would fail its first task."""
    argv = [sys.executable, "-m", "afuic.deploy", FITS, str(folder)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - this package
        said = _patiently(process)
    if process.returncode:
        last = said.strip().splitlines() or [f"{folder}: its images cannot be checked (exit code {process.returncode})"]
        raise ConfigError(last[-1].removeprefix("afuic: "))


def _patiently(process: subprocess.Popen[str]) -> str:
    """What it says on its standard error until it ends, however long that takes."""
    while True:
        try:
            return process.communicate(timeout=TELL_S)[1]
        except subprocess.TimeoutExpired:
            _notify(b"WATCHDOG=1")


def guard(
    where: Place,
    listed: tuple[Process, ...],
    grace_s: float = GRACE_S,
    echo: Echo = logs.silence,
    stuck_s: float = STUCK_S,
    check_s: float = CHECK_S,
) -> int:
    """Keep the processes running until SIGTERM or SIGINT; the exit code. StoreError where another supervisor does already.

    Returns when nothing of them is left, also when the supervisor itself was killed; it is killed where it has not turned for ``stuck_s``.
    """
    _refuse_second(where)
    pulse = Pulse()
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
        (where.run / STATUS).unlink(missing_ok=True)  # of an earlier supervisor, perhaps of an earlier afuic
        write_bytes(where.run / PID, json.dumps({"pid": me, "born": kernel.born(me)}).encode())
        try:
            child = os.fork()
            if not child:
                supervisor = Supervisor(listed, where.run, where.log, where.mark, grace_s, check_s=check_s, echo=echo)
                _supervise(supervisor, where.log, me, pulse)
            if asked:
                os.kill(child, signal.SIGTERM)
            code = _await(child, pulse, stuck_s, where.log)
        finally:
            sweep(where.run, where.mark, grace_s)
            kernel.reap()
            (where.run / PID).unlink(missing_ok=True)
            for number, handler in before.items():
                signal.signal(number, handler)
    return 0 if asked else code


def _supervise(supervisor: Supervisor, log: Path, parent: int, pulse: Pulse) -> None:
    """The supervisor's process; never returns."""
    code = 1
    try:
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        kernel.die_with(parent, signal.SIGTERM)
        code = supervisor.run(lambda: bool(stopped), beat=pulse.beat)
    except BaseException as error:
        logs.note(log, OWN_LOG, f"supervisor: {type(error).__name__}: {error}")
    finally:
        os._exit(code)


def _await(child: int, pulse: Pulse, stuck_s: float, log: Path) -> int:
    """The supervisor's exit code. systemd, where it started this, is told that all is well as long as the supervisor turns."""
    told = float("-inf")
    while True:
        if child in (ended := kernel.reap()):
            return ended[child]
        if pulse.age() > stuck_s:
            logs.note(log, OWN_LOG, f"supervisor: has stood still for {stuck_s:.0f} s, killed")
            os.kill(child, signal.SIGKILL)
        elif time.monotonic() - told > TELL_S:
            told = time.monotonic()
            _notify(b"WATCHDOG=1")
        time.sleep(0.1)


class Pulse:
    """A moment that two processes share: when the supervisor turned last."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 8)
        self.beat()

    def beat(self) -> None:
        """Now."""
        self._shared[:] = struct.pack("d", time.monotonic())

    def age(self) -> float:
        """Seconds since."""
        return time.monotonic() - float(struct.unpack("d", self._shared[:])[0])


def _notify(message: bytes) -> None:
    """To systemd, by its protocol; nothing where nobody asked for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
            s.sendto(message, "\0" + address[1:] if address.startswith("@") else address)


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
    """How it stands with each process, as the supervisor told last; what an older one did not tell is as at a beginning."""
    try:
        told = read_json(where.run / STATUS)
        return {name: asdict(Life()) | life for name, life in told.items()}
    except (StoreError, AttributeError, TypeError):
        return {}
