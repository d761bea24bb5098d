"""U-LiRA on a method: shadow models unlearned by it, from pasts with draws of their own, beside retrained ones, image by image.

The retrained shadow models are the references, which are of the same kind; unlearned ones are run up to their release and no further.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from afuic.bench.suite import Variant
from afuic.bench.task import Task
from afuic.engines.finished import measured_model, measured_probs
from afuic.engines.laboratory import Laboratory
from afuic.engines.shadows import RETRAIN, Shadows
from afuic.evaluate.judge import Probs
from afuic.evaluate.ulira import CHEAP, FULL, LEAST, attack
from afuic.rng import stream
from afuic.store.files import read_json, write_json

FOLDER = "ulira"
UNLEARNED, CONTROL = "unlearned", "control"
AUC, TPR, P = "ulira_auc", "ulira_tpr", "ulira_p"
INTERVALS = {AUC: "auc_interval", TPR: "tpr_interval"}


def tasks(plan: Any, variants: Sequence[Variant]) -> Iterator[Task]:
    """For each shadow its past and every row from it; then, for each row, the attack.

    Shadows: the full setting's where there are as many references to set against them, else the cheap one's.
    """
    shadows = FULL if len(plan.names) >= FULL else min(CHEAP, len(plan.names))
    for i in range(shadows):
        family, own = (FOLDER, i), f"{FOLDER}/shadow-{i}"
        yield from plan.pasts(variants, own, family=family, until="request", witness=True)
        yield from (plan.branch(v, own, family=family, until="release", witness=True) for v in variants)
    retrained = tuple(f"{plan.references_at}/{name}" for name in plan.names[:shadows])
    for v in variants:
        unlearned = tuple(f"{plan.at}/{FOLDER}/shadow-{i}/{v.name}" for i in range(shadows))
        yield plan.task(f"{FOLDER}/attack/{v.name}", FOLDER, v.method, sources=(*unlearned, *retrained))


def measure(root: Path, task: Task, _: Any) -> Mapping[str, Any]:
    """Attack the released models; nothing is found where fewer than three pairs were released."""
    lab = task.laboratory()
    half = len(task.sources) // 2
    unlearned = _known(_released(root / at) for at in task.sources[:half])
    retrained = _known(_retrained(lab, root / at) for at in task.sources[half:])
    found: dict[str, Any] = {}
    if len(unlearned.keys() & retrained.keys()) >= LEAST:
        seen = _shadows(lab, {UNLEARNED: unlearned, RETRAIN: retrained})
        sides = {key: seen.confidences(UNLEARNED, control=key == CONTROL) for key in ("own", CONTROL)}
        found = {key: vars(attack(*pair, stream(lab.config.seed, FOLDER, key))) for key, pair in sides.items()}
    write_json(task.at(root) / "result.json", found)
    return {}


def of(place: Any, row: str) -> dict[str, float | None]:
    """The attack's AUC (0.5 is chance) and TPR at 1 % FPR (0.01 is chance), each with its interval, p, and the AUC on test images of
    the same classes: as far from 0.5 there, the models differ in manner and not in what they remember.
    """
    path = place.folder / FOLDER / "attack" / row / "result.json"
    found = read_json(path) if path.exists() else {}
    if not found or "error" in found:
        return {}
    own = found["own"]
    ends = {m: own[key] or (None, None) for m, key in INTERVALS.items()}
    intervals = {f"{m}_{end}": pair[i] for m, pair in ends.items() for i, end in enumerate(("low", "high"))}
    return {AUC: own["auc"], TPR: own["tpr"], P: own["p"], f"{AUC}_{CONTROL}": found[CONTROL]["auc"], **intervals}


def reference(_: Any, names: Sequence[str]) -> dict[str, list[float | None]]:
    """None: the retrained models are what the attack compares with, and chance is its floor."""
    return {}


def _known(found: Iterable[Probs | None]) -> dict[int, Probs]:
    return {i: probs for i, probs in enumerate(found) if probs is not None}


def _released(path: Path) -> Probs | None:
    return measured_probs(path.parent, path.name, "released")


def _retrained(lab: Laboratory, path: Path) -> Probs | None:
    model, test = measured_model(path.parent, path.name, "released"), _released(path)
    return None if model is None or test is None else np.concatenate([lab.judge.forget_probs(model), test])


def _shadows(lab: Laboratory, both: Mapping[str, Mapping[int, Probs]]) -> Shadows:
    """Answers on the forget set, then on the test set, taken apart."""
    judge, n = lab.judge, len(lab.judge.forget_labels)
    probs = {name: {i: p[:n].astype(np.float32) for i, p in each.items()} for name, each in both.items()}
    control = {name: {i: p[n:].astype(np.float32) for i, p in each.items()} for name, each in both.items()}
    return Shadows(probs, {}, judge.forget_labels, judge.members, control, judge.test_labels)
