"""The data return: after how many steps does a model know them as well as before the request, beside retrained models?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from afuic.bench.suite import Variant
from afuic.bench.task import Task
from afuic.engines import relearn as engine
from afuic.engines.finished import measured_model
from afuic.evaluate.relearn import Relearned, ratio
from afuic.params import Params
from afuic.store.files import read_json, write_json

FOLDER = "relearn"
STEPS, CENSORED, RATIO = "relearn_steps", "relearn_censored", "relearn_ratio"


def tasks(plan: Any, variants: Sequence[Variant]) -> Iterator[Task]:
    """One for every row and every retrained model, once all of them are there."""
    arms = [(name, "retrain", plan.references_at) for name in plan.names] + [(v.name, v.method, plan.at) for v in variants]
    for name, method, at in arms:
        yield plan.task(f"{FOLDER}/{name}", FOLDER, method, plan.past_at, sources=(f"{at}/{name}",))


def measure(root: Path, task: Task, _: Any) -> Mapping[str, Any]:
    """Train the released model on the images that were erased until it knows them as the shared model did before the request."""
    lab = task.laboratory()
    before, model = _model(root, str(task.after), "before"), _model(root, task.sources[0], "released")
    found = {} if model is None or before is None else vars(engine.relearn(lab, model, engine.target(lab, before)))
    write_json(task.at(root) / "result.json", found)
    return {}


def of(place: Any, row: str) -> dict[str, float | None]:
    """Steps, whether counting stopped before they were enough (then steps and ratio are the least they can be), and their ratio to the
    retrained models' median; no ratio where theirs was not reached.
    """
    own, others = _read(place, row), [_read(place, name) for name in place.names]
    if own is None:
        return {}
    return _counted(own) | {RATIO: _ratio(own, [o for o in others if o is not None])}


def reference(place: Any, names: Sequence[str]) -> dict[str, list[float | None]]:
    """The same of each retrained model, the ratio to the median of the others."""
    found = [_read(place, name) for name in names]
    if all(f is None for f in found):
        return {}
    others = [[f for k, f in enumerate(found) if k != i and f is not None] for i in range(len(found))]
    ratios = [None if f is None else _ratio(f, rest) for f, rest in zip(found, others, strict=True)]
    counted = [_counted(f) for f in found]
    return {m: [each[m] for each in counted] for m in (STEPS, CENSORED)} | {RATIO: ratios}


def _ratio(own: Relearned, others: Sequence[Relearned]) -> float | None:
    found = ratio(own, others)
    return None if found.bound == "at most" else found.value


def _counted(found: Relearned | None) -> dict[str, float | None]:
    if found is None:
        return {STEPS: None, CENSORED: None}
    return {STEPS: float(found.steps), CENSORED: float(found.censored)}


def _read(place: Any, name: str) -> Relearned | None:
    path = place.folder / FOLDER / name / "result.json"
    values = read_json(path) if path.exists() else {}
    return Relearned(**values) if values and "error" not in values else None


def _model(root: Path, at: str, phase: str) -> Params | None:
    path = root / at
    return measured_model(path.parent, path.name, phase)
