"""The parts ``rate`` and ``throughput`` of benchmarks/deployment.py: real federations on this machine, by the commands of the tutorial."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import common
import torch

from afuic.certify.chain import chain
from afuic.certify.keys import load_public, public_path
from afuic.deploy import dividing, running
from afuic.deploy.kernel import Family
from afuic.engines.live import building
from afuic.engines.live.replaying import replay
from afuic.engines.worker import Worker
from afuic.errors import StoreError
from afuic.learning.networks import Network
from afuic.settings import SERVER_FILE, Server, load
from afuic.store.book import Book
from afuic.store.rows import ContributionRow, RequestRow

PATIENCE_S, POLL_S = 3600.0, 2.0
LEAVES, SLOW, SLOWER = "hospital-1", "hospital-2", 10
WINDOW_S, WARM = 240.0, 2
UPDATES, MB = 24, 1e6
SIZES = {"1 MB": "sized:megabyte", "45 MB": "sized:large"}
PROGRAMS = {"SuperLink": "flower-superlink", "ServerApp": "serverapp", "API": "afuic.service"}
TICKS = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME, _CUTIME, _CSTIME = 11, 12, 13, 14
"""Fields of /proc/PID/stat after the program's name: its own, and of its children that have ended."""


class Federation:
    """One that runs, read through its store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.loads = folder, list[float]()
        self.settings = load(folder / SERVER_FILE, Server)

    @contextmanager
    def book(self) -> Iterator[Book]:
        """Its store."""
        book = Book.open(self.settings.database, self.settings.store)
        try:
            yield book
        finally:
            book.close()

    def until(self, holds: Callable[[Book], bool]) -> float:
        """The time when that holds."""
        until = time.monotonic() + PATIENCE_S
        while not self._holds(holds):
            if time.monotonic() > until:
                raise SystemExit(f"{self.folder}: it never came to that; its logs are in server/logs")
            self.loads.append(os.getloadavg()[0])
            time.sleep(POLL_S)
        return time.time()

    def _holds(self, holds: Callable[[Book], bool]) -> bool:
        try:
            with self.book() as book:
                return holds(book)
        except StoreError:
            return False

    def load(self) -> float:
        """The machine's mean load since the last call."""
        found, self.loads = fmean(self.loads or [os.getloadavg()[0]]), []
        return round(found, 1)

    def warm(self) -> None:
        """Until every hospital has sent some updates."""
        names = {hospital.name for hospital in self.settings.hospitals}
        self.until(lambda book: names == {client.name for client in book.status().clients if client.applied >= WARM})
        self.load()


def afuic(*arguments: object) -> str:
    """A command, as a user gives it."""
    own = os.pathsep.join((str(common.ROOT / "src"), str(common.ROOT / "benchmarks")))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": own}
    argv = [sys.executable, "-m", "afuic.cli", *map(str, arguments)]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout


@contextmanager
def federation(folder: Path, *options: object) -> Iterator[Federation]:
    """Three hospitals, from the command's return, when all have joined, on."""
    try:
        afuic("deploy", "local", folder, "--hospitals", 3, *options, "--detach")
        print(f"{folder}: runs", flush=True)
        yield Federation(folder)
    finally:
        if (folder / SERVER_FILE).is_file():
            running.stop(running.place(folder))


def rate(work: Path, seed: int) -> dict[str, Any]:
    """Updates a minute of those who stay, before, during and after an erasure; its certificate; the replay of all events."""
    folder = work / f"rate-{time.time():.0f}"
    with federation(folder, "--data", "bloodmnist", "--slow", f"{SLOW}={SLOWER}", "--set", f"seed={seed}") as running_:
        running_.warm()
        begun, loads = time.time(), list[float]()
        _pass(running_, begun)
        loads.append(running_.load())
        afuic("erase", "--client", LEAVES, "--reason", "benchmark", "--home", folder / "operator")
        print("rate: asked", flush=True)
        running_.until(lambda book: _ended(book.requests()) and len(book.certificates()) > 0)
        loads.append(running_.load())
        print("rate: certified", flush=True)
        _pass(running_, time.time())
        loads.append(running_.load())
    return {**told(running_, begun, time.time(), loads), **verified(running_), "replay": replayed(running_)}


def _pass(running_: Federation, begun: float) -> None:
    running_.until(lambda book: time.time() >= begun + WINDOW_S)


def _ended(rows: Sequence[RequestRow]) -> bool:
    if any(row.phase in {"failed", "refused"} for row in rows):
        raise SystemExit(f"the request ended as {rows[0].phase}: {rows[0].notes}")
    return bool(rows) and all(row.phase == "completed" for row in rows)


def told(running_: Federation, begun: float, ended: float, loads: Sequence[float]) -> dict[str, Any]:
    """Updates by window and hospital, and what the request took."""
    with running_.book() as book:
        (request,), updates = book.requests(), book.contributions(limit=10**6)
        report = book.purge_report(request.id)
    asked, completed = request.asked_at, request.completed_at or ended
    spans = {"before": (begun, asked), "during": (asked, completed), "after": (completed, ended)}
    windows = {name: _window(updates, *span) for name, span in spans.items()}
    for found, mean in zip(windows.values(), loads, strict=True):
        found["load"] = mean
    rates = {name: found["a_minute"] for name, found in windows.items()}
    return {
        "hospitals": 3,
        "slowest": SLOWER,
        "windows": windows,
        "during_to_before": rates["during"] / rates["before"],
        "after_to_before": rates["after"] / rates["before"],
        "phases": [{"after": move["after"], "s": move["at"] - asked} for move in request.history],
        "purged": None if report is None else {"removed": len(report.removed), "left": len(report.left)},
    }


def _window(updates: Sequence[ContributionRow], begin: float, end: float) -> dict[str, Any]:
    """Of the hospitals that stay."""
    count = Counter(row.client for row in updates if row.client != LEAVES and begin <= row.at < end)
    return {"seconds": end - begin, "updates": dict(count), "a_minute": 60 * count.total() / (end - begin)}


def verified(running_: Federation) -> dict[str, Any]:
    """What ``afuic verify``'s own function says of the certificate."""
    key = public_path(running_.settings.signing_key)
    with running_.book() as book:
        certificates = book.certificates()
        path = running_.folder / "certificate.json"
        path.write_text(certificates[0].envelope)
    afuic("verify", path, "--key", key)
    return {"certificates": len(certificates), "problems": chain([row.envelope for row in certificates], load_public(key))}


def replayed(running_: Federation) -> dict[str, Any]:
    """Everything that hospitals and server computed, computed again by the simulator's worker."""
    torch.set_num_threads(1)
    settings = running_.settings
    data = dividing.divided(settings.federation)
    network = Network(settings.federation.model.name, data.channels, data.size, len(data.class_names))
    worker = Worker(settings.federation, data, network, patients=dict.fromkeys(data.clients, ()))
    print("rate: replaying", flush=True)
    with running_.book() as book:
        found = replay(book, building.rules(settings), worker, {})
    return {
        "events": found.events,
        "computed": found.computed,
        "same": found.same,
        "problem": found.problem,
        "digest": found.digest,
    }


def throughput(work: Path, seed: int) -> dict[str, Any]:
    """Round trips, updates a second, memory and CPU of the server with models of two sizes and one step of training."""
    return {"sizes": {name: _sized(work, seed, name, network) for name, network in SIZES.items()}}


def _sized(work: Path, seed: int, name: str, network: str) -> dict[str, Any]:
    options = [f"seed={seed}", f"model.name={network}", "training.steps=1", "training.batch=8"]
    given = [part for option in options for part in ("--set", option)]
    with federation(work / f"throughput-{time.time():.0f}", "--data", "phantom", *given) as running_:
        running_.warm()
        before, busy, begun = used(running_.folder), everything(running_.folder), time.time()
        with running_.book() as book:
            wanted = book.status().applied + UPDATES
        ended = running_.until(lambda book: book.status().applied >= wanted)
        after, busy = used(running_.folder), everything(running_.folder) - busy
        with running_.book() as book:
            updates = [row for row in book.contributions(limit=10**6) if begun <= row.at <= ended]
            model = sum(t.numel() * t.element_size() for t in book.theta0().values())
            held = book.status().store_bytes
    found = {
        "model_mb": model / MB,
        "updates": len(updates),
        "seconds": ended - begun,
        "updates_per_s": len(updates) / (ended - begun),
        "round_trip_s": common.spread(intervals(updates)),
        "programs": {program: _spent(before, after, program, len(updates)) for program in after},
        "cpu_s_an_update": busy / len(updates),
        "store_mb": held / MB,
        "load": running_.load(),
    }
    print(f"throughput, {name}: {found}", flush=True)
    return found


def intervals(updates: Sequence[ContributionRow]) -> list[float]:
    """Seconds between one hospital's update and its next: a task's way there, its work, its way back, until it is durable."""
    times: dict[str, list[float]] = {}
    for row in updates:
        times.setdefault(row.client, []).append(row.at)
    return [later - earlier for each in times.values() for earlier, later in pairwise(sorted(each))]


def used(folder: Path) -> dict[str, dict[str, float]]:
    """Largest resident memory and CPU seconds of the server's programs so far."""
    found: dict[str, dict[str, float]] = {}
    for pid in Family(running.place(folder).mark).members():
        words = " ".join(
            Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            for name in ("comm", "cmdline")
        )
        for program in [name for name, part in PROGRAMS.items() if part in words]:
            status = Path(f"/proc/{pid}/status").read_text()
            peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
            found[program] = {"peak_mb": peak * 1024 / MB, "cpu_s": _cpu(pid, _UTIME, _STIME)}
    return found


def everything(folder: Path) -> float:
    """CPU seconds of all that belongs to the federation, hospitals and ended tasks included."""
    return sum(_cpu(pid, _UTIME, _STIME, _CUTIME, _CSTIME) for pid in Family(running.place(folder).mark).members())


def _cpu(pid: int, *wanted: int) -> float:
    """The sum of these fields, which count ticks, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[n]) for n in wanted) / TICKS


def _spent(before: Mapping[str, Any], after: Mapping[str, Any], program: str, updates: int) -> dict[str, float]:
    cpu = after[program]["cpu_s"] - before.get(program, {"cpu_s": 0.0})["cpu_s"]
    return {"peak_mb": after[program]["peak_mb"], "cpu_s": cpu, "cpu_s_an_update": cpu / updates}
