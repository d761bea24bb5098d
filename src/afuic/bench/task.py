"""One piece of a suite's work and what a process does with it: run an arm, or take a further measure of one.

A task carries its whole configuration, so that a process needs nothing else, and leaves ``result.json`` in its folder as the last thing
it does: what has one is never done again.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from afuic.bench import relearn, ulira
from afuic.bench.meter import Metered
from afuic.config import Config
from afuic.engines.arm import Arm, Progress, Run
from afuic.engines.description import hospitals
from afuic.engines.laboratory import Laboratory, prepare
from afuic.engines.origin import commit
from afuic.engines.shadows import Witness
from afuic.errors import AfuicError, StoreError
from afuic.store.files import read_json, write_json

ARMS = "arms"
RESULT, ABOUT = "result.json", "about.json"
Sink = Callable[[Progress], None]


@dataclass(frozen=True)
class Task(Arm):
    """``kind``: what to do, a key of ``KINDS``. ``folder`` (CASE/SEED) and ``local`` say where; ``past_at``: the arm to branch from;
    ``sources``: the arms whose models are looked at; ``config`` and ``options`` as JSON; ``witness``: measured on the forget set and
    the test set alone, as shadow models are; ``stage``: tasks of one stage begin when all of the one before are done.
    """

    kind: str = "arm"
    folder: str = ""
    local: str = ""
    config: str = ""
    options: str = "{}"
    past_at: str | None = None
    sources: tuple[str, ...] = ()
    witness: bool = False
    stage: int = 0

    @property
    def past(self) -> bool:
        """Whether rows branch from it, whatever it waits for itself."""
        return self.kind == "arm" and self.past_at is None and (self.until == "request" or not self.family)

    def at(self, root: Path) -> Path:
        """Its own folder below the folder of all arms."""
        return root / self.folder / self.local

    def done(self, root: Path) -> bool:
        """Whether it needs not be done again."""
        return (self.at(root) / RESULT).exists()

    def laboratory(self) -> Laboratory:
        """The laboratory of its case and seed, built once per process, with the task's own options. A past keeps ready what any method
        of the case needs, every other arm what its own does.
        """
        lab = _laboratory(self.config)
        methods = lab.config.methods if self.past else (self.method,)
        return replace(lab, config=lab.config.model_copy(update={"options": json.loads(self.options), "methods": methods}))


@functools.lru_cache(maxsize=2)
def _laboratory(text: str) -> Laboratory:
    return prepare(Config.model_validate_json(text))


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
    path = root / str(task.past_at) / RESULT
    if task.past_at is not None and (why := read_json(path).get("error")):
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
    after = None if task.past_at is None else str((root / task.past_at).resolve())
    arm = Arm(task.local, task.method, after, task.family, task.until, lean=True)
    Run(
        metered.laboratory(), root / task.folder, arm, progress, Witness(lab.judge, control=True) if task.witness else None
    ).run()
    place = task.at(root)
    size = sum(file.stat().st_size for file in place.glob("checkpoint*"))
    if not arm.past:
        _drop_checkpoint(place)
    cpu = time.process_time() - cpu
    return {"cpu_s": cpu, "own_s": max(cpu - metered.seconds, 0.0), "checkpoint_bytes": size, "clients": hospitals(lab)}


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
