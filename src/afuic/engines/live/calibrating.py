"""The server's own training, beside the loop: one process that does one job after the other, so that nobody waits for it.

Jobs and results cross a pipe as JSON and safetensors. The process ends itself when its parent is gone; one that dies is started again.
"""

from __future__ import annotations

import json
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Protocol

from afuic.config import Config
from afuic.engines.classes import core
from afuic.engines.live.building import validation, worker_of, yardstick
from afuic.engines.live.health import Finding, Probe, Yardstick
from afuic.engines.live.open import AtServer
from afuic.engines.simulator import computed
from afuic.engines.worker import Worker
from afuic.erase.rounds import SERVER
from afuic.errors import AfuicError, StoreError
from afuic.protocol import events as ev
from afuic.protocol.effects import Calibrate
from afuic.protocol.events import Event
from afuic.settings import Images, Server
from afuic.store import codec

ATTEMPTS = 3
FRAME = struct.Struct(">QQ")

Job = AtServer | Probe
Ended = Event | Finding


class Calibrator(Protocol):
    """Who does the server's own jobs."""

    def turn(self, jobs: Sequence[Job], t: float) -> list[Ended]:
        """``jobs``: all that are wanted now, the most urgent first. What has ended since the last call, at time ``t``."""

    def close(self) -> None:
        """Stop whatever is under way."""


def name_of(job: Job) -> str:
    """A job's name."""
    if isinstance(job, Probe):
        return f"probe/{job.version}"
    return job.job if isinstance(job, Calibrate) else job.task


class Inline:
    """Does the most urgent job at once, in the caller's time."""

    def __init__(self, worker: Worker, yardstick: Yardstick | None = None) -> None:
        self.worker, self.yardstick = worker, yardstick

    def turn(self, jobs: Sequence[Job], t: float) -> list[Ended]:
        """The result of the first job."""
        return [_done(self.worker, self.yardstick, t, jobs[0])] if jobs else []

    def close(self) -> None:
        """Nothing is ever under way."""


class Process:
    """Does one job after the other in a process of its own; a job that is no longer wanted is stopped when another waits."""

    def __init__(self, settings: Server) -> None:
        self._head = _head(settings)
        self._child: _Child | None = None
        self._job: Job | None = None
        self._deaths: dict[str, int] = {}

    def turn(self, jobs: Sequence[Job], t: float) -> list[Ended]:
        """What has ended since the last call."""
        ended = self._ended(t)
        done = {name_of(self._job)} if self._job is not None and ended else set()
        self._job = None if ended else self._job
        left = [job for job in jobs if name_of(job) not in done]
        if left and self._job is not None and name_of(self._job) not in {name_of(job) for job in left}:
            self.close()
        if left and self._job is None:
            self._begin(left[0])
        return ended

    def close(self) -> None:
        """Stop the process and what it does."""
        if self._child is not None:
            self._child.end()
        self._child = self._job = None

    def _begin(self, job: Job) -> None:
        self._child = self._child or _Child(self._head)
        self._job = job
        self._child.give(job)

    def _ended(self, t: float) -> list[Ended]:
        """The result of the job under way, if there is one; a process that died is forgotten, and its job begun anew."""
        if self._child is None or self._job is None:
            return []
        try:
            event = self._child.result()
        except AfuicError as error:
            job = self._job
            self.close()
            self._deaths[name_of(job)] = self._deaths.get(name_of(job), 0) + 1
            return [_failed(job, t, str(error))] if self._deaths[name_of(job)] >= ATTEMPTS else []
        return [] if event is None else [replace(event, t=t)]


class _Child:
    """The process, with a thread that hears it."""

    def __init__(self, head: dict[str, Any]) -> None:
        command = [sys.executable, "-m", "afuic.engines.live.calibrating"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)  # noqa: S603
        self._heard: queue.SimpleQueue[Ended | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()
        self._send(head, b"")

    def give(self, job: Job) -> None:
        self._send(*codec.pack(job))

    def result(self) -> Ended | None:
        """The result that has come, or None; AfuicError when the process is dead."""
        try:
            event = self._heard.get_nowait()
        except queue.Empty:
            return None
        if event is None:
            code = self._process.wait()
            raise AfuicError(f"the server's calibrating process died (exit code {code}; is memory short?)")
        return event

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for pipe in (self._process.stdin, self._process.stdout):
            _close(pipe)

    def _send(self, tree: Any, tensors: bytes) -> None:
        """A dead process is noticed where its result is asked for."""
        try:
            _write(_pipe(self._process.stdin), tree, tensors)
        except OSError:
            self._heard.put(None)

    def _hear(self) -> None:
        try:
            while message := _read(_pipe(self._process.stdout)):
                self._heard.put(codec.unpack(*message, classes()))
        except (OSError, ValueError, StoreError):
            pass
        finally:
            self._heard.put(None)


def classes() -> tuple[type, ...]:
    """Every class that crosses the pipe."""
    return (*core(), Probe, Finding)


def _done(worker: Worker, yardstick: Yardstick | None, t: float, job: Job) -> Ended:
    if isinstance(job, Probe):
        return Finding(t, job.version) if yardstick is None else replace(yardstick.measure(job), t=t)
    return computed(worker, t, job)


def _failed(job: Job, t: float, reason: str) -> Ended:
    if isinstance(job, Probe):
        return Finding(t, job.version)
    if isinstance(job, Calibrate):
        return ev.CalibrationFailed(t, job.job, reason)
    return ev.TaskFailed(t, job.task, SERVER, reason)


def _head(settings: Server) -> dict[str, Any]:
    return {
        "federation": settings.federation.model_dump(mode="json"),
        "images": settings.images.model_dump(mode="json"),
        "calibration": None if settings.calibration is None else str(settings.calibration),
        "validation": None if settings.validation is None else str(settings.validation),
    }


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("no pipe")
    return pipe


def _close(pipe: IO[bytes] | None) -> None:
    try:
        _pipe(pipe).close()
    except OSError:
        return


def _write(pipe: IO[bytes], tree: Any, tensors: bytes) -> None:
    document = json.dumps(tree).encode()
    pipe.write(FRAME.pack(len(document), len(tensors)) + document)
    pipe.write(tensors)
    pipe.flush()


def _read(pipe: IO[bytes]) -> tuple[Any, bytes] | None:
    """The next message; None at the end."""
    head = pipe.read(FRAME.size)
    if len(head) < FRAME.size:
        return None
    document, tensors = FRAME.unpack(head)
    return json.loads(pipe.read(document)), pipe.read(tensors)


def _listen(pipe: IO[bytes], jobs: queue.SimpleQueue[tuple[Any, bytes]]) -> None:
    """Pass jobs on; the parent's end ends this process in the middle of whatever it does."""
    while message := _read(pipe):
        jobs.put(message)
    os._exit(0)


def main() -> None:
    """The process: settings first, then jobs, each answered by an event."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    jobs: queue.SimpleQueue[tuple[Any, bytes]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, jobs), daemon=True).start()
    head, _ = jobs.get()
    calibration, validated = (None if head[name] is None else Path(head[name]) for name in ("calibration", "validation"))
    images, config = Images.model_validate(head["images"]), Config.model_validate(head["federation"])
    worker = worker_of(config, images, calibration)
    measure = yardstick(worker, validation(validated, images))
    while True:
        job = codec.unpack(*jobs.get(), classes())
        _write(out, *codec.pack(_done(worker, measure, 0.0, job)))


if __name__ == "__main__":
    main()
