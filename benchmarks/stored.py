"""The parts ``store`` and ``recovery`` of benchmarks/deployment.py: a server's store as it grows, and starts from copies of it.

What the server's loop does with an update is done as there: the protocol's step, the append, snapshot and sweep when they are due. The
updates are small random ones of three hospitals in turn. The store grows in memory, where nothing waits for a disk; what an append takes
on a disk is measured on a new store and on a copy of the grown one. ``python benchmarks/stored.py FOLDER SEED`` is one start, timed by
itself.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

BEGUN = time.monotonic()

from afuic.config import parse  # noqa: E402 - what the imports take is measured
from afuic.engines.live import building  # noqa: E402
from afuic.engines.live.clock import Clock  # noqa: E402
from afuic.engines.live.standing import Standing  # noqa: E402
from afuic.engines.live.starting import book_of  # noqa: E402
from afuic.engines.trial import Trial, trial  # noqa: E402
from afuic.protocol.events import ClientJoined, UpdateArrived  # noqa: E402
from afuic.rng import key  # noqa: E402

EVERY, APPENDED, MB = 500, 200, 1e6
MEMORY = Path("/dev/shm")  # noqa: S108 - a fresh folder in it
MARKS = (100, 1000, 10000)
NEARLY = 95
"""Events after the last snapshot, of at most 100, at which a copy is taken: a start from it is one of the longest there are."""
STARTS = 5
CONFIG: dict[str, Any] = {
    "name": "store",
    "methods": ["afuic"],
    "data": {"name": "phantom", "calibration": 40, "partition": {"kind": "iid", "clients": 3, "min_images": 8}},
}


@dataclass
class Growing:
    """A server's state with its store. ``spent``, ``worked``: seconds and CPU seconds of each append since the last look."""

    folder: Path
    seed: int
    updates: int = 0
    spent: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """A new store, or the one that is there."""
        self.trial = federation(self.folder, self.seed)
        settings = self.trial.settings
        worker, self.clock = building.worker(settings), Clock()
        self.book = book_of(settings, worker)
        self.book.append = self._timed(self.book.append)  # type: ignore[method-assign]
        rules = building.rules(settings)
        self.standing = Standing(rules, self.book, self.clock, settings.verify_deadline_s, settings.retention)
        for name in set(self.trial.names) - set(self.standing.state.clients):
            self.standing.happen(ClientJoined(self.clock.now(), name))

    def turn(self) -> None:
        """An update for the oldest task, and what the server's loop does after each event."""
        work = next(iter(self.standing.open.work.values()))
        generator = torch.Generator().manual_seed(key(self.seed, "delta", work.task) % 2**63)
        model = self.standing.state.model
        delta = {name: 1e-3 * torch.randn(tensor.shape, generator=generator) for name, tensor in model.items()}
        self.standing.happen(UpdateArrived(self.clock.now(), work.task, work.client, delta))
        self.standing.keep()

    def _timed(self, append: Callable[..., int]) -> Callable[..., int]:
        def timed(event: Any, *states: Any, **more: Any) -> int:
            begun, cpu = time.perf_counter(), time.process_time()
            seq = append(event, *states, **more)
            self.spent.append(time.perf_counter() - begun)
            self.worked.append(time.process_time() - cpu)
            self.updates += isinstance(event, UpdateArrived)
            return seq

        return timed

    def row(self, begun: float) -> dict[str, Any]:
        """How large the store is, and what the last appends took."""
        place = self.trial.settings.store
        blobs, database = files(place / "blobs"), [p for p in place.iterdir() if p.name.startswith("afuic.db")]
        worked = milliseconds(self.worked)
        self.worked.clear()
        return {
            "updates": self.updates,
            "events": self.standing.seq,
            "models": len(blobs),
            "models_mb": size(blobs) / MB,
            "database_mb": size(database) / MB,
            "store_mb": size(files(place)) / MB,
            "append_cpu_ms": worked,
            "updates_per_s": EVERY / (time.monotonic() - begun),
        }


def federation(folder: Path, seed: int) -> Trial:
    """Three hospitals under the default retention."""
    return trial(parse(CONFIG | {"seed": seed}), folder)


def grown(work: Path, seed: int, updates: int) -> dict[str, Any]:
    """A store of so many updates, looked at every 500; copies for ``recovery`` are left in ``work``."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else work) as place:
        found = _grown(Path(place), work, seed, updates)
    disk = {"fsync_ms": milliseconds(synced(work)), "new": appended(work / "new", seed, new=True)}
    return {**found, "disk": {**disk, "grown": appended(work / f"events-{MARKS[-1]}", seed, new=False)}}


def _grown(folder: Path, work: Path, seed: int, updates: int) -> dict[str, Any]:
    growing, rows, marks, begun = Growing(folder, seed), [], list(MARKS), time.monotonic()
    while growing.updates < updates or marks:
        growing.turn()
        standing = growing.standing
        if marks and standing.seq >= marks[0] and standing.seq - standing.snapshot_seq >= NEARLY:
            copy(folder, work / f"events-{marks.pop(0)}")
        if growing.updates >= EVERY * (len(rows) + 1) and growing.updates <= updates + EVERY:
            rows.append(growing.row(begun))
            print(f"store: {rows[-1]}", flush=True)
            begun = time.monotonic()
    gap = growing.book.check()
    growing.book.close()
    model = sum(t.numel() * t.element_size() for t in growing.standing.state.model.values())
    return {
        "model_mb": model / MB,
        "retention": growing.trial.settings.retention.model_dump(),
        "identity_gap": gap,
        "rows": rows,
    }


def appended(start: Path, seed: int, *, new: bool) -> dict[str, float]:
    """Milliseconds an append takes on the disk."""
    folder = start.with_name("appending")
    shutil.rmtree(folder, ignore_errors=True)
    if not new:
        copy(start, folder)
    growing = Growing(folder, seed)
    while growing.updates < APPENDED:
        growing.turn()
    growing.book.close()
    return milliseconds(growing.spent)


def synced(folder: Path) -> list[float]:
    """Seconds that the disk takes to make 100 kB durable: an append does this several times."""
    spent = []
    for _ in range(50):
        with tempfile.TemporaryFile(dir=folder) as handle:
            handle.write(bytes(100_000))
            handle.flush()
            begun = time.perf_counter()
            os.fsync(handle.fileno())
            spent.append(time.perf_counter() - begun)
    return spent


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and largest."""
    order = sorted(1000 * s for s in seconds)
    return {"median": median(order), "p95": order[int(0.95 * len(order))], "max": order[-1]}


def copy(folder: Path, to: Path) -> None:
    """What a server starts from, as it is now."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to)


def recovered(work: Path, seed: int) -> dict[str, Any]:
    """Starts from each copy, each in a process of its own."""
    if not all((work / f"events-{mark}").exists() for mark in MARKS):
        raise SystemExit(f"{work}: no copies of stores in it; run --part store with the same --work first")
    rows = []
    for mark in MARKS:
        starts = [started(work / f"events-{mark}", seed) for _ in range(STARTS)]
        timed = {name: sorted(s[name] for s in starts) for name in ("imports_s", "build_s", "recover_s")}
        found = {name: {"median": median(v), "min": v[0], "max": v[-1]} for name, v in timed.items()}
        rows.append({"events": starts[0]["events"], "replayed": starts[0]["replayed"], **found})
        print(f"recovery: {rows[-1]}", flush=True)
    return {"starts": STARTS, "rows": rows}


def started(folder: Path, seed: int) -> dict[str, Any]:
    """One start."""
    argv = [sys.executable, __file__, str(folder), str(seed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def start(folder: Path, seed: int) -> dict[str, Any]:
    """As a server does: imports, then the worker, then the store and the state from it."""
    imported = time.monotonic()
    settings = federation(folder, seed).settings
    worker, rules = building.worker(settings), building.rules(settings)
    built = time.monotonic()
    book, clock = book_of(settings, worker), Clock()
    standing = Standing(rules, book, clock, settings.verify_deadline_s, settings.retention)
    ended = time.monotonic()
    book.close()
    times = {"imports_s": imported - BEGUN, "build_s": built - imported, "recover_s": ended - built}
    return {**times, "events": standing.seq, "replayed": standing.seq - standing.snapshot_seq}


def files(place: Path) -> list[Path]:
    """All below."""
    return [path for path in place.rglob("*") if path.is_file()]


def size(paths: list[Path]) -> int:
    """Their bytes."""
    return sum(path.stat().st_size for path in paths)


if __name__ == "__main__":
    print(json.dumps(start(Path(sys.argv[1]), int(sys.argv[2]))))
