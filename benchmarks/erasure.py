"""Is the model that afuic releases indistinguishable from one that never saw the data? Measured on three data sets and many requests.

Each case is a federation and what is asked of it; each seed has its own division, traces and networks. The shared past runs once a
seed and every variant branches from it. The references are five models retrained without the data; where several cases
retain the same images (with and without trigger, other calibration images) they share references, judged anew for each. HAM10000 is
divided by its sites whatever the seed, so there the five references are one for each seed. After the release everybody
trains on for 1080 s, 30 to 60 updates per client. Methods see neither the trigger nor a test image.

    python benchmarks/erasure.py [--work DIR] [--cases NAME …] [--jobs N]     resumable; results are written after every case

HAM10000 has to be imported first (docs/data.md); AFUIC_HAM10000_NPZ names the file (ham10000.npz).
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from common import RESULTS, origin  # type: ignore[import-not-found]
from federations import FEDERATIONS, SITES  # type: ignore[import-not-found]

from afuic import config
from afuic.config import Config
from afuic.data import federate, load
from afuic.data.npz import write_dataset
from afuic.engines import pool
from afuic.engines.arm import Arm, Progress, Run
from afuic.engines.finished import measured_model, outcome
from afuic.engines.laboratory import Laboratory, prepare
from afuic.evaluate.gaps import spread, z
from afuic.evaluate.resurfacing import resurfacing
from afuic.rng import stream

REFERENCES = 5
WINDOW_S = 240.0
AFTER = ("released", "final")
MEASURES = ("accuracy", "balanced_accuracy", "auroc", "forget_accuracy", "forget_loss", "asr_excess", "mia_auc", "hospital")
BASE = (
    "clock.horizon_s=2280",
    "requests.0.at=0.5263157894736842",
    f"evaluation.retrained={REFERENCES}",
    'methods=["afuic", "afuic-paper", "retrain"]',
)
AHEAD: dict[str, Any] = {"ahead": {"steps": 100, "batch": 32, "gain": "none", "lr": 0.002}, "heal": {"steps": 50}}
VARIANTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "afuic": ("afuic", {}, "prefix"),
    "afuic, healed ahead": ("afuic", AHEAD, "ahead"),
    "afuic-paper": ("afuic-paper", {}, "prefix"),
}
"""Name: the method, its options, and the past it branches from."""
PLAIN, BOTH = ("afuic",), ("afuic", "afuic-paper")
THREE, FIVE = (0, 1, 2), (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Case:
    """``overrides`` of the configuration; ``retained``: the case whose references retain the same images, with that case's past too
    where ``past`` is true; ``fixed``: the division does not depend on the seed.
    """

    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    variants: tuple[str, ...] = PLAIN
    retained: str | None = None
    past: bool = False
    fixed: bool = False


def _at(*times: float, horizon: float) -> str:
    requests = ", ".join(f'{{client="hospital-{k}", at={t / horizon!r}}}' for k, t in enumerate(times))
    return f"requests=[{requests}]"


BLOOD, ORGAN = FEDERATIONS["bloodmnist"], FEDERATIONS["organamnist"]
HAM = FEDERATIONS["ham10000-vidir_modern"]
CLEAN = "data.trigger=none"
CASES: dict[str, Case] = {
    "bloodmnist": Case(BLOOD, FIVE, BOTH),
    "organamnist": Case(ORGAN, FIVE),
    **{f"ham10000-{site}": Case(FEDERATIONS[f"ham10000-{site}"], FIVE, fixed=True) for site in SITES},
    "bloodmnist, healed ahead": Case(BLOOD, FIVE, ("afuic, healed ahead",), retained="bloodmnist"),
    "organamnist, healed ahead": Case(ORGAN, THREE, ("afuic, healed ahead",), retained="organamnist"),
    "bloodmnist, target offline": Case((*BLOOD, "requests.0.target_online=false"), (0,), retained="bloodmnist"),
    "bloodmnist, no trigger": Case((*BLOOD, CLEAN), THREE, retained="bloodmnist"),
    "organamnist, no trigger": Case((*ORGAN, CLEAN), (0, 1), retained="organamnist"),
    **{
        f"bloodmnist, {n} calibration images": Case((*BLOOD, f"data.calibration={n}"), THREE, retained="bloodmnist", past=True)
        for n in (0, 50, 200, 500)
    },
    "bloodmnist, calibration images of organamnist": Case(
        (*BLOOD, "data.calibration_from=organamnist"), THREE, retained="bloodmnist", past=True
    ),
    **{f"bloodmnist, {n} patients": Case((*BLOOD, CLEAN, f"requests.0.patients={n}"), THREE) for n in (1, 10, 100)},
    **{f"ham10000, {n} patients": Case((*HAM, CLEAN, f"requests.0.patients={n}"), THREE) for n in (10, 100)},
    "bloodmnist, two at once": Case((*BLOOD, _at(1200, 1200, horizon=2280)), THREE),
    "bloodmnist, three in a row": Case((*BLOOD, "clock.horizon_s=2520", _at(1200, 1320, 1440, horizon=2520)), THREE),
    "bloodmnist, the largest hospital": Case(BLOOD, THREE),
    "bloodmnist, the only holder of a class": Case(("data.partition.kind=site",), THREE),
}


def main() -> None:
    """Run what is missing, measure, write the JSON after every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "erasure.json")
    parser.add_argument("--work", type=Path, default=Path("runs/erasure"), help="folder of finished and unfinished arms")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES), metavar="NAME", help="which to run")
    parser.add_argument("--seeds", type=int, default=len(FIVE), help="at most so many seeds of each case, the first ones")
    parser.add_argument("--jobs", type=int, default=pool.cores())
    given = parser.parse_args()
    measured = json.loads(given.out.read_text(encoding="utf-8"))["cases"] if given.out.exists() else {}
    for name in given.cases:
        seeds = CASES[name].seeds[: given.seeds]
        for seed in seeds:
            folder = given.work / name / str(seed)
            pool.run(
                trial,
                configuration(name, seed, given.work),
                folder,
                arms(name),
                given.jobs,
                functools.partial(_say, name, seed),
            )
        rows = [measure(name, seed, given.work) for seed in seeds]
        measured[name] = {"commit": origin("erasure", 0)["commit"], "summary": summary(rows), "seeds": rows}
        _write(given.out, {case: measured[case] for case in CASES if case in measured})


def arms(name: str) -> list[Arm]:
    """What has to be run for one seed of a case; a past that another case has run is not run again."""
    case = CASES[name]
    pasts = [] if case.past else sorted({VARIANTS[v][2] for v in case.variants}, reverse=True)
    own = (
        []
        if case.retained
        else [Arm(f"retrain/{i}", "retrain", None, ("retrain", i)) for i in range(1 if case.fixed else REFERENCES)]
    )
    branches = [Arm(v, VARIANTS[v][0], None if case.past else VARIANTS[v][2]) for v in case.variants]
    return [*(Arm(past, "afuic", None) for past in pasts), *own, *branches]


def trial(cfg: Config, folder: Path, arm: Arm, progress: Callable[[Progress], None]) -> None:
    """One arm with its variant's options; ``folder`` says which case it belongs to."""
    case = CASES[folder.parent.name]
    method, options = arm.method, AHEAD if arm.name == "ahead" else {}
    if arm.name in VARIANTS:
        method, options, past = VARIANTS[arm.name]
        after = str(folder.parents[1].resolve() / str(case.retained) / folder.name / past) if case.past else past
        arm = replace(arm, after=after)
    lab = _laboratory(cfg.model_dump_json())
    Run(replace(lab, config=cfg.model_copy(update={"options": {method: options}})), folder, arm, progress).run()


@functools.lru_cache(maxsize=1)
def _laboratory(text: str) -> Laboratory:
    return prepare(Config.model_validate_json(text))


def configuration(name: str, seed: int, work: Path) -> Config:
    """The configuration of one seed of a case."""
    more: tuple[str, ...] = (f"seed={seed}",)
    if "largest" in name:
        client = _largest(config.load("demo", (*BASE, *more)))
        more += (f"requests.0.client={client}", f"data.trigger.client={client}")
    if "only holder" in name:
        more += (f"data.name={_only_holder(work)}",)
    return config.load("demo", (*BASE, *CASES[name].overrides, *more))


def _largest(cfg: Config) -> str:
    clients = federate(load(cfg.data.name), cfg.data, cfg.seed).clients
    return max(clients, key=lambda client: len(clients[client]))


def _only_holder(work: Path) -> Path:
    """BloodMNIST dealt evenly to six sites, but for eosinophils (class 1), which hospital-0 alone has."""
    path = work / "only-holder.npz"
    if not path.exists():
        blood = load("bloodmnist")
        site = stream(0, "only holder").integers(0, 6, len(blood))
        site[blood.labels == 1] = 0
        names = np.array([f"hospital-{k}" for k in site])
        path.parent.mkdir(parents=True, exist_ok=True)
        write_dataset(replace(blood, name="only-holder", site=names, patient=None), path)
    return path


# -- measuring ------------------------------------------------------------------------------------------------------------


def measure(name: str, seed: int, work: Path) -> dict[str, Any]:
    """Every variant of one seed against the retrained models."""
    case, cfg = CASES[name], configuration(name, seed, work)
    lab = prepare(cfg)
    places = [(work / (case.retained or name) / str(s), f"retrain/{i}") for s, i in _references(case, seed)]
    judged = {p: [_judged(lab, folder, arm, p) for folder, arm in places] for p in AFTER}
    runs = [outcome(folder, arm) for folder, arm in places]
    own = next((r for (folder, _), r in zip(places, runs, strict=True) if folder.name == str(seed)), runs[0])
    variants = {v: _variant(lab, work / name / str(seed), v, judged, runs, own["latency_s"]) for v in case.variants}
    return {
        "seed": seed,
        "retrained": {p: {m: spread([r[m] for r in judged[p] if r[m] is not None]) for m in MEASURES} for p in AFTER},
        "retrained_left_out": [_left_out(judged, runs, i) for i in range(len(runs))],
        "retrained_asr_excess_max": _highest(runs),
        "retrained_curves": [_thin(r["curve"], r["released_t"]) for r in runs],
        "variants": variants,
    }


def _references(case: Case, seed: int) -> list[tuple[int, int]]:
    return [(s, 0) for s in case.seeds] if case.fixed else [(seed, i) for i in range(REFERENCES)]


def _judged(lab: Laboratory, folder: Path, arm: str, phase: str) -> dict[str, Any]:
    model = measured_model(folder, arm, phase)
    if model is None:
        raise SystemExit(f"{folder / arm} has no model at {phase}: did it diverge? Delete the folder to run it again")
    return _with_hospital(lab, lab.judge.phase(model))


def _with_hospital(lab: Laboratory, phase: Mapping[str, Any]) -> dict[str, Any]:
    """``hospital``: accuracy on the test images of the hospital that asked, where it stays and only patients leave."""
    first = lab.config.requests[0]
    return {**phase, "hospital": None if first.patients is None else phase["hospitals"][first.client]}


def _variant(
    lab: Laboratory,
    folder: Path,
    name: str,
    judged: dict[str, list[dict[str, Any]]],
    runs: list[dict[str, Any]],
    retraining_s: float,
) -> dict[str, Any]:
    found = outcome(folder, name)
    if found["released_t"] is None:
        return {"failed": found["failed"]}
    phases = {p: _with_hospital(lab, found["phases"][p]) for p in AFTER if p in found["phases"]}
    highest = resurfacing(found["curve"], found["released_t"])["asr_excess_max"]
    return {
        "failed": found["failed"],
        "digest": found["digest"],
        "latency_s": found["latency_s"],
        "latency_to_retrain": found["latency_s"] / retraining_s,
        "stall_client_s": found["account"]["stall_client_s"],
        "updates_lost": found["lost"],
        "updates_per_client_after": found["after_per_client"],
        "server_s": found["account"]["server_s"],
        "healing": found["healing"],
        "phases": {p: {m: v[m] for m in MEASURES} for p, v in phases.items()},
        "z": {p: {m: _z(v[m], [r[m] for r in judged[p]]) for m in MEASURES} for p, v in phases.items()},
        "asr_excess_max": highest,
        "dip": dip(found, runs),
        "curve": _thin(found["curve"], found["released_t"] - found["latency_s"]),
    }


def _z(value: float | None, references: Sequence[float | None]) -> float | None:
    return z(value, **spread([r for r in references if r is not None]))


def dip(found: Mapping[str, Any], references: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Evaluations after the release whose accuracy lies more than 2 sd below retraining's mean.

    Mean and sd are over all references and their evaluations in the last 240 s up to the same time after their own release, so that the
    swing along the updates counts. ``below``: share of evaluations; ``lowest``: least margin; ``over_after_s``: when the last was.
    """
    below, margins = [], []
    for point in found["curve"]:
        since = point["t"] - found["released_t"]
        if since < 0:
            continue
        near = [p["accuracy"] for r in references for p in r["curve"] if since - WINDOW_S <= p["t"] - r["released_t"] <= since]
        margins.append(point["accuracy"] - (fmean(near) - 2 * stdev(near)))
        below += [since] if margins[-1] < 0 else []
    return {"below": len(below) / len(margins), "lowest": min(margins), "over_after_s": max(below, default=0.0)}


def _left_out(judged: dict[str, list[dict[str, Any]]], runs: list[dict[str, Any]], index: int) -> dict[str, Any]:
    """A retrained model against the others: what indistinguishable looks like."""
    others = {p: [r for i, r in enumerate(judged[p]) if i != index] for p in AFTER}
    rest = [r for i, r in enumerate(runs) if i != index]
    gaps = {p: {m: _z(judged[p][index][m], [r[m] for r in others[p]]) for m in MEASURES} for p in AFTER}
    return {"z": gaps, "dip": dip(runs[index], rest)}


def _highest(runs: Iterable[Mapping[str, Any]]) -> float | None:
    known = [resurfacing(r["curve"], r["released_t"])["asr_excess_max"] for r in runs]
    return max((k for k in known if k is not None), default=None)


def _thin(curve: Iterable[Mapping[str, Any]], origin_t: float) -> list[list[float | None]]:
    """[seconds since ``origin_t``, accuracy, forget accuracy, excess attack success] of each evaluation."""
    rounded = ([p["t"] - origin_t, p["accuracy"], p["forget_accuracy"], p["asr_excess"]] for p in curve)
    return [[None if v is None else round(v, 4) for v in row] for row in rounded]


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over the seeds, for each variant; ``retrained`` holds the same of retrained models left out of their own reference."""
    names = rows[0]["variants"]
    left_out = [item for row in rows for item in row["retrained_left_out"]]
    return {
        "retrained": {"z": _zs(left_out), "below": fmean(item["dip"]["below"] for item in left_out)},
        "asr_excess_max": [row["retrained_asr_excess_max"] for row in rows],
        **{name: _over_seeds([row["variants"][name] for row in rows], rows) for name in names},
    }


def _over_seeds(found: list[dict[str, Any]], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    released = [f for f in found if "z" in f]
    if not released:
        return {"released": 0, "failed": found[0]["failed"]}
    beyond = [
        f["asr_excess_max"] - row["retrained_asr_excess_max"]
        for f, row in zip(found, rows, strict=True)
        if f.get("asr_excess_max") is not None
    ]
    ranges = {
        k: [f[k] for f in released]
        for k in ("latency_to_retrain", "stall_client_s", "updates_lost", "updates_per_client_after")
    }
    return {
        "released": len(released),
        "z": _zs(released),
        "difference": {p: {m: _difference(p, m, found, rows) for m in MEASURES} for p in AFTER},
        "resurfacing_over_retraining": max(beyond, default=None),
        "asr_excess_max": max((f["asr_excess_max"] for f in released if f["asr_excess_max"] is not None), default=None),
        "dip": {k: max(f["dip"][k] for f in released) for k in ("below", "over_after_s")}
        | {"lowest": min(f["dip"]["lowest"] for f in released)},
        "steps": [h["steps"] for f in released for h in f["healing"]],
        **{name: {"min": min(v), "mean": fmean(v), "max": max(v)} for name, v in ranges.items()},
    }


def _zs(items: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Per phase and measure: the mean z, the largest |z|, and how many of how many lie within 2."""
    out: dict[str, dict[str, Any]] = {}
    for p in AFTER:
        for m in MEASURES:
            known = [i["z"][p][m] for i in items if p in i["z"] and i["z"][p][m] is not None]
            if known:
                inside = sum(abs(k) <= 2 for k in known)
                found = {"mean": fmean(known), "worst": max(known, key=abs), "within": inside, "of": len(known)}
                out.setdefault(p, {})[m] = found
    return out


def _difference(
    phase: str, measure_: str, found: list[dict[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Value minus retraining's mean: mean over seeds and sd."""
    pairs = [
        (f["phases"][phase][measure_], row["retrained"][phase][measure_]["mean"])
        for f, row in zip(found, rows, strict=True)
        if "z" in f
    ]
    known = [a - b for a, b in pairs if a is not None and b is not None]
    return spread(known) if known else None


def _write(path: Path, measured: Mapping[str, Any]) -> None:
    document = {**origin("erasure", 0), "base": BASE, "variants": {k: v[1] for k, v in VARIANTS.items()}, "cases": measured}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(document, indent=None, separators=(",", ":")).replace('"seeds":', '\n"seeds":') + "\n", encoding="utf-8"
    )
    print(f"wrote {path}", flush=True)


def _say(name: str, seed: int, progress: Progress) -> None:
    if progress.state == "done":
        print(f"{name}, seed {seed}: {progress.arm} {progress.note}", flush=True)


if __name__ == "__main__":
    main()
