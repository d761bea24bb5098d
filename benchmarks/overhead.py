"""How much of the simulator's CPU time goes into training and evaluation, and what a bare loop needs for the same steps.

One experiment (BloodMNIST, six hospitals, one of them erased by afuic) runs in this process on one thread. After each task and each
evaluation its clock stops and two loops repeat what it has just done: one calls the library's functions, one is plain PyTorch
with ``torch.optim``. All three so meet the same machine at the same time, and their ratios hold on a busy one.
"""

from __future__ import annotations

import time

STARTED = time.process_time()

import argparse  # noqa: E402
import tempfile  # noqa: E402
from collections import Counter, defaultdict  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import common  # noqa: E402
import torch  # noqa: E402
from bare import Functions, Plain  # noqa: E402

from afuic.config import Config, load  # noqa: E402
from afuic.engines import experiment  # noqa: E402
from afuic.engines.laboratory import Laboratory  # noqa: E402
from afuic.params import Params, sub  # noqa: E402

IMPORTED = time.process_time()
LOOPS = ("functions", "pytorch")


class Comparison:
    """One run of the experiment with the bare loops in step with it. Seconds are CPU seconds of this process."""

    def __init__(self, lab: Laboratory) -> None:
        self.lab = lab
        self.meter = common.Meter(self._repeat)
        self.loops = {
            "functions": Functions(lab.config),
            "pytorch": Plain(lab.config, lab.network.module, lab.federation.calibration),
        }
        self.bare: Counter[str] = Counter()
        self.difference: defaultdict[str, list[float]] = defaultdict(list)
        self.paused = 0.0
        self.turns = 0

    def run(self, folder: Path) -> dict[str, Any]:
        """The measures of one run."""
        before = time.process_time()
        with self.meter.attached():
            experiment.run(self.lab.config, folder, jobs=1)
        total = time.process_time() - before - self.paused
        training, evaluation = self.meter.of(common.TRAINING), self.meter.of(common.EVALUATION)
        return {
            "simulator_s": total,
            "training_s": training,
            "evaluation_s": evaluation,
            "rest_s": total - training - evaluation,
            "share": (training + evaluation) / total,
            **{f"{name}_s": self.bare[name] for name in LOOPS},
            **{f"{name}_to_simulator": self.bare[name] / total for name in LOOPS},
            "difference": {name: common.spread(found) for name, found in self.difference.items()},
        }

    def _repeat(self, kind: str, owner: Any, argument: Any, simulated: Any) -> None:
        paused = time.process_time()
        self.turns += 1
        for name in LOOPS if self.turns % 2 else reversed(LOOPS):
            call = self._call(name, kind)
            before = time.process_time()
            result = call(owner, argument)
            self.bare[name] += time.process_time() - before
            if kind in common.TRAINING:
                self.difference[f"{name} {kind}"].append(largest_difference(result, getattr(simulated, "model", simulated)))
        self.paused += time.process_time() - paused

    def _call(self, name: str, kind: str) -> Callable[[Any, Any], Any]:
        """Evaluation is the judge's in both loops: its measures are the same work whoever asks for them."""
        return self.meter.unmetered[kind] if kind in common.EVALUATION else getattr(self.loops[name], kind)


def largest_difference(a: Params, b: Params) -> float:
    """The largest absolute difference of two models' entries."""
    return max(float(tensor.abs().max()) for tensor in sub(a, b).values())


def demo(horizon_s: float, seed: int) -> Config:
    """The demo's experiment with our method alone, over ``horizon_s`` virtual seconds, healing at its full length."""
    return load("demo", ('methods=["afuic"]', f"clock.horizon_s={horizon_s}", f"seed={seed}", "options.afuic.heal.gain=none"))


def measure(config: Config, repetitions: int) -> dict[str, Any]:
    """Everything the document says but for its head."""
    start = {"imports_s": IMPORTED - STARTED, "first_optimizer_s": _seconds(_first_optimizer)}
    start["laboratory_s"] = _seconds(lambda: experiment.laboratory(config))
    runs, calls = [], {}
    for number in range(repetitions):
        comparison = Comparison(experiment.laboratory(config))
        with tempfile.TemporaryDirectory() as folder:
            runs.append(comparison.run(Path(folder) / "run"))
        calls = dict(comparison.meter.calls)
        print(f"{number + 1} of {repetitions}: {runs[-1]['share']:.1%} in training and evaluation", flush=True)
    return {
        "config": {"methods": config.methods, "horizon_s": config.clock.horizon_s, "training": config.training.model_dump()},
        "start": start,
        "calls": calls,
        "repetitions": runs,
        "summary": {name: common.spread([run[name] for run in runs]) for name in runs[0] if name != "difference"},
    }


def _first_optimizer() -> None:
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def _seconds(function: Callable[[], object]) -> float:
    before = time.process_time()
    function()
    return time.process_time() - before


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=common.RESULTS / "overhead.json", help="the document to write")
    parser.add_argument("--horizon", type=float, default=600.0, help="virtual seconds of the experiment (default 600)")
    parser.add_argument("--repetitions", type=int, default=5, help="runs of everything (default 5)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    head = common.origin("overhead", options.seed)
    common.write(options.out, head | measure(demo(options.horizon, options.seed), options.repetitions))


if __name__ == "__main__":
    main()
