"""What a person sees while a run goes on: a bar for each arm and an estimate of what is left; plain lines without a terminal.

An arm is one method's simulation. Progress is told in virtual seconds; the estimate is in real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column

if TYPE_CHECKING:
    from afuic.bench.remaining import Remaining as Left
    from afuic.engines.experiment import Progress

Transfer = Callable[[str, int, int | None], None]
ROOMY, WIDE_BAR, NARROW_BAR = 120, 24, 10
"""Columns from which on a suite's bars are wide, and how wide a bar is."""
LEFT, LEAST = 40, 12
"""Columns that the clock and the words beside a bar need, such as "12000/12000 s about 13 h 20 min left"; the shortest name."""


class Remaining:
    """Real seconds left, from how fast the arms' virtual time has passed since this process first saw each of them.

    An arm that was resumed counts from where it was taken up, so that earlier work does not look like speed.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._first: dict[str, float] = {}
        self._latest: dict[str, Progress] = {}

    def update(self, progress: Progress) -> None:
        self._latest[progress.arm] = progress
        if progress.state != "waiting" and progress.arm not in self._first:
            self._first[progress.arm] = progress.t
            self._began = self._clock() if self._began is None else self._began

    @property
    def t(self) -> float:
        """Virtual seconds done in all arms together."""
        return sum(_t(p) for p in self._latest.values())

    @property
    def t_end(self) -> float:
        """Virtual seconds of all arms together."""
        return sum(p.t_end for p in self._latest.values())

    def seconds(self) -> float | None:
        """The estimate; None until one percent has been seen passing."""
        seen = sum(_t(self._latest[arm]) - first for arm, first in self._first.items())
        if self._began is None or seen < 0.01 * self.t_end or seen <= 0:
            return None
        return (self._clock() - self._began) * (self.t_end - self.t) / seen

    def __str__(self) -> str:
        seconds = self.seconds()
        return "estimating what is left" if seconds is None else f"about {_duration(seconds)} left"


def _t(progress: Progress) -> float:
    return progress.t_end if progress.state == "done" else min(progress.t, progress.t_end)


def _duration(seconds: float) -> str:
    whole = max(round(seconds), 0)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class _Live:
    """Bars on a terminal, the last of them for all arms together."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._left = Remaining()
        self._all = bars.add_task("all", total=None, clock="", note="starting")

    def __call__(self, progress: Progress) -> None:
        self._left.update(progress)
        task = self._tasks.get(progress.arm)
        if task is None:
            task = self._tasks[progress.arm] = self._bars.add_task(progress.arm, total=progress.t_end, clock="", note="")
        clock = f"{_t(progress):.0f}/{progress.t_end:.0f} s"
        note = f"v{progress.version}  {progress.note}" if progress.state == "running" else progress.note or progress.state
        self._bars.update(task, completed=_t(progress), total=progress.t_end, clock=clock, note=note)
        self._bars.update(self._all, completed=self._left.t, total=self._left.t_end, note=str(self._left))


class _Plain:
    """Lines for a log: at most one for each arm and tenth of its way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tenths: dict[str, int] = {}
        self._left = Remaining()

    def __call__(self, progress: Progress) -> None:
        self._left.update(progress)
        tenth = int(10 * _t(progress) / progress.t_end) if progress.t_end else 10
        if progress.state == "waiting" or tenth <= self._tenths.get(progress.arm, -1):
            return
        self._tenths[progress.arm] = tenth
        what = progress.note or progress.state
        self._console.print(
            f"{progress.arm}: {10 * tenth} %, t = {_t(progress):.0f} of {progress.t_end:.0f} s, "
            f"version {progress.version}, {what}; {self._left}",
            soft_wrap=True,
        )


@contextmanager
def following(console: Console) -> Iterator[Callable[[Progress], None]]:
    """A callback for ``experiment.run`` that shows its progress on ``console`` until the block ends."""
    if not console.is_terminal:
        yield _Plain(console)
        return
    note = TextColumn("{task.fields[note]}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
    columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[clock]}", justify="right"), note)
    with Bars(*columns, console=console, expand=True) as bars:
        yield _Live(bars)


class _LiveBench:
    """A bar for each arm under way, and one for the whole suite. ``most``: letters of a name, of which the end tells arms apart."""

    def __init__(self, bars: Bars, most: int) -> None:
        self._bars = bars
        self._most = most
        self._tasks: dict[str, TaskID] = {}
        self._all = bars.add_task("arms", total=None, clock="", note="starting")

    def __call__(self, progress: Progress, left: Left) -> None:
        if progress.state == "done":
            if (task := self._tasks.pop(progress.arm, None)) is not None:
                self._bars.remove_task(task)
        else:
            self._show(progress)
        self._bars.update(self._all, completed=left.done, total=left.all, clock=f"{left.done}/{left.all}", note=_left(left))

    def _show(self, progress: Progress) -> None:
        if progress.arm not in self._tasks:
            name = progress.arm if len(progress.arm) <= self._most else "…" + progress.arm[1 - self._most :]
            self._tasks[progress.arm] = self._bars.add_task(name, total=None, clock="", note="")
        known = progress.t < progress.t_end
        clock = f"{_t(progress):.0f}/{progress.t_end:.0f} s" if known else f"{progress.t:.0f} s" if progress.t else ""
        total = progress.t_end if known else None
        self._bars.update(self._tasks[progress.arm], completed=progress.t, total=total, clock=clock, note=progress.note)


class _PlainBench:
    """One line for each arm that is done."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, progress: Progress, left: Left) -> None:
        if progress.state == "done":
            line = f"{left.done} of {left.all}: {progress.arm}: {progress.note}; {_left(left)}"
            self._console.print(line, soft_wrap=True)


def _left(left: Left) -> str:
    seconds = left.seconds()
    return "estimating what is left" if seconds is None else f"about {_duration(seconds)} left"


@contextmanager
def benching(console: Console) -> Iterator[Callable[[Progress, Left], None]]:
    """A callback for ``bench.running.run`` that shows its progress on ``console`` until the block ends."""
    if not console.is_terminal:
        yield _PlainBench(console)
        return
    bar, most = (
        (NARROW_BAR, console.width - LEFT - NARROW_BAR) if console.width < ROOMY else (WIDE_BAR, ROOMY - LEFT - WIDE_BAR)
    )
    note = TextColumn("{task.fields[note]}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
    name = TextColumn("{task.description}", markup=False)
    with Bars(
        name, BarColumn(bar), TextColumn("{task.fields[clock]}", justify="right"), note, console=console, expand=True
    ) as bars:
        yield _LiveBench(bars, max(most, LEAST))


@contextmanager
def transferring(console: Console) -> Iterator[Transfer]:
    """A callback for ``data.fetch``: a bar on a terminal, one line for each step elsewhere."""
    if not console.is_terminal:
        yield _lines(console)
        return
    with Bars(TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(text: str, done: int, total: int | None) -> None:
            if text not in tasks:
                tasks[text] = bars.add_task(text, total=total or None)
            bars.update(tasks[text], completed=done, total=total or None)

        yield show


def _lines(console: Console) -> Transfer:
    seen: set[str] = set()

    def show(text: str, done: int, total: int | None) -> None:
        if text not in seen:
            seen.add(text)
            console.print(text, soft_wrap=True)

    return show
