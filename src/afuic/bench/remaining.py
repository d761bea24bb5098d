"""What is left of a suite, in real seconds, from the arms that are finished; those of an earlier run count too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic

from afuic.bench.task import Task
from afuic.engines.arm import Progress

Key = tuple[str, ...]


class Remaining:
    """``known``: each task, and where it is done the seconds it took (0 where that was not noted).

    A task is expected to take as long as finished ones of its case and row, or of its row, or of its case, or any, whichever is known.
    """

    def __init__(self, known: Sequence[tuple[Task, float | None]], jobs: int, clock: Callable[[], float] = monotonic) -> None:
        self._left = {task.name: task for task, seconds in known if seconds is None}
        self._all, self._jobs, self._clock = len(known), jobs, clock
        self._began: dict[str, float] = {}
        self._took: dict[Key, tuple[float, int]] = {}
        for task, seconds in known:
            if seconds is not None:
                self._learn(task, seconds)

    def update(self, progress: Progress) -> None:
        """Take a task's progress in; its first says when it began, its last how long it took."""
        now = self._clock()
        began = self._began.setdefault(progress.arm, now)
        if progress.state == "done" and progress.arm in self._left:
            self._learn(self._left.pop(progress.arm), now - began)

    @property
    def done(self) -> int:
        """Tasks that are done."""
        return self._all - len(self._left)

    @property
    def all(self) -> int:
        """Tasks in all."""
        return self._all

    def seconds(self) -> float | None:
        """The estimate; None before anything was finished."""
        if not self._took:
            return None
        now, left = self._clock(), self._left.values()
        spent = sum(min(now - self._began[t.name], self._expected(t)) for t in left if t.name in self._began)
        return max(sum(self._expected(t) for t in left) - spent, 0.0) / min(self._jobs, max(len(left), 1))

    def _learn(self, task: Task, seconds: float) -> None:
        for key in _keys(task):
            total, count = self._took.get(key, (0.0, 0))
            self._took[key] = (total + seconds, count + 1)

    def _expected(self, task: Task) -> float:
        total, count = next(self._took[key] for key in _keys(task) if key in self._took)
        return total / count


def _keys(task: Task) -> tuple[Key, ...]:
    """What finished tasks are asked for, nearest first."""
    case, row = task.folder.rpartition("/")[0], task.method if task.after else task.local.partition("/")[0]
    return (case, task.kind, row), (task.kind, row), (case,), ()
