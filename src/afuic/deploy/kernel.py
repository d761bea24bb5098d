"""What Linux offers against orphans. Every process that is started here is known by a mark in its environment, which its children inherit,
and by its session: so it is found whoever its parent has become. Both are needed: nginx wipes its environment, and a program may begin a
session of its own. Where there is no /proc (macOS), only what is told by number is ended.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

OF_PYTHON = frozenset(getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ") if hasattr(signal, name))
"""What Python itself ignores, and gives back to the programs that it starts."""
VARIABLE, OWN = "AFUIC_SUPERVISED", "AFUIC_PROCESS"
_PDEATHSIG, _SUBREAPER = 1, 36
FILES = 65_536
_PROC = Path("/proc")
_SESSION, _START, _ENDED = 3, 19, ("Z", "X")
"""Fields of /proc/PID/stat after the program's name, and the states, the first field, of what has ended."""


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def as_new(but: Iterable[signal.Signals] = ()) -> None:
    """Let this process, and what it starts, hear every signal again, whatever it was started from; ``but`` these, as it was told.

    A shell's ``&`` makes its jobs ignore SIGINT, ``nohup`` SIGHUP, and whoever blocks or ignores a signal, even SIGTERM or the one that
    tells of a child's end, hands that down. A program that is started so could not be stopped, or would never hear of a child's end.
    """
    for number in signal.valid_signals() - OF_PYTHON - {*but}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def adopt() -> None:
    """From now on children whose parent dies become this process's own, instead of nobody's."""
    _prctl(_SUBREAPER, 1)


def die_with(parent: int, by: signal.Signals) -> None:
    """From now on this process gets ``by`` when ``parent`` ends; at once where it has ended already."""
    _prctl(_PDEATHSIG, by)
    if os.getppid() != parent:
        os.kill(os.getpid(), by)


def dying_with_me() -> Callable[[], None]:
    """For a child, before it becomes another program: it hears every signal, and is killed when the process that started it ends,
    however it ends. It may open as many files as this user may: a server with many connections needs that.
    """
    parent = os.getpid()

    def before() -> None:
        as_new()
        _with_room()
        os.umask(0o077)
        die_with(parent, signal.SIGKILL)

    return before


def _with_room() -> None:
    import resource  # noqa: PLC0415 - Windows has none

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(hard, FILES), hard))


def born(pid: int) -> int | None:
    """When the process began, in the kernel's ticks since the machine's start: with the number it names a process for good.

    None where there is none, or it has ended and only its parent has not heard so.
    """
    stat = _stat(pid)
    return None if stat is None or stat[0] in _ENDED else int(stat[_START])


def runs(pid: int, began: int) -> bool:
    """Whether that very process runs; one that is dead but not asked after by its parent does not."""
    stat = _stat(pid)
    return stat is not None and stat[0] != "Z" and int(stat[_START]) == began


@dataclass(frozen=True)
class Family:
    """Processes with one mark: ``variable`` has the value ``mark``; or of one of ``sessions``, the leader's number with its birth."""

    mark: str
    variable: str = VARIABLE
    sessions: Mapping[int, int] = field(default_factory=dict)

    def members(self) -> list[int]:
        """Those that run now, but never this process."""
        return [pid for pid in _pids() if pid != os.getpid() and self.holds(pid)]

    def holds(self, pid: int) -> bool:
        """Whether that process is one of them."""
        stat = _stat(pid)
        if stat is None or stat[0] in _ENDED:
            return False
        leader = int(stat[_SESSION])
        return (leader in self.sessions and born(leader) in {None, self.sessions[leader]}) or self._marked(pid)

    def _marked(self, pid: int) -> bool:
        try:
            return f"{self.variable}={self.mark}".encode() in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            return False

    def send(self, pid: int, what: signal.Signals) -> None:
        """Signal one of them; nothing where the number has meanwhile passed to another process."""
        with suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                if self.holds(pid):
                    signal.pidfd_send_signal(handle, what)
            finally:
                os.close(handle)

    def end(self, grace_s: float) -> int:
        """End all: SIGTERM, then SIGKILL to what is left after ``grace_s``. Returns when none is left, with how many there were."""
        return Families((self,)).end(grace_s)


@dataclass(frozen=True)
class Families:
    """Several, ended at once."""

    families: tuple[Family, ...]

    def end(self, grace_s: float) -> int:
        """As ``Family.end``."""
        first = self._send(signal.SIGTERM)
        began = time.monotonic()
        while any(family.members() for family in self.families):
            if time.monotonic() - began >= grace_s:
                self._send(signal.SIGKILL)
            time.sleep(0.05)
        return first

    def _send(self, what: signal.Signals) -> int:
        sent = [(family, pid) for family in self.families for pid in family.members()]
        for family, pid in sent:
            family.send(pid, what)
        return len(sent)


def _pids() -> Iterable[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()] if _PROC.is_dir() else ()


def _stat(pid: int) -> list[str] | None:
    """The fields after the program's name, which may itself hold anything; the first is the state."""
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def reap() -> dict[int, int]:
    """Children of this process that have ended, adopted ones among them, with their exit codes (negative: the signal)."""
    ended: dict[int, int] = {}
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = os.waitstatus_to_exitcode(found[1])
    return ended
