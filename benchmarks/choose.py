"""Which parts of AFU-IC become its defaults: every trial on validation images and on seeds that are never reported.

Half of the validation split plays the server's calibration set, the other half the test set; the real test images are not loaded
into the federation at all. For each seed the shared past and two retrained references run once; every candidate branches from that
past and trains on for a sixth of the past's length. Nothing that scores a candidate uses the trigger: utility (accuracy, AUROC)
against the retrained models at release and at its lowest point afterwards, forget accuracy and loss, and distance of outputs to
the retrained models.

    python benchmarks/choose.py [--work DIR] [--only NAME …]      resumable: finished trials are kept in DIR and in the JSON
"""

from __future__ import annotations

import argparse
import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import origin  # type: ignore[import-not-found]

from afuic import config
from afuic.config import Config
from afuic.data import Dataset, load
from afuic.data.dataset import TEST, VAL
from afuic.engines import pool
from afuic.engines.arm import Arm, Progress, Run, measured_probs, outcome
from afuic.engines.laboratory import Laboratory, prepare
from afuic.evaluate.distance import js_to_set

SEEDS = (100, 101)
REFERENCES = 2
BASE = (
    "clock.horizon_s=1400",
    "requests.0.at=0.8571428571428571",
    "data.calibration=856",
    "evaluation.every_s=20",
    "evaluation.images=856",
    f"evaluation.retrained={REFERENCES}",
)
HEAL = {"steps": 150, "batch": 64, "lr": 0.002}
HEAL2 = {"steps": 600, "batch": 32, "lr": 0.002}
GUARD = {"steps": 3, "batch": 64, "lr": 0.0005}
NONE = {"calibration": "none", "versions": 0}
CONSISTENCY = {**GUARD, "distil": 0.0, "invariance": 1.0}


def first(heal: dict[str, Any] | None = None, guard: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
    """A candidate of the first round: what it started from, with some parts changed."""
    return {"heal": {**HEAL, **(heal or {})}, "guard": {"calibration": GUARD, **(guard or {})}, **other}


CANDIDATES: dict[str, dict[str, Any]] = {
    "round 1: 150 x 64, guard 3": first(),
    "heal 75": first({"steps": 75}),
    "heal 300": first({"steps": 300}),
    "heal lr 0.001": first({"lr": 0.001}),
    "heal lr 0.005": first({"lr": 0.005}),
    "heal sgd 0.05": first({"lr": 0.05, "optimizer": "sgd"}),
    "heal augmented": first({"augmented": True}),
    "heal augmented 300": first({"steps": 300, "augmented": True}),
    "heal + invariance": first({"invariance": 1.0}),
    "teacher average": first(teacher="average"),
    "teacher ensemble": first(teacher="ensemble"),
    "no guard": first(guard=NONE),
    "guard consistency": first(guard={"teacher": False, "calibration": CONSISTENCY}),
    "guard lr 0.001": first(guard={"calibration": {**GUARD, "lr": 0.001}}),
    "guard 6 steps": first(guard={"calibration": {**GUARD, "steps": 6}}),
    "guard + project": first(guard={"project": True}),
    "guard project only": first(guard={"calibration": "none", "project": True}),
    "guard half step": first(guard={"server_step": 0.5}),
    "guard augmented": first(guard={"calibration": {**GUARD, "augmented": True}}),
    "carriers damp": first(carriers={"policy": "damp"}),
    "carriers project": first(carriers={"policy": "project"}),
    "carriers drop": first(carriers={"policy": "drop"}),
    "round 2: 300 x 64, lr 0.002": {"heal": {"steps": 300, "batch": 64, "lr": 0.002}},
    "round 2: 300 x 64, lr 0.004": {"heal": {"steps": 300, "batch": 64, "lr": 0.004}},
    "round 2: 600 x 32, lr 0.002": {"heal": {"steps": 600, "batch": 32, "lr": 0.002}},
    "round 2: 600 x 32, lr 0.004": {"heal": {"steps": 600, "batch": 32, "lr": 0.004}},
    "round 2: 600 x 32, guard 6": {"heal": HEAL2, "guard": {"calibration": {**GUARD, "steps": 6}}},
    "round 2: 600 x 32, guard 6 augmented": {
        "heal": HEAL2,
        "guard": {"calibration": {**GUARD, "steps": 6, "augmented": True}},
    },
    "round 2: 600 x 32, damp": {"heal": HEAL2, "carriers": {"policy": "damp"}},
    "round 2: 600 x 32, no guard": {"heal": HEAL2, "guard": NONE},
}


def main() -> None:
    """Run the trials that are missing, score all, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "choose.json")
    parser.add_argument("--work", type=Path, default=Path("runs/choose"), help="folder of unfinished trials")
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES), help="candidates to run")
    parser.add_argument("--jobs", type=int, default=pool.cores())
    given = parser.parse_args()
    trials: dict[str, list[dict[str, Any]]] = {}
    for seed in SEEDS:
        folder = given.work / str(seed)
        arms = [Arm("prefix", "afuic", None), *_references(), *(Arm(name, "afuic", "prefix") for name in given.only)]
        pool.run(trial, _config(seed), folder, arms, given.jobs, _say)
        for name in given.only:
            trials.setdefault(name, []).append({"seed": seed, **score(folder, name)})
        write(given.out, trials)


def trial(cfg: Config, folder: Path, arm: Arm, progress: Any) -> None:
    """One arm; a candidate's options are put into the configuration under its name."""
    options = CANDIDATES.get(arm.name, {"teacher": "average"})
    base = _laboratory(cfg.model_dump_json())
    Run(replace(base, config=cfg.model_copy(update={"options": {"afuic": options}})), folder, arm, progress).run()


@functools.lru_cache(maxsize=1)
def _laboratory(text: str) -> Laboratory:
    cfg = Config.model_validate_json(text)
    return prepare(cfg, blind(load(cfg.data.name)))


def blind(dataset: Dataset) -> Dataset:
    """The data set without its test images; every second validation image plays a test image."""
    split = dataset.split.copy()
    split[dataset.rows(VAL)[1::2]] = TEST
    keep = dataset.split != TEST
    columns = {name: getattr(dataset, name) for name in ("site", "patient")}
    kept = {name: None if column is None else column[keep] for name, column in columns.items()}
    return replace(dataset, images=dataset.images[keep], labels=dataset.labels[keep], split=split[keep], **kept)


def score(folder: Path, name: str) -> dict[str, Any]:
    """A candidate against the retrained references: differences in the measures' own units, at release, lowest, and at the end."""
    found, references = outcome(folder, name), [outcome(folder, arm.name) for arm in _references()]
    out: dict[str, Any] = {"latency_s": found["latency_s"], "server_s": found["account"]["server_s"]}
    for phase in ("released", "final"):
        for measure in ("accuracy", "auroc", "forget_accuracy", "forget_loss", "mia_auc"):
            reference = np.mean([r["phases"][phase][measure] for r in references])
            out[f"{phase} {measure}"] = found["phases"][phase][measure] - float(reference)
        probs = [measured_probs(folder, arm.name, phase) for arm in _references()]
        own = measured_probs(folder, name, phase)
        out[f"{phase} js"] = None if own is None else js_to_set(own, [p for p in probs if p is not None])
    after = [p["accuracy"] for p in found["curve"] if p["t"] >= found["released_t"]]
    swing = [p["accuracy"] for r in references for p in r["curve"] if p["t"] >= r["released_t"]]
    out["lowest accuracy"] = min(after) - min(swing)
    return out


def write(path: Path, trials: dict[str, list[dict[str, Any]]]) -> None:
    """All trials and, per candidate, the mean over seeds."""
    means = {
        name: {k: float(np.mean([r[k] for r in rows])) for k in rows[0] if k != "seed" and rows[0][k] is not None}
        for name, rows in trials.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        **origin("choose", SEEDS[0]),
        "seeds": SEEDS,
        "base": BASE,
        "candidates": CANDIDATES,
        "means": means,
        "trials": trials,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def _references() -> list[Arm]:
    return [Arm(f"retrain/{i}", "retrain", None, ("retrain", i)) for i in range(REFERENCES)]


def _config(seed: int) -> Config:
    return config.load(None, (*BASE, f"seed={seed}", 'methods=["afuic", "afuic-paper", "retrain"]'))


def _say(progress: Progress) -> None:
    if progress.state == "done":
        print(f"{progress.arm}: {progress.note}", flush=True)


if __name__ == "__main__":
    main()
