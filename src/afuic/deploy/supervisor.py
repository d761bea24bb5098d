"""Keeps a list of processes running: starts each when what it depends on is ready, and again, later and later, when it fails.

It holds nothing that matters: when it is killed, its processes die with it, and the next one starts them.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from afuic.deploy import kernel, logs, processes
from afuic.deploy.kernel import Families, Family
from afuic.deploy.processes import Life, Process
from afuic.settings import PROCESSES
from afuic.store.files import read_json, write_bytes

Echo = Callable[[str], None]
GRACE_S, CHECK_S = 5.0, 5.0
STATUS, SESSIONS, OWN_LOG = PROCESSES, "sessions.json", "supervisor"


class Supervisor:
    """``run``: its folder for what is known about its processes; ``mark`` tells them from all others on this machine.

    ``grace_s``: how long a process may take to end before it is killed; ``check_s``: seconds between two looks at whether one does its
    work; ``echo`` is told what goes into its own log.

    One thread only: a process is killed when the thread that started it ends.
    """

    def __init__(
        self,
        listed: tuple[Process, ...],
        run: Path,
        log: Path,
        mark: str,
        grace_s: float = GRACE_S,
        clock: Callable[[], float] = time.monotonic,
        check_s: float = CHECK_S,
        echo: Echo = logs.silence,
    ) -> None:
        processes.check(listed)
        self._listed = {process.name: process for process in listed}
        self._lives = dict.fromkeys(self._listed, Life(since=clock()))
        self._asked = dict.fromkeys(self._listed, clock())
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._sessions: dict[int, int] = {}
        self._folder, self._log, self._mark, self._grace_s, self._clock = run, log, mark, grace_s, clock
        self._told: dict[str, Life] = {}
        self._check_s, self._echo = check_s, echo
        self._final: int | None = None

    def run(self, stop: Callable[[], bool], pause_s: float = 0.2, beat: Callable[[], None] = lambda: None) -> int:
        """Until ``stop``, or until a process ends for good; then nothing that it or its processes have started is left.

        Returns 0, or the exit code of that process. ``beat`` is called at each turn.
        """
        kernel.adopt()
        sweep(self._folder, self._mark, self._grace_s)
        try:
            while not stop() and self._final is None:
                self.turn()
                beat()
                time.sleep(pause_s)
        finally:
            self.close()
        return self._final or 0

    def close(self) -> None:
        """End everything: first what others do not depend on, so that each can still take its leave of those it depends on."""
        while leaves := self._leaves():
            Families(tuple(self._family(name) for name in leaves)).end(self._grace_s)
            for name in leaves:
                self._children.pop(name).returncode = 0  # asked after below
        sweep(self._folder, self._mark, self._grace_s)
        kernel.reap()
        self._lives = dict.fromkeys(self._listed, Life(since=self._clock()))
        self._tell()

    @property
    def lives(self) -> dict[str, Life]:
        """How it stands with each process."""
        return dict(self._lives)

    def turn(self) -> None:
        """Hear what has ended, start what is due, ask what is starting, look after what is done."""
        for pid, code in kernel.reap().items():
            name = self._reaped(pid, code)
            if name is not None:
                self._ended(name, code)
        for name, process in self._listed.items():
            self._look(name, process)
        logs.rotate(self._log)
        self._tell()

    def _reaped(self, pid: int, code: int) -> str | None:
        for name, child in self._children.items():
            if child.pid == pid:
                child.returncode = code
                return name
        return None

    def _ended(self, name: str, code: int) -> None:
        """What a process leaves behind ends with it, or two of a kind would work side by side."""
        self._family(name).end(self._grace_s)
        self._sessions.pop(self._children.pop(name).pid, None)
        process = self._listed[name]
        self._set(name, processes.ended(self._lives[name], process, code, self._clock()))
        if process.final is not None and code == process.final:
            self._final = code

    def _family(self, name: str) -> Family:
        """A process with all that it has started."""
        pid = self._children[name].pid
        return Family(self._own(name), kernel.OWN, {pid: self._sessions[pid]} if pid in self._sessions else {})

    def _leaves(self) -> list[str]:
        needed = {depended for name in self._children for depended in self._listed[name].depends}
        return [name for name in self._children if name not in needed]

    def _look(self, name: str, process: Process) -> None:
        life, now = self._lives[name], self._clock()
        if life.stage in {"waiting", "failed"} and now >= life.due and all(self._lives[d].served for d in process.depends):
            self._start(name, process, now)
        elif life.stage == "starting" and not process.hands_over:
            self._starting(name, process, life, now)
        elif (
            life.stage in {"ready", "silent", "done"} and process.alive is not None and now - self._asked[name] >= self._check_s
        ):
            self._asked[name] = now
            self._judge(name, process, life, works=process.alive())
        if (why := process.why()) != self._lives[name].why:
            self._lives[name] = replace(self._lives[name], why=why)

    def _judge(self, name: str, process: Process, life: Life, *, works: bool) -> None:
        """What follows from whether it does its work; nothing while what it depends on does not do its own."""
        now = self._clock()
        if life.stage == "done":
            self._lives[name] = life if works else processes.gone(life, now)
        elif not all(self._lives[d].served for d in process.depends):
            self._lives[name] = replace(life, since=now) if life.stage == "silent" else life
        elif works:
            self._set(name, processes.ready(life, now) if life.stage == "silent" else life)
        elif life.stage == "ready":
            self._set(name, processes.silent(life, now))
        elif now - life.since > process.silent_s:
            self._note(f"{name}: runs, but has not done its work for {process.silent_s:.0f} s, ended")
            self._family(name).end(self._grace_s)

    def _start(self, name: str, process: Process, now: float) -> None:
        log = logs.opened(self._log, name)
        for mark in process.marks:
            mark.unlink(missing_ok=True)
        kept = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        try:
            child = subprocess.Popen(  # noqa: S603 - what runs is listed by this package
                process.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**kept, **process.env, kernel.VARIABLE: self._mark, kernel.OWN: self._own(name)},
                start_new_session=True,
                preexec_fn=kernel.dying_with_me(),  # noqa: PLW1509 - there is one thread
            )
        except OSError as error:
            self._set(name, processes.ended(self._lives[name], process, error.errno or 1, now))
            logs.note(self._log, name, f"{process.argv[0]}: cannot be started ({error.strerror})")
            return
        finally:
            os.close(log)
        self._children[name] = child
        self._sessions[child.pid] = kernel.born(child.pid) or 0
        self._remember()
        self._asked[name] = now
        self._set(name, processes.started(self._lives[name], child.pid, now))

    def _starting(self, name: str, process: Process, life: Life, now: float) -> None:
        if process.ready is None or process.ready():
            self._set(name, processes.ready(life, now))
        elif now - life.since > process.start_s:
            self._note(f"{name}: not ready after {process.start_s:.0f} s, ended")
            self._family(name).end(self._grace_s)

    def _own(self, name: str) -> str:
        return f"{self._mark}|{name}"

    def _set(self, name: str, life: Life) -> None:
        old, self._lives[name] = self._lives[name], life
        if old.stage != life.stage:
            code = "" if life.last_exit is None or life.pid is not None else f", exit {life.last_exit}"
            wait = f", again in {life.due - life.since:.0f} s" if life.stage == "failed" else ""
            why = f": {self._reason(name)}" if life.stage in {"failed", "silent"} and self._reason(name) else ""
            self._note(f"{name}: {life.stage}{code}{wait}{why}")

    def _reason(self, name: str) -> str:
        """What a process says itself, else the last line of its log."""
        return self._listed[name].why() or "".join(logs.tail(self._log / f"{name}.log", 1))

    def _note(self, line: str) -> None:
        logs.note(self._log, OWN_LOG, f"{_time()} {line}")
        with suppress(OSError):  # whoever listened may have gone
            self._echo(line)

    def _remember(self) -> None:
        write_bytes(self._folder / SESSIONS, json.dumps({"boot": _boot(), "sessions": self._sessions}).encode())

    def _tell(self) -> None:
        """Write how it stands, for whoever watches, when it has changed."""
        if self._lives != self._told:
            write_bytes(self._folder / STATUS, json.dumps({n: asdict(life) for n, life in self._lives.items()}).encode())
            self._told = dict(self._lives)


def sweep(run: Path, mark: str, grace_s: float = GRACE_S) -> int:
    """End whatever runs with the mark or in a session noted in ``run``; how many there were."""
    return Family(mark, sessions=_noted(run)).end(grace_s)


def _noted(run: Path) -> dict[int, int]:
    if not (run / SESSIONS).exists():
        return {}
    noted = read_json(run / SESSIONS)
    return {int(pid): int(born) for pid, born in noted["sessions"].items()} if noted["boot"] == _boot() else {}


def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
