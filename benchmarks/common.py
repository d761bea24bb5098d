"""What every benchmark shares: where its numbers come from, how they are written, and counters of CPU time and of models."""

from __future__ import annotations

import dataclasses
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

from afuic import __version__
from afuic.engines.worker import Worker
from afuic.evaluate.judge import Judge
from afuic.params import Params
from afuic.store import codec
from afuic.store.files import write_json

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TRAINING = ("train", "unlearn", "calibrate")
EVALUATION = ("point", "phase_and_probs")
METERED = ((Worker, TRAINING), (Judge, EVALUATION))


def origin(benchmark: str, seed: int) -> dict[str, Any]:
    """The head of a document: what was run, from which commit, on which machine. ``changed``: src differed from that commit."""
    return {
        "benchmark": benchmark,
        "seed": seed,
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--", "src", "benchmarks/*.py")),
        "machine": {
            "system": platform.system(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": {"python": platform.python_version(), "afuic": __version__}
        | {name: version(name) for name in ("torch", "numpy")},
    }


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a benchmark's document and say where."""
    write_json(path, document)
    print(f"wrote {path}")


def replaced(page: str, where: str, name: str, script: str, inner: str) -> str:
    """The page with ``inner`` between the markers of ``name``; exits where one is missing."""
    begin, end = f"<!-- {name}: written by benchmarks/{script} -->\n", f"<!-- end of {name} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"{where}: the markers of {name} are missing; put them back")
    return before + begin + "\n" + inner + "\n" + end + after


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


class Meter:
    """CPU seconds and calls of what the simulator exists for: training at clients and server, evaluation.

    ``seen``, if given, gets every call as (kind, the worker or judge, its argument, its result); ``unmetered`` holds the functions
    as they are.
    """

    def __init__(self, seen: Callable[[str, Any, Any, Any], None] | None = None) -> None:
        self.seen = seen
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.unmetered = {kind: getattr(owner, kind) for owner, kinds in METERED for kind in kinds}

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Within the block every worker and judge of this process is metered."""
        with ExitStack() as stack:
            for owner, kinds in METERED:
                for kind in kinds:
                    stack.enter_context(patch.object(owner, kind, self._metered(kind)))
            yield

    def of(self, kinds: Sequence[str]) -> float:
        """CPU seconds of these kinds of call."""
        return sum(self.seconds[kind] for kind in kinds)

    def _metered(self, kind: str) -> Callable[[Any, Any], Any]:
        def metered(owner: Any, argument: Any) -> Any:
            before = time.process_time()
            result = self.unmetered[kind](owner, argument)
            self.seconds[kind] += time.process_time() - before
            self.calls[kind] += 1
            if self.seen is not None:
                self.seen(kind, owner, argument, result)
            return result

        return metered


def models_held(value: Any) -> int:
    """How many different models a tree of dataclasses, mappings and sequences holds; one that is shared counts once."""
    return len({id(model) for model in _models(value)})


def _models(value: Any) -> Iterator[Params]:
    if codec.is_params(value):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _models(getattr(value, field.name))
    elif isinstance(value, Mapping):
        yield from _models(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _models(part)


def _git(*arguments: str) -> str | None:
    found = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
