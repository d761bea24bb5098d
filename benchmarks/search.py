"""Which settings the published methods are measured with: the same number of candidates for each, on seeds that are never reported.

Every method's file names its candidates (``SEARCH``). As in ``choose.py`` the real test images are left out and a tenth of the training
images plays them. For each federation the shared past and two retrained references run once; every candidate branches from that past and
trains on for 120 s after its release. The score is blind to the trigger: the mean over release and end of the absolute differences to
retraining in accuracy, forget accuracy and membership AUC; a candidate that diverges or is never released has none. The lowest mean over
the federations is chosen and becomes the method's default.

    python benchmarks/search.py [--work DIR] [--methods NAME …] [--federations NAME …]      resumable: finished trials are kept,
                                                                                    in DIR and, method by method, in the JSON
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from choose import blind  # type: ignore[import-not-found]
from common import RESULTS, origin  # type: ignore[import-not-found]
from federations import FEDERATIONS  # type: ignore[import-not-found]

from afuic import config
from afuic.config import Config
from afuic.data import load
from afuic.engines import pool
from afuic.engines.arm import PREFIX, Arm, Progress, Run
from afuic.engines.finished import outcome
from afuic.engines.laboratory import Laboratory, prepare
from afuic.erase import METHODS

TRIALS = {"bloodmnist": 100, "organamnist": 100, "ham10000-rosendahl": 100}
"""Federation: its seed."""
REFERENCES = 2
SCORED = ("accuracy", "forget_accuracy", "mia_auc")
PHASES = ("released", "final")
BASE = (
    "clock.horizon_s=1320",
    "requests.0.at=0.9090909090909091",
    "evaluation.images=800",
    f"evaluation.retrained={REFERENCES}",
)


def candidates() -> dict[str, tuple[dict[str, Any], ...]]:
    """Every method with settings to be searched."""
    found = {name: getattr(sys.modules[m.options.__module__], "SEARCH", ()) for name, m in METHODS.items()}
    return {name: settings for name, settings in found.items() if settings}


def main() -> None:
    """Run the trials that are missing, score all, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "search.json")
    parser.add_argument("--work", type=Path, default=Path("runs/search"), help="folder of finished and unfinished trials")
    parser.add_argument("--methods", nargs="*", default=list(candidates()), choices=list(candidates()), metavar="NAME")
    parser.add_argument("--federations", nargs="*", default=list(TRIALS), choices=list(TRIALS), metavar="NAME")
    parser.add_argument("--jobs", type=int, default=pool.cores())
    given = parser.parse_args()
    scored = json.loads(given.out.read_text(encoding="utf-8"))["trials"] if given.out.exists() else {}
    for federation in given.federations:
        cfg = configuration(federation)
        folder = given.work / f"{federation}-{cfg.seed}"
        for name in given.methods:
            if sorted(row["settings"] for row in scored.get(name, {}).get(federation, ())) == sorted(settings(name)):
                continue
            pool.run(trial, cfg, folder, arms(name), given.jobs, _say)
            rows = [score(folder, name, options) for options in candidates()[name]]
            scored.setdefault(name, {})[federation] = rows
            write(given.out, scored)


def configuration(federation: str) -> Config:
    """The configuration of a federation's trials. Its methods are all, so that their past keeps what any of them needs."""
    methods = f"methods={json.dumps(['continue', *candidates(), 'retrain'])}"
    return config.load("demo", (*FEDERATIONS[federation], *BASE, f"seed={TRIALS[federation]}", methods))


def arms(method: str) -> list[Arm]:
    """The past, the references, and a branch for each candidate; a method with a past of its own has one for each candidate."""
    places = [place(method, text) for text in settings(method)]
    references = [Arm(f"retrain/{i}", "retrain", None, ("retrain", i)) for i in range(REFERENCES)]
    if not METHODS[method].clusters:
        return [Arm(PREFIX, "continue", None), *references, *(Arm(name, method, PREFIX) for name in places)]
    own = [Arm(f"past of {name}", method, None) for name in places]
    return [*own, *references, *(Arm(name, method, past.name) for name, past in zip(places, own, strict=True))]


def settings(name: str) -> list[str]:
    """Each candidate's options in full, as JSON: however they are spelled and whatever the defaults become, these were tried."""
    return [_full(name, options) for options in candidates()[name]]


def _full(name: str, options: dict[str, Any]) -> str:
    return json.dumps(METHODS[name].configure(options).options.model_dump(mode="json"))


def place(name: str, full: str) -> str:
    """The arm of a method's candidate."""
    return f"{name} {hashlib.sha256(full.encode()).hexdigest()[:8]}"


def trial(cfg: Config, folder: Path, arm: Arm, progress: Any) -> None:
    """One arm; a candidate's options are put into the configuration under its method's name."""
    lab = _laboratory(cfg.model_dump_json())
    if arm.method in candidates():
        options = next(o for o in candidates()[arm.method] if arm.name.endswith(place(arm.method, _full(arm.method, o))))
        lab = replace(lab, config=cfg.model_copy(update={"options": {arm.method: options}}))
    Run(lab, folder, arm, progress).run()


@functools.lru_cache(maxsize=1)
def _laboratory(text: str) -> Laboratory:
    cfg = Config.model_validate_json(text)
    return prepare(cfg, blind(load(cfg.data.name)))


def score(folder: Path, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Differences to the retrained references at both phases and their score; None where the candidate has no model to score."""
    full = _full(name, options)
    found = outcome(folder, place(name, full))
    references = [outcome(folder, f"retrain/{i}") for i in range(REFERENCES)]
    row: dict[str, Any] = {"options": options, "settings": full, "failed": found["failed"], "latency_s": found["latency_s"]}
    if found["failed"] or any(p not in found["phases"] for p in PHASES):
        return row | {"score": None}
    gaps = {p: {m: found["phases"][p][m] - fmean(r["phases"][p][m] for r in references) for m in SCORED} for p in PHASES}
    return row | {"gaps": gaps, "score": fmean(abs(gap) for by in gaps.values() for gap in by.values())}


def write(path: Path, scored: dict[str, dict[str, list[dict[str, Any]]]]) -> None:
    """Every trial, and for each method the candidate with the lowest mean score over the federations."""
    document = {
        **origin("search", next(iter(TRIALS.values()))),
        "federations": TRIALS,
        "base": BASE,
        "budget": {name: len(settings) for name, settings in candidates().items()},
        "chosen": {name: chosen(by) for name, by in scored.items()},
        "trials": scored,
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}", flush=True)


def chosen(by_federation: dict[str, list[dict[str, Any]]]) -> dict[str, Any] | None:
    """The options with the lowest mean score; candidates that failed anywhere are left out, and None if all did."""
    means = []
    for rows in zip(*by_federation.values(), strict=True):
        scores = [row["score"] for row in rows]
        if None not in scores:
            means.append((fmean(scores), rows[0]["options"]))
    if not means:
        return None
    best = min(means, key=lambda pair: pair[0])
    return {"score": best[0], "options": best[1]}


def _say(progress: Progress) -> None:
    if progress.state == "done":
        print(f"{progress.arm}: {progress.note}", flush=True)


if __name__ == "__main__":
    main()
