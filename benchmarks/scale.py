"""Memory, disk and time of federations of 5, 50 and 200 clients: what grows with the models held, and what with history.

Each size runs in a process of its own: BloodMNIST dealt evenly, a few steps a task, until every client has been heard N times on
average, then 3N times, then through the erasure of one client to the end of its guard. At each point the world is checkpointed, as
a run would be, and weighed.
"""

from __future__ import annotations

import argparse
import gc
import math
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import common
import torch

from afuic.config import Config, parse
from afuic.engines.journaling import lines
from afuic.engines.laboratory import Laboratory, prepare
from afuic.engines.simulator import Simulator, World, stored_models
from afuic.params import nbytes
from afuic.protocol import initial
from afuic.protocol.events import EraseRequested
from afuic.protocol.requests import Phase
from afuic.store import codec
from afuic.store.journal import Journal

MEGABYTE = 1e6
TARGET = "hospital-0"
JOURNAL = "events.jsonl"
NUMBERS = {"steps": 2, "batch": 8}


def configuration(clients: int, seed: int, data: str = "bloodmnist") -> Config:
    """Many small hospitals: even shares of the data, short tasks, our method with its usual options."""
    partition = {"kind": "iid", "clients": clients, "min_images": 1}
    return parse(
        {
            "name": f"scale-{clients}",
            "seed": seed,
            "methods": ["afuic"],
            "data": {"name": data, "calibration": 64, "partition": partition},
            "training": NUMBERS,
            "evaluation": {"images": 50},
            "requests": [{"client": TARGET}],
            "options": {"afuic": {"heal": {"steps": 10}}},
        }
    )


class Scale:
    """A world of one size, driven to points and weighed there; its journal and checkpoint are written as a run writes them."""

    def __init__(self, lab: Laboratory, folder: Path, journal: Journal) -> None:
        self.folder, self.journal, self.meter = folder, journal, common.Meter()
        worker = lab.worker()
        self.elsewhere = tensor_bytes()
        self.world = World(initial(worker.initial()), 0.0)
        self.model_bytes = nbytes(self.world.state.model)
        self.simulator = Simulator(lab.rules("afuic"), lab.fleet, worker, self.world, self._watch)
        self.simulator.join(lab.federation.clients)

    def train(self, updates: int) -> dict[str, Any]:
        """Go on until so many updates have been applied in all."""
        return self._until(lambda: self.world.state.applied >= updates)

    def erase(self) -> dict[str, Any]:
        """Erase one client and go on to the end of its guard."""
        self.simulator.schedule(EraseRequested(self.world.t, "request-0", TARGET))
        return self._until(lambda: self._phase() is Phase.COMPLETED)

    def _phase(self) -> Phase | None:
        record = self.world.state.requests.get("request-0")
        return record.phase if record else None

    def _watch(self, *event: Any) -> None:
        for line in lines("scale", self.journal.count, *event):
            self.journal.append(line)

    def _until(self, done: Callable[[], bool]) -> dict[str, Any]:
        applied, numerical, before = self.world.state.applied, self.meter.of(common.TRAINING), time.process_time()
        reset_peak()
        with self.meter.attached():
            self.simulator.run_until(math.inf, stop=done)
        trained = self.meter.of(common.TRAINING) - numerical
        own = time.process_time() - before - trained
        updates = self.world.state.applied - applied
        return self._weighed() | {"training_ms": 1e3 * trained / updates, "own_ms": 1e3 * own / updates}

    def _weighed(self) -> dict[str, Any]:
        alive = tensor_bytes() - self.elsewhere
        resident, before = memory_mb("VmRSS"), time.process_time()
        codec.save(self.folder / "checkpoint", self.world, {"count": self.journal.sync()})
        saved = time.process_time() - before
        state = self.world.state
        return {
            "applied": state.applied,
            "models_ledger": stored_models(state, self.simulator.rules),
            "models_held": common.models_held(self.world),
            "models_alive": alive / self.model_bytes,
            "resident_mb": resident,
            "peak_mb": memory_mb("VmHWM"),
            "journal_mb": (self.folder / JOURNAL).stat().st_size / MEGABYTE,
            "checkpoint_mb": sum(f.stat().st_size for f in self.folder.glob("checkpoint*")) / MEGABYTE,
            "checkpoint_s": saved,
        }


def tensor_bytes() -> int:
    """Bytes of all tensors that this process can reach, each storage once."""
    gc.collect()
    found = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in found}.values())


def memory_mb(what: str) -> float:
    """Megabytes of this process's resident set: now (``VmRSS``) or its peak since ``reset_peak`` (``VmHWM``); Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / MEGABYTE


def reset_peak() -> None:
    """Begin a new peak."""
    Path("/proc/self/clear_refs").write_text("5")


def points(lab: Laboratory, updates: int) -> dict[str, dict[str, Any]]:
    """A new world after ``updates`` a client on average, after three times as many, after an erasure."""
    clients = len(lab.federation.clients)
    with tempfile.TemporaryDirectory() as name, Journal(Path(name) / JOURNAL) as journal:
        scale = Scale(lab, Path(name), journal)
        return {"n": scale.train(updates * clients), "3n": scale.train(3 * updates * clients), "erased": scale.erase()}


def measure(config: Config, updates: int) -> dict[str, Any]:
    """One size, in this process."""
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    lab = prepare(config)
    empty = memory_mb("VmRSS")
    size = nbytes(lab.worker().initial()) / MEGABYTE
    return {"clients": len(lab.federation.clients), "model_mb": size, "empty_mb": empty, "points": points(lab, updates)}


def measure_all(sizes: Sequence[int], updates: int, seed: int) -> list[dict[str, Any]]:
    """All sizes, a fresh process each."""
    context = multiprocessing.get_context("spawn")
    found = []
    for clients in sizes:
        with context.Pool(1) as pool:
            found.append(pool.apply(measure, (configuration(clients, seed), updates)))
        print(f"{clients} clients: {found[-1]['points']['3n']['peak_mb']:.0f} MB at most", flush=True)
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=common.RESULTS / "scale.json", help="the document to write")
    parser.add_argument("--clients", type=int, nargs="+", default=[5, 50, 200], help="sizes (default 5 50 200)")
    parser.add_argument("--updates", type=int, default=10, help="N, updates a client (default 10)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    head = common.origin("scale", options.seed) | {"training": NUMBERS, "updates": options.updates}
    common.write(options.out, head | {"sizes": measure_all(options.clients, options.updates, options.seed)})


if __name__ == "__main__":
    main()
