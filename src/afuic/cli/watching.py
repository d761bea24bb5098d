"""What a person sees of a federation on this machine: a live picture on a terminal, one line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from afuic.cli import telling
from afuic.deploy import logs, running
from afuic.errors import ServiceError, StoreError
from afuic.settings import HOSPITAL_FILE
from afuic.store.rows import processes

if TYPE_CHECKING:
    from afuic.deploy.running import Place
    from afuic.store.rows import Status

PAUSE_S, ASK_S, READY_S, FAILURES = 1.0, 3.0, 600.0, 5
LINE_S = 30.0
Told = dict[str, dict[str, Any]]


def watch(where: Place, console: Console) -> None:
    """Show how it stands until Ctrl-C; StoreError when the supervisor has ended."""
    ask = Asking(where.folder / "operator")
    if not console.is_terminal:
        _lines(where, console, ask)
        return
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(_picture(where, _told(where), ask()), refresh=True)
            time.sleep(PAUSE_S)


def until_ready(where: Place, console: Console) -> None:
    """Return when every process is ready and the server has been heard; StoreError says which one fails, and where its log is."""
    ask, began, last = Asking(where.folder / "operator"), time.monotonic(), Told()
    hospitals = {path.parent.name for path in where.folder.glob(f"hospitals/*/{HOSPITAL_FILE}")}
    while True:
        told = _told(where)
        _say_changes(console, last, told)
        last = told
        if told and all(life["stage"] in {"ready", "done"} for life in told.values()) and _serves(ask(), hospitals):
            return
        _refuse_hopeless(where, told, time.monotonic() - began)
        time.sleep(PAUSE_S)


def _serves(status: Status | None, hospitals: set[str]) -> bool:
    """Whether the server's loop runs and every hospital here has joined and can be reached, or has been erased."""
    if status is None or status.heartbeat_at is None:
        return False
    return hospitals <= {client.name for client in status.clients if client.online or client.erased}


def _refuse_hopeless(where: Place, told: Told, waited_s: float) -> None:
    for name, life in told.items():
        if life["failures"] >= FAILURES:
            last = " | ".join(logs.tail(where.log / f"{name}.log", 3))
            raise StoreError(f"{name}: has failed {life['failures']} times; {where.log / name}.log ends with: {last}")
    if waited_s > READY_S:
        slow = ", ".join(name for name, life in told.items() if life["stage"] not in {"ready", "done"}) or "the hospitals"
        raise StoreError(f"{where.folder}: not ready after {READY_S:.0f} s ({slow}); the logs in {where.log} say why")


def _told(where: Place) -> Told:
    if running.running(where) is None:
        last = " | ".join(logs.tail(where.log / "supervisor.log", 3))
        raise StoreError(f"{where.folder}: the supervisor has ended; {where.log / 'supervisor.log'} ends with: {last}")
    return running.read_status(where)


class Asking:
    """The server's status, asked for at most every ``ASK_S`` seconds; the last known one meanwhile, None while there is none."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._home, self._clock = home, clock
        self._next, self._last = 0.0, None

    _last: Status | None

    def __call__(self) -> Status | None:
        now = self._clock()
        if now >= self._next:
            self._next = now + ASK_S
            self._last = self._asked()
        return self._last

    def _asked(self) -> Status | None:
        from afuic.cli.finding import client

        try:
            with client(None, None, None, self._home) as connection:
                return connection.status()
        except ServiceError:
            return self._last


def _lines(where: Place, console: Console, ask: Asking) -> None:
    last, told_at = Told(), float("-inf")
    while True:
        told = _told(where)
        _say_changes(console, last, told)
        last, status = told, ask()
        if status is not None and time.monotonic() - told_at >= LINE_S:
            told_at = time.monotonic()
            online = sum(client.online for client in status.clients)
            _say(
                console,
                f"version {status.version}, {status.applied} updates, {online} of {len(status.clients)} hospitals online",
            )
        time.sleep(PAUSE_S)


def _say_changes(console: Console, before: Told, now: Told) -> None:
    for name, life in now.items():
        if life["stage"] != before.get(name, {}).get("stage", "waiting"):
            code = f" (exit {life['last_exit']})" if life["stage"] == "failed" else ""
            _say(console, f"{name}: {life['stage']}{code}{_why(life)}")
        elif _why(life) and _why(life) != _why(before[name]):
            _say(console, f"{name}: {life['stage']}{_why(life)}")


def _why(life: dict[str, Any]) -> str:
    """Its own words, where it is not at work yet or no more."""
    return f": {life['why']}" if life["why"] and life["stage"] in {"starting", "silent", "failed"} else ""


def _say(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True)


def _picture(where: Place, told: Told, status: Status | None) -> RenderableType:
    parts: list[RenderableType] = [telling.processes(processes(told, time.monotonic()))]
    if status is not None:
        parts += [Text(line) for line in telling.overview(status)]
        parts.append(telling.clients(status))
    return Group(*parts, Text(f"logs: {where.log}; {how_to_ask(where.folder)}; Ctrl-C stops everything"))


def how_to_ask(folder: Path) -> str:
    """The command that tells about it."""
    return f"afuic status --home {folder / 'operator'}"


def how_to_go_on(folder: Path) -> tuple[str, str]:
    """What to do with a federation that runs in the background."""
    return f"running; look at it with: {how_to_ask(folder)}", f"end it with: afuic deploy stop {folder}"
