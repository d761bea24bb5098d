"""An experiment from its configuration to its results: every method on the same past, against retrained references.

Folder: config.toml, arms/ while it runs; events.jsonl, results.json, models/ when it is done. results.json is written last: it alone says
that the run is whole.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch

from afuic.config import Config, load
from afuic.engines import origin, pool
from afuic.engines.arm import PREFIX, Arm, Progress, Run, arms, past_of
from afuic.engines.description import hospitals, of_others, requested
from afuic.engines.finished import measured_model, measured_probs, outcome
from afuic.engines.laboratory import Laboratory, prepare
from afuic.erase import METHODS, check_options, configured
from afuic.errors import StoreError
from afuic.evaluate import results as written
from afuic.evaluate.distance import floor, js, js_to_set
from afuic.evaluate.gaps import AFTER, MEASURES, sampling, spread, yardstick
from afuic.evaluate.results import Results, Sizes
from afuic.evaluate.resurfacing import resurfacing
from afuic.settings import Architecture
from afuic.store.exporting import write_model
from afuic.store.files import holding, write_bytes
from afuic.store.journal import merge

__all__ = ["Progress", "recorded_config", "run"]

RECORD = "config.toml"
Sink = Callable[[Progress], None]
GAPS = (*MEASURES, "js_to_retrain")
IDLE = "give it more time (clock.horizon_s), or make a task shorter (training.steps, training.batch)"


def run(
    config: Config | str | Path,
    out: str | Path,
    *,
    jobs: int | None = None,
    resume: bool = False,
    progress: Sink | None = None,
) -> Results:
    """Run every arm and write the results into the folder ``out``.

    ``config``: a configuration, its file, or the name of a shipped one ("demo"). ``jobs``: processes side by side (default 1; the numbers
    do not depend on it). ``resume``: go on with what ``out`` holds; otherwise a folder that holds a run is refused. Raises ConfigError,
    DataError, StoreError, or RunInterrupted after Ctrl-C.
    """
    config, out = config if isinstance(config, Config) else load(config), Path(out)
    check_options(config)
    report = progress or (lambda _: None)
    _check_folder(config, out, resume)
    if (out / "results.json").exists():
        shutil.rmtree(out / "arms", ignore_errors=True)  # a stop between the two leaves it behind
        return written.load(out / "results.json")
    lab = laboratory(config)
    every = arms(config)
    with holding(out):
        _claim(config, out)
        for arm in every:
            report(Progress(arm.name, 0.0, config.clock.horizon_s, 0, "waiting", "waiting"))
        pool.run(run_arm, config, out / "arms", every, jobs or 1, report)
        return _conclude(lab, out, every)


def run_arm(config: Config, folder: Path, arm: Arm, progress: Sink) -> None:
    """Run one arm in this process."""
    Run(laboratory(config), folder, arm, progress).run()


@functools.lru_cache(maxsize=1)
def _laboratory(text: str) -> Laboratory:
    return prepare(Config.model_validate_json(text))


def laboratory(config: Config) -> Laboratory:
    """The laboratory of a configuration, built once per process."""
    return _laboratory(config.model_dump_json())


def recorded_config(out: Path) -> Config:
    """The configuration a run folder was made with; StoreError when there is none."""
    if not (out / RECORD).exists():
        raise StoreError(f"{out}: holds no run (no {RECORD})")
    return load(out / RECORD)


def _check_folder(config: Config, out: Path, resume: bool) -> None:
    path = out / RECORD
    if path.exists() and not resume:
        raise StoreError(f"{out}: already holds a run; choose another folder with --out, or go on with --resume")
    if path.exists() and recorded_config(out) != config:
        raise StoreError(f"{out}: holds a run of another configuration; resume it without one, or choose another folder")
    if not path.exists() and out.exists() and any(out.iterdir()):
        raise StoreError(f"{out}: is not empty and holds no run of afuic; choose another folder with --out")


def _claim(config: Config, out: Path) -> None:
    path = out / RECORD
    if not path.exists():
        write_bytes(path, tomli_w.dumps(config.model_dump(mode="json", exclude_none=True)).encode())


def _conclude(lab: Laboratory, out: Path, every: tuple[Arm, ...]) -> Results:
    folder = out / "arms"
    results = _results(lab, folder, every)
    for arm in every:
        model = measured_model(folder, arm.name, "final")
        if model is not None:
            path = out / "models" / f"{arm.name.replace('/', '-')}.safetensors"
            write_model(path, model, _network(lab), f"{lab.config.name}, seed {lab.config.seed}: {arm.name} at the end")
    write_bytes(out / "events.jsonl", merge(folder / arm.name / "events.jsonl" for arm in every))
    write_bytes(out / "results.json", results.to_json().encode())
    shutil.rmtree(folder)
    return results


def _network(lab: Laboratory) -> Architecture:
    held = lab.federation
    return Architecture(
        model=lab.config.model.name, channels=held.channels, size=held.size, class_names=tuple(held.class_names)
    )


def _results(lab: Laboratory, folder: Path, every: tuple[Arm, ...]) -> Results:
    config = lab.config
    done = {arm.name: outcome(folder, arm.name) for arm in every}
    names = [arm.name for arm in every if arm.name.startswith("retrain/")]
    sizes = lab.judge.sizes()
    reference = _Reference(folder, names, done, Sizes.model_validate(sizes))
    methods = {name: _method(lab, folder, name, done, reference) for name in config.methods}
    return Results.model_validate(
        {
            "schema": written.VERSION,
            "name": config.name,
            "seed": config.seed,
            "commit": origin.commit(),
            "versions": origin.versions(),
            "machine": origin.machine(),
            "config": config.model_dump(mode="json"),
            "requests": requested(config),
            "clients": hospitals(lab),
            "dropped": dict(lab.federation.dropped),
            "sizes": sizes,
            "methods": methods,
            "retrained": reference.document(),
            "warnings": [*reference.warnings(), *_idle(config, done)],
        }
    )


def _idle(config: Config, done: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Which arms applied no update at all, so that whatever was measured of them says nothing of training."""
    found = []
    for name, result in done.items():
        retrained, past = name.startswith("retrain/"), name.startswith(PREFIX)
        before = {} if retrained or past else done[past_of(name)]["applied"]
        applied = sum(count - before.get(client, 0) for client, count in result["applied"].items())
        if applied <= 0 and result["failed"] is None:
            when = "before the request" if past else "in retraining" if retrained else "after the request"
            found.append(f"no update was applied {when} ({name}); {IDLE}")
    return found


class _Reference:
    """What the retrained runs say together that did not fail. ``every``: the names of all."""

    def __init__(self, folder: Path, every: list[str], done: Mapping[str, dict[str, Any]], sizes: Sizes) -> None:
        self.every, self.done, self.sizes = every, done, sizes
        self.failed = {name: why for name in every if (why := done[name]["failed"]) is not None}
        self.names = names = [name for name in every if name not in self.failed]
        self.probs = {p: [q for n in names if (q := measured_probs(folder, n, p)) is not None] for p in AFTER}
        self.floor = {p: floor(self.probs[p]) for p in AFTER}
        self.runs = {p: [self._run(p, i) for i in range(len(names))] for p in AFTER}
        self.spread = {p: {m: spread([r[m] for r in self.runs[p] if r.get(m) is not None]) for m in GAPS} for p in AFTER}

    def _run(self, phase: str, index: int) -> dict[str, Any]:
        found = dict(self.done[self.names[index]]["phases"][phase])
        others = [q for i, q in enumerate(self.probs[phase]) if i != index]
        distances = [js(self.probs[phase][index], q) for q in others]
        return found | {"js_to_retrain": float(np.mean(distances)) if distances else None, "js_floor": self.floor[phase]}

    def mean_phase(self, phase: str) -> dict[str, Any]:
        """Each measure's mean over the runs."""
        runs = self.runs[phase]
        first = runs[0]
        hospitals = {h: _mean([r["hospitals"][h] for r in runs]) for h in first["hospitals"]}
        sensitivity = [_mean(list(values)) for values in zip(*(r["sensitivity"] for r in runs), strict=True)]
        other = {m: _mean([r[m] for r in runs]) for m in first if m not in {"hospitals", "sensitivity", "version"}}
        return {**other, "version": first["version"], "hospitals": hospitals, "sensitivity": sensitivity}

    def gaps(self, phases: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
        """z of each measure, design section 5."""
        if not self.names:
            return {}
        return {p: {m: self._gap(p, m, phases[p].get(m)) for m in GAPS} for p in AFTER if p in phases}

    def _gap(self, phase: str, measure: str, value: float | None) -> float | None:
        runs = [r.get(measure) for r in self.runs[phase]]
        mean = self.spread[phase][measure]["mean"]
        against = None if mean is None else yardstick(runs, floor=sampling(measure, mean, self.sizes))
        return None if against is None else against.z(value)

    def measure(self, folder: Path, arm: str, phases: dict[str, dict[str, Any]]) -> None:
        """Add the distance to the retrained models to an arm's phases."""
        for phase in AFTER:
            probs = measured_probs(folder, arm, phase)
            if probs is not None and phase in phases and self.names:
                phases[phase] |= {"js_to_retrain": js_to_set(probs, self.probs[phase]), "js_floor": self.floor[phase]}

    def document(self) -> dict[str, Any] | None:
        """The ``retrained`` part of results.json."""
        if not self.every:
            return None
        done = [self.done[n] for n in self.names]
        known = {p: {m: s for m, s in self.spread[p].items() if s["mean"] is not None} for p in AFTER}
        return {
            "runs": len(self.names),
            "failed": self.failed,
            "phases": known,
            "resurfacing": [resurfacing(d["curve"], d["released_t"]) for d in done],
            "released_t": [d["released_t"] for d in done],
            "curves": [d["curve"] for d in done],
        }

    def warnings(self) -> list[str]:
        """What is to be said of runs that failed."""
        left = f"gaps are to the {len(self.names)} that remain" if self.names else "none remains, so there are no gaps"
        return [f"the retrained model {name} failed ({why}); {left}" for name, why in self.failed.items()]


def _method(
    lab: Laboratory, folder: Path, name: str, done: Mapping[str, dict[str, Any]], reference: _Reference
) -> dict[str, Any]:
    arm = (*reference.names, *reference.every)[0] if name == "retrain" else name
    found = done[arm]
    past = done[past_of(name)]
    phases = {**past["phases"], **found["phases"]}
    if name == "retrain":
        phases |= {p: reference.mean_phase(p) for p in AFTER if reference.names}
    else:
        reference.measure(folder, name, phases)
    retraining = done[reference.names[0]]["latency_s"] if reference.names else None
    latency, account = found["latency_s"], found["account"]
    return {
        "source": METHODS[name].source,
        "oracle": bool(getattr(configured(lab.config, name).options, "oracle", False)),
        "erasure_latency_s": latency,
        "latency_to_retrain": latency / retraining if latency is not None and retraining else None,
        "stall_client_s": account["stall_client_s"],
        "updates_lost": found["lost"] + (of_others(lab.config, past["applied"]) if name == "retrain" else 0),
        "updates_quarantined": found["quarantined"],
        "bytes_moved": int(account["bytes_moved"]),
        "bytes_stored": int(account["bytes_stored"]),
        "server_s": account["server_s"],
        "needs_target": METHODS[name].needs_target,
        "healing": found["healing"],
        "failed": found["failed"],
        "digest": found["digest"],
        "events": found["events"],
        "phases": phases,
        "gaps": reference.gaps(phases),
        "resurfacing": resurfacing(found["curve"], found["released_t"] if found["released_t"] is not None else found["t"]),
        "updates_after_release_per_client": found["after_per_client"],
        "curve": [*past["curve"], *found["curve"]],
    }


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


torch.set_num_threads(1)
