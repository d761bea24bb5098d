"""Which parts of AFU-IC become its defaults: every trial on seeds that are never reported and without a look at the test images.

The real test images are left out; a tenth of the training images, by whole patients, is taken from the hospitals to play the test set, so
that the calibration images (the validation split) differ from it as they do in use. For each federation the shared past and two
retrained references run once; every candidate branches from that past and trains on for 360 s. Nothing that scores a
candidate uses the trigger: accuracy and AUROC against the retrained models, at release, at the lowest point after it and at the end;
forget accuracy, forget loss and population MIA; distance of outputs to the retrained models.

    python benchmarks/choose.py [--round NAME …] [--only NAME …] [--work DIR]     resumable: finished trials are kept in DIR

Writes results/choose-ROUND.json. Earlier rounds, each with its candidates: choose-first.json (30 on BloodMNIST alone, decision 0008),
choose-second.json (20, healing at 0.002, one seed of BloodMNIST), choose-third.json (decision 0009), choose-fourth.json (whole and
patients, decision 0010), choose-fifth.json and choose-sixth.json (decisions 0019 and 0020; their options are not in the code).
"""

from __future__ import annotations

import argparse
import functools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import origin  # type: ignore[import-not-found]
from federations import FEDERATIONS  # type: ignore[import-not-found]

from afuic import config
from afuic.bench.preparing import PREPARE
from afuic.bench.suites import asked
from afuic.config import Config
from afuic.data import Dataset, load
from afuic.data.dataset import TEST, TRAIN, patient_ids
from afuic.engines import pool
from afuic.engines.arm import Arm, Progress, Run
from afuic.engines.finished import measured_probs, outcome
from afuic.engines.laboratory import Laboratory, prepare
from afuic.evaluate.distance import js_to_set
from afuic.rng import stream

TRIALS = (("organamnist", 100), ("ham10000-rosendahl", 100), ("ham10000-vienna_dias", 100), ("bloodmnist", 101))
PATIENTS = (("bloodmnist", 100), ("ham10000-vidir_modern", 100))
ROWS = (("bloodmnist", 100), ("bloodmnist", 101), ("organamnist", 100))
HOLDERS = (("bloodmnist", 100), ("bloodmnist", 101), ("bloodmnist", 102))
REFERENCES = 2
PLAYED = 0.1
BASE = (
    "clock.horizon_s=1560",
    "requests.0.at=0.7692307692307693",
    "evaluation.every_s=20",
    "evaluation.images=800",
    f"evaluation.retrained={REFERENCES}",
)
AS_THEY_ARE = {"turned": False}
AHEAD = {"steps": 100, "batch": 32, "lr": 0.002, "gain": "none"}

CANDIDATES: dict[str, dict[str, Any]] = {
    "as they are": {"heal": AS_THEY_ARE, "guard": {"calibration": AS_THEY_ARE}},
    "turned, 500 steps": {"heal": {"steps": 500}},
    "turned, 400 steps": {"heal": {"steps": 400}},
    "turned, 400 steps, gain 0.02": {"heal": {"steps": 400, "gain": 0.02}},
    "turned, guard as they are": {"heal": {"steps": 400}, "guard": {"calibration": AS_THEY_ARE}},
    "turned, no guard": {"heal": {"steps": 400}, "guard": {"calibration": "none", "versions": 0}},
    "turned, healed ahead": {"ahead": AHEAD, "heal": {"steps": 50}},
}
FORMS: dict[str, dict[str, Any]] = {form: {"patients": form} for form in ("remove", "scrub", "both")}
IN_A_ROW: dict[str, dict[str, Any]] = {
    "healing is removed": {"server_steps": "remove"},
    "healing is kept": {"server_steps": "keep"},
    "healing is removed, 1200 steps": {"server_steps": "remove", "heal": {"steps": 1200}},
}
UNTAUGHT: dict[str, dict[str, Any]] = {
    "untaught classes imitated": {"untaught": "imitate"},
    "untaught classes left out": {"untaught": "omit"},
}
PATIENTS_IN_A_ROW = {name: IN_A_ROW[name] for name in ("healing is removed", "healing is kept")}
FIVE = (*BASE, "data.partition.clients=10", *asked(1200, 1320, 1440, 1560, 1680, after_s=600))


@dataclass(frozen=True)
class Round:
    """What is tried, on which federations and seeds, with which overrides of the configuration and what they find out from the data."""

    federations: tuple[tuple[str, int], ...]
    base: tuple[str, ...]
    candidates: dict[str, dict[str, Any]]
    prepare: str | None = None


ROUNDS = {
    "whole": Round(TRIALS, BASE, CANDIDATES),
    "patients": Round(PATIENTS, (*BASE, "requests.0.patients=10", "data.trigger=none"), FORMS),
    "holder": Round(HOLDERS, (*BASE, "data.partition.kind=site"), UNTAUGHT, "only-holder"),
    "row": Round(ROWS, FIVE, IN_A_ROW),
    "patients-row": Round(
        ROWS, (*FIVE, "data.trigger=none", *(f"requests.{i}.patients=10" for i in range(5))), PATIENTS_IN_A_ROW
    ),
}


def main() -> None:
    """Run the trials that are missing, score all, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the JSON")
    parser.add_argument("--work", type=Path, default=Path("runs/choose"), help="folder of unfinished trials")
    parser.add_argument("--round", nargs="*", default=list(ROUNDS), choices=list(ROUNDS), help="rounds to run")
    parser.add_argument("--only", nargs="*", help="candidates to run; all of the round if not given")
    parser.add_argument("--jobs", type=int, default=pool.cores())
    given = parser.parse_args()
    for name in given.round:
        tried = ROUNDS[name]
        names = [c for c in tried.candidates if given.only is None or c in given.only]
        trials: dict[str, list[dict[str, Any]]] = {c: [] for c in names}
        for federation, seed in tried.federations:
            folder = given.work / f"{name}-{federation}-{seed}"
            cfg = _config(federation, seed, tried.base)
            if tried.prepare:
                cfg = _config(federation, seed, (*tried.base, *PREPARE[tried.prepare](cfg, given.work)))
            _run(folder, cfg, names, given.jobs)
            for candidate in names:
                trials[candidate].append({"federation": federation, "seed": seed, **score(folder, candidate)})
            write(given.out / f"choose-{name}.json", tried, trials)


def _run(folder: Path, cfg: Config, names: list[str], jobs: int) -> None:
    pasts = {name: "ahead" if "ahead" in _options(name) else "prefix" for name in names}
    arms = [Arm("prefix", "afuic", None), *_references()]
    arms += [Arm("ahead", "afuic", None)] * ("ahead" in pasts.values())
    pool.run(trial, cfg, folder, [*arms, *(Arm(n, "afuic", past) for n, past in pasts.items())], jobs, _say)


def trial(cfg: Config, folder: Path, arm: Arm, progress: Any) -> None:
    """One arm; a candidate's options are put into the configuration under its name."""
    base = _laboratory(cfg.model_dump_json())
    tried = replace(base, config=cfg.model_copy(update={"options": {"afuic": _options(arm.name)}}))
    Run(tried, folder, arm, progress).run()


def _options(name: str) -> dict[str, Any]:
    return (CANDIDATES | FORMS | IN_A_ROW | UNTAUGHT | {"ahead": {"ahead": AHEAD}}).get(name, {})


@functools.lru_cache(maxsize=1)
def _laboratory(text: str) -> Laboratory:
    cfg = Config.model_validate_json(text)
    return prepare(cfg, blind(load(cfg.data.name)))


def blind(dataset: Dataset) -> Dataset:
    """The data set without its test images; a tenth of the training images, by whole patients, plays them."""
    split = dataset.split.copy()
    ids = patient_ids(dataset)
    training = np.unique(ids[dataset.rows(TRAIN)])
    played = stream(0, "played").choice(training, int(PLAYED * len(training)), replace=False)
    keep = split != TEST
    split[(split == TRAIN) & np.isin(ids, played)] = TEST
    columns = {name: getattr(dataset, name) for name in ("site", "patient")}
    kept = {name: None if column is None else column[keep] for name, column in columns.items()}
    return replace(dataset, images=dataset.images[keep], labels=dataset.labels[keep], split=split[keep], **kept)


def score(folder: Path, name: str) -> dict[str, Any]:
    """A candidate against the retrained references: differences in the measures' own units, at release, lowest, and at the end."""
    found, references = outcome(folder, name), [outcome(folder, arm.name) for arm in _references()]
    out: dict[str, Any] = {"latency_s": found["latency_s"], "server_s": found["account"]["server_s"]}
    for phase in ("released", "final"):
        for measure in ("accuracy", "auroc", "ece", "forget_accuracy", "forget_loss", "mia_auc"):
            reference = np.mean([r["phases"][phase][measure] for r in references])
            out[f"{phase} {measure}"] = found["phases"][phase][measure] - float(reference)
        probs = [measured_probs(folder, arm.name, phase) for arm in _references()]
        own = measured_probs(folder, name, phase)
        out[f"{phase} js"] = None if own is None else js_to_set(own, [p for p in probs if p is not None])
    after = [p["accuracy"] for p in found["curve"] if p["t"] >= found["released_t"]]
    swing = [p["accuracy"] for r in references for p in r["curve"] if p["t"] >= r["released_t"]]
    out["lowest accuracy"] = min(after) - min(swing)
    out["mean accuracy"] = float(np.mean(after) - np.mean(swing))
    return out


def write(path: Path, tried: Round, trials: dict[str, list[dict[str, Any]]]) -> None:
    """All trials so far and, per candidate, the mean over them."""
    document = {
        **origin("choose", tried.federations[0][1]),
        "federations": tried.federations,
        "base": tried.base,
        "candidates": tried.candidates,
        "means": {name: _means(rows) for name, rows in trials.items()},
        "trials": trials,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def _means(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {k: float(np.mean([r[k] for r in rows])) for k, v in rows[0].items() if isinstance(v, float)}


def _references() -> list[Arm]:
    return [Arm(f"retrain/{i}", "retrain", None, ("retrain", i)) for i in range(REFERENCES)]


def _config(federation: str, seed: int, base: tuple[str, ...]) -> Config:
    methods = 'methods=["afuic", "afuic-paper", "retrain"]'
    return config.load("demo", (*FEDERATIONS[federation], *base, f"seed={seed}", methods))


def _say(progress: Progress) -> None:
    if progress.state == "done":
        print(f"{progress.arm}: {progress.note}", flush=True)


if __name__ == "__main__":
    main()
