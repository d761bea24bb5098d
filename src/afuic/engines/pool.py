"""Arms side by side: one process each, as many as there are cores, each arm after those that it waits for.

Every process computes on one thread, so the numbers do not depend on how many there are. Ctrl-C ends all of them at once;
what they had checkpointed stays.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

import torch

from afuic import errors
from afuic.config import Config
from afuic.engines.arm import Arm, Progress
from afuic.errors import AfuicError, RunInterrupted
from afuic.learning.devices import VARIABLE


class Job(Protocol):
    """What a process does with an arm; a module-level function, so that it can be named to another process."""

    def __call__(self, config: Config, folder: Path, arm: Arm, progress: Callable[[Progress], None]) -> None: ...


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(job: Job, config: Config, folder: Path, arms: Sequence[Arm], jobs: int, progress: Callable[[Progress], None]) -> None:
    """Do every arm, at most ``jobs`` at a time, those first that come first and wait for none of the others.

    Raises the first AfuicError of any, or RunInterrupted on Ctrl-C.
    """
    if jobs == 1:
        _inline(job, config, folder, arms, progress)
        return
    workers: list[_Process] = []
    try:
        with _interrupts_held():
            workers.extend(_Process(job, config, folder) for _ in range(min(jobs, len(arms))))
        _serve(workers, _Queue(arms), progress)
    except KeyboardInterrupt:
        raise RunInterrupted("stopped") from None
    finally:
        for worker in workers:
            worker.end()


def _inline(job: Job, config: Config, folder: Path, arms: Sequence[Arm], progress: Callable[[Progress], None]) -> None:
    queue = _Queue(arms)
    try:
        while (arm := queue.next()) is not None:
            _do(job, config, folder, arm, progress)
            queue.ended(arm)
    except KeyboardInterrupt:
        raise RunInterrupted("stopped") from None


def _do(job: Job, config: Config, folder: Path, arm: Arm, progress: Callable[[Progress], None]) -> None:
    try:
        job(config, folder, arm, progress)
    except torch.OutOfMemoryError as error:
        said = str(error).partition(". ")[0]
        raise AfuicError(
            f"{arm.name}: the GPU is full ({said}); run again with fewer --jobs, or with {VARIABLE}=cpu"
        ) from error


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C reaches this process only after the block, and never the processes begun within it.

    They inherit the mask; without it they would answer with a traceback each while they still import. The handler is for this process,
    where another thread may take the signal in spite of the mask; where Ctrl-C is ignored, as in a shell's background, it stays so.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    caught: list[int] = []
    resource_tracker.ensure_running()  # it would lift the mask when it starts on its own
    handler = signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if caught and handler != signal.SIG_IGN:
        raise KeyboardInterrupt


class _Process:
    """A process that takes arms one after the other."""

    def __init__(self, job: Job, config: Config, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_loop, args=(other, job, config.model_dump(mode="json"), folder), daemon=True)
        self.process.start()
        other.close()
        self.arm: Arm | None = None

    def give(self, arm: Arm) -> None:
        self.arm = arm
        try:
            self.pipe.send(arm)
        except OSError:
            raise self.dead() from None

    def dead(self) -> AfuicError:
        """The error for a process that ended by itself, for example killed for want of memory."""
        self.process.join(5)
        what, how = self.arm and self.arm.name, self.process.exitcode
        return AfuicError(f"the process that ran {what!r} died (exit code {how}; is memory short?); run again with --resume")

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class _Queue:
    """Arms in the order to begin them in; what an arm waits for and is not among them has ended before."""

    def __init__(self, arms: Sequence[Arm]) -> None:
        self.waiting = list(arms)
        self.unfinished = {arm.name for arm in arms}

    def next(self) -> Arm | None:
        """The first that waits for nothing any more, taken out; None where there is none at present."""
        ready = next((a for a in self.waiting if self.unfinished.isdisjoint(a.waits)), None)
        if ready is not None:
            self.waiting.remove(ready)
        return ready

    def ended(self, arm: Arm) -> None:
        self.unfinished.discard(arm.name)


def _serve(workers: list[_Process], queue: _Queue, progress: Callable[[Progress], None]) -> None:
    while queue.unfinished:
        for worker in (w for w in workers if w.arm is None):
            if (ready := queue.next()) is not None:
                worker.give(ready)
        for pipe in wait([w.pipe for w in workers if w.arm is not None]):
            worker = next(w for w in workers if w.pipe is pipe)
            message = _receive(worker)
            if isinstance(message, Progress):
                progress(message)
            elif worker.arm is not None:
                queue.ended(worker.arm)
                worker.arm = None


def _receive(worker: _Process) -> Any:
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        raise worker.dead() from None
    if isinstance(message, tuple):
        name, text = message
        raise getattr(errors, name, AfuicError)(text)
    return message


def _loop(pipe: Connection[Any, Any], job: Job, values: dict[str, Any], folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    config = Config.model_validate(values)
    while True:
        try:
            arm = pipe.recv()
            _do(job, config, folder, arm, pipe.send)
            pipe.send(None)
        except (EOFError, BrokenPipeError):
            return
        except AfuicError as error:
            pipe.send((type(error).__name__, str(error)))
        except OSError as error:
            pipe.send(("StoreError", f"{error.filename or folder}: {error.strerror or error}"))
