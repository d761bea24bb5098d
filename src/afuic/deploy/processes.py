"""What a supervised process is, and when it is to be started again: values and arithmetic, no process is touched here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from afuic.errors import ConfigError

FIRST_S, LONGEST_S, STABLE_S = 1.0, 60.0, 60.0
"""The first wait before a start after a failure; the longest; how long a process must have run for its failures to be forgotten."""

Stage = Literal["waiting", "starting", "ready", "silent", "done", "failed"]
SERVED = frozenset({"ready", "done"})


@dataclass(frozen=True)
class Process:
    """A program to keep running. ``depends``: names of those that have to be ready before it starts for the first time or again.

    ``ready`` is asked until it says yes; None: ready as soon as it runs. ``start_s``: not ready after so long, it is ended and counts as
    failed. ``alive``: whether it does its work, which is more than that it runs; asked while all that it depends on does. Where the answer
    has been no for ``silent_s``, it is ended and counts as failed. With ``hands_over`` it hands something over and ends: after an end
    without error it is done, and it is started again when ``alive`` says that what it handed over is gone.
    ``marks``: files that are deleted before a start; ``why``: its own words on how it stands. ``final``: an exit code after which nothing
    is started again.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    depends: tuple[str, ...] = ()
    ready: Callable[[], bool] | None = None
    alive: Callable[[], bool] | None = None
    hands_over: bool = False
    start_s: float = 180.0
    silent_s: float = 60.0
    marks: tuple[Path, ...] = ()
    why: Callable[[], str] = str
    final: int | None = None


@dataclass(frozen=True)
class Life:
    """How it stands with one process. ``since``: the stage's beginning; ``due``: not to be started before; in seconds of one clock."""

    stage: Stage = "waiting"
    pid: int | None = None
    since: float = 0.0
    due: float = 0.0
    failures: int = 0
    starts: int = 0
    last_exit: int | None = None
    why: str = ""

    @property
    def served(self) -> bool:
        """Whether others that depend on it may start."""
        return self.stage in SERVED


def check(processes: tuple[Process, ...]) -> None:
    """ConfigError where two have one name, or one depends on what is not listed before it."""
    seen: set[str] = set()
    for process in processes:
        if process.name in seen or not set(process.depends) <= seen:
            raise ConfigError(f"supervisor: {process.name!r} is listed twice, or before something that it depends on")
        seen.add(process.name)


def back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4 … 60."""
    return min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 30))


def started(life: Life, pid: int, now: float) -> Life:
    """It runs."""
    return replace(life, stage="starting", pid=pid, since=now, starts=life.starts + 1, why="")


def ready(life: Life, now: float) -> Life:
    """It does its work."""
    return replace(life, stage="ready", since=now)


def silent(life: Life, now: float) -> Life:
    """It runs, but does not do its work."""
    return replace(life, stage="silent", since=now, failures=0 if now - life.since >= STABLE_S else life.failures)


def ended(life: Life, process: Process, code: int, now: float) -> Life:
    """It has ended. A program that hands something over is done when it ends without error; any other end is a failure."""
    if process.hands_over and code == 0:
        return replace(life, stage="done", pid=None, since=now, last_exit=code)
    failures = 1 if life.stage == "ready" and now - life.since >= STABLE_S else life.failures + 1
    return replace(life, stage="failed", pid=None, since=now, due=now + back_off(failures), failures=failures, last_exit=code)


def gone(life: Life, now: float) -> Life:
    """What it had handed over is gone: once more."""
    failures = 1 if now - life.since >= STABLE_S else life.failures + 1
    return replace(life, stage="failed", since=now, due=now + back_off(failures), failures=failures)
