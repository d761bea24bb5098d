"""What a process does with a task: run the arm, or take the measure; each kind of task is a function here or of a further measure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from afuic.bench import relearn, ulira
from afuic.bench.meter import Metered
from afuic.bench.task import RESULT, Task
from afuic.config import Config
from afuic.engines.arm import Arm, Progress, Run
from afuic.engines.description import hospitals
from afuic.engines.origin import commit
from afuic.engines.shadows import Witness
from afuic.errors import AfuicError, StoreError
from afuic.store.files import read_json, write_json

ABOUT = "about.json"
Sink = Callable[[Progress], None]


def work(config: Config, folder: Path, arm: Arm, progress: Sink) -> None:
    """Do a task in this process; what goes wrong with a method is its result, what goes wrong with the machine is raised.

    ``folder``: that of all arms; ``config`` is not looked at, since the task has its own.
    """
    root = folder
    if not isinstance(arm, Task):
        raise TypeError(f"{arm.name}: not a task of a suite")
    place = arm.at(root)
    if arm.done(root):
        progress(Progress(arm.name, 1.0, 1.0, 0, "done before", "done"))
        return
    progress(Progress(arm.name, 0.0, 0.0, 0, "beginning", "running"))
    resumed = (place / "checkpoint.json").exists()
    noted = {"commit": _commits(place) if resumed else commit(), "resumed": True}
    write_json(place / ABOUT, noted)
    began = time.monotonic()
    more: Mapping[str, Any] = {}
    note = "done"
    try:
        _check_past(root, arm)
        more = KINDS[arm.kind](root, arm, lambda p: progress(replace(p, arm=arm.name, state="running")))
    except StoreError:
        raise
    except AfuicError as error:
        write_json(place / RESULT, {"error": f"{type(error).__name__}: {error}"})
        note = str(error)
    write_json(place / ABOUT, noted | {"seconds": time.monotonic() - began, "resumed": resumed, **more})
    progress(Progress(arm.name, 1.0, 1.0, 0, note, "done"))


def _check_past(root: Path, task: Task) -> None:
    """AfuicError with the past's own reason where it could not be run."""
    path = root / str(task.after) / RESULT
    if task.after is not None and (why := read_json(path).get("error")):
        raise AfuicError(f"the past of {task.local} could not be run: {why}")


def _commits(place: Path) -> str | None:
    """The commits that what is resumed here has been run at, in order."""
    known, now = about(place).get("commit"), commit() or "unknown"
    return known if known is None or now in known.split(", ") else f"{known}, {now}"


def about(place: Path) -> dict[str, Any]:
    """What was noted beside a task's result; the commit alone where the process was stopped between the two."""
    return dict(read_json(place / ABOUT)) if (place / ABOUT).exists() else {}


# -- kinds of work ----------------------------------------------------------------------------------------------------------


def _arm(root: Path, task: Task, progress: Sink) -> Mapping[str, Any]:
    lab = task.laboratory()
    metered, cpu = Metered(lab), time.process_time()
    after = None if task.after is None else str((root / task.after).resolve())
    arm = Arm(task.local, task.method, after, task.family, task.until, lean=True)
    Run(
        metered.laboratory(), root / task.folder, arm, progress, Witness(lab.judge, control=True) if task.witness else None
    ).run()
    place = task.at(root)
    size = sum(file.stat().st_size for file in place.glob("checkpoint*"))
    if not arm.past:
        _drop_checkpoint(place)
    cpu = time.process_time() - cpu
    return {
        "cpu_s": cpu,
        "own_s": max(cpu - metered.seconds, 0.0),
        "checkpoint_bytes": size,
        "clients": hospitals(lab),
        "sizes": lab.judge.sizes(),
    }


def _drop_checkpoint(place: Path) -> None:
    for file in place.glob("checkpoint*"):
        with suppress(OSError):
            file.unlink()


KINDS: dict[str, Callable[[Path, Task, Sink], Mapping[str, Any]]] = {
    "arm": _arm,
    relearn.FOLDER: relearn.measure,
    ulira.FOLDER: ulira.measure,
}
"""What each kind of task does; gives what is to be noted beside its result."""
