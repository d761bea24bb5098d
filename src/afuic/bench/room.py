"""Whether the machine has room for a suite, said before the first hour of work and not after it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from afuic.bench.task import Task
from afuic.config import Config
from afuic.data import Dataset, load
from afuic.erase import METHODS
from afuic.errors import StoreError
from afuic.learning.networks import Network
from afuic.params import nbytes
from afuic.report.words import size
from afuic.rng import torch_stream

PROCESS_BYTES = 450_000_000
"""A process with torch and the laboratory's code, before any image (docs/benchmarks.md: some 0.6 GB with BloodMNIST)."""
IMAGE_COPIES = 3
"""Images are held as bytes, as float tensors at the hospitals, and once more, stamped and joined, by the judge."""
EVENT_BYTES, EVENTS_AN_UPDATE = 600, 2.2
"""Of the journal, measured on runs of the demo."""
FLOAT = 4
LIMITS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Where a container's limit is, its use, and what of it are files' pages: cgroup v2, then v1 (unlimited: more than any memory)."""


@dataclass(frozen=True)
class Need:
    """Bytes that a run may take at most, by estimate: on disk in all, in memory for one process."""

    disk: float
    process: float


def sizes(tasks: Sequence[Task]) -> Mapping[str, Size]:
    """By configuration, what its data and model say of the room that it needs; DataError or ModelError where there are none."""
    return {text: Size(Config.model_validate_json(text)) for text in {task.config for task in tasks}}


def check(tasks: Sequence[Task], known: Mapping[str, Size], out: Path, jobs: int) -> None:
    """StoreError when the disk or the memory that is free is less than the estimate for the tasks still to be done.

    ``known``: the sizes of at least these tasks.
    """
    if not tasks:
        return
    side_by_side = min(jobs, len(tasks))
    need = estimate(tasks, known, side_by_side)
    disk, memory = free_disk(out), free_memory()
    if need.disk > disk:
        raise StoreError(
            f"{out}: the suite may need {size(int(need.disk))} of disk and {size(disk)} are free; free some or choose another --out"
        )
    if memory is not None and need.process * side_by_side > memory:
        raise StoreError(
            f"{side_by_side} processes may need {size(int(need.process * side_by_side))} of memory and {size(memory)} are free; "
            "lower --jobs or close something"
        )


def estimate(tasks: Sequence[Task], known: Mapping[str, Size], side_by_side: int) -> Need:
    """What these tasks may need: everything that stays on disk, two checkpoints for each that is under way (the old one goes when the
    new one is whole), one process's memory.
    """
    used = [known[text] for text in {task.config for task in tasks}]
    kept = sum(known[task.config].kept(task) for task in tasks)
    return Need(kept + 2 * side_by_side * max(s.checkpoint for s in used), max(s.process for s in used))


def free_disk(out: Path) -> int:
    """Bytes free where ``out`` is or will be."""
    place = next(p for p in (out.resolve(), *out.resolve().parents) if p.exists())
    return shutil.disk_usage(place).free


def free_memory() -> int | None:
    """Bytes of memory that processes may still take, the limit of a container included; None where the system does not say."""
    known = [v for v in (_available(), _limit()) if v is not None]
    return min(known, default=None)


def _available() -> int | None:
    info = Path("/proc/meminfo")
    if info.exists():
        lines = [line.split() for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("MemAvailable")]
        return 1024 * int(lines[0][1]) if lines else None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return None


def _limit() -> int | None:
    """What is left of a container's limit; files that it has read or written are given up before any process is."""
    for folder, most, used, cache in LIMITS:
        if (folder / most).exists() and (text := (folder / most).read_text(encoding="utf-8").strip()) != "max":
            counted = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="utf-8").splitlines())
            taken = int((folder / used).read_text(encoding="utf-8")) - int(counted.get(cache, 0))
            return max(int(text) - taken, 0)
    return None


class Size:
    """Sizes of one configuration, from its images, its network and the updates that its clock leaves time for."""

    def __init__(self, config: Config) -> None:
        data = load(config.data.name)
        clients = _clients(config, data)
        self.model = _model_bytes(config, data)
        self.probs = FLOAT * int((data.split == 2).sum()) * len(data.class_names)
        task_s = config.training.steps * config.training.batch * config.clock.sample_s + 2 * config.clock.latency_s
        self.updates = clients * config.clock.horizon_s / task_s
        history = any(METHODS[name].history for name in config.methods)
        pixels = data.images.shape[3] * config.data.size**2
        self.checkpoint = (2 * clients + 8 + (self.updates if history else 0)) * self.model
        self.process = PROCESS_BYTES + IMAGE_COPIES * FLOAT * len(data) * pixels + 4 * self.checkpoint

    def kept(self, task: Task) -> float:
        """Bytes that the task leaves on disk."""
        journal = EVENT_BYTES * EVENTS_AN_UPDATE * self.updates
        past = self.checkpoint if task.past else 0.0
        return 2 * (self.model + self.probs) + journal + past


def _clients(config: Config, data: Dataset) -> int:
    if config.data.partition.kind == "site" and data.site is not None:
        return len(set(data.site.tolist()))
    return config.data.partition.clients


def _model_bytes(config: Config, data: Dataset) -> int:
    network = Network(config.model.name, data.images.shape[3], config.data.size, len(data.class_names))
    return nbytes(network.initial(torch_stream(0, "room")))
