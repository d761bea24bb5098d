"""Shadow models for U-LiRA: a configuration run again and again, each time with another past, up to the releases and no further.

Shadow i has random streams of its own (initial model, batches, calibration) on the same division, requests and traces. Its past is
shared by all methods, so that their released models and one retrained model form a row each. Of all this only the answers on
the forget set and, as a control, on the test set are kept: a shadow's models are personal data without a use. Each shadow is one job
of ``pool.run``; a stopped one goes on from its last checkpoint.

Folder: config.json; shadow-I/ with arms/ while it runs, probs.safetensors and at last outcome.json, which says that it is whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from afuic.config import Config
from afuic.engines import pool
from afuic.engines.arm import PREFIX, Arm, Progress, Run, arms
from afuic.engines.experiment import laboratory
from afuic.engines.finished import measured_probs, outcome
from afuic.erase import check_options
from afuic.errors import ConfigError, DataError, StoreError
from afuic.evaluate.arrays import Ints
from afuic.evaluate.judge import Judge, Probs
from afuic.evaluate.ulira import Scores, confidence
from afuic.params import Params
from afuic.rng import PathPart
from afuic.store.files import holding, read_json, read_tensors, write_json, write_tensors

BEFORE, RETRAIN = "before", "retrain"
Sink = Callable[[Progress], None]


@dataclass(frozen=True)
class Shadows:
    """What the shadows answered on the forget set, and on test images.

    ``probs``: method → shadow → [n, classes]; besides the methods "before", the models that were asked to forget, and "retrain".
    ``failed``: method → shadow → why it has no model. ``labels`` [n] as held; ``members`` [n]: images without trigger. ``control`` and
    ``control_labels``: the same of test images, which no model was trained on.
    """

    probs: Mapping[str, Mapping[int, npt.NDArray[np.float32]]]
    failed: Mapping[str, Mapping[int, str]]
    labels: Ints
    members: npt.NDArray[np.bool_]
    control: Mapping[str, Mapping[int, npt.NDArray[np.float32]]]
    control_labels: Ints

    def confidences(self, method: str, against: str = RETRAIN, *, control: bool = False) -> tuple[Scores, Scores]:
        """φ [shadows, images] of ``method`` and of ``against`` for ``ulira.attack``: the shadows that have both, in their order.

        Images with the trigger are left out, as in ``mia_auc``: that probe has measures of its own. ``control``: on as many test
        images, or all, of the same classes in the forget set's proportions as far as they last. DataError for an unknown method.
        """
        for name in (method, against):
            if name not in self.probs:
                raise DataError(f"shadows: there is nothing of {name!r}; there is {', '.join(self.probs)}")
        common = sorted(self.probs[method].keys() & self.probs[against].keys())
        first, second = (self._rows(name, common, control) for name in (method, against))
        return first, second

    def _rows(self, method: str, indices: list[int], control: bool) -> Scores:
        probs, labels = (self.control, self.control_labels) if control else (self.probs, self.labels)
        chosen = self._alike() if control else np.flatnonzero(self.members)
        rows = [confidence(probs[method][i][chosen], labels[chosen]) for i in indices]
        return np.stack(rows) if rows else np.empty((0, len(chosen)))

    def _alike(self) -> npt.NDArray[np.intp]:
        """Of each class the first test images, as many as members have it."""
        wanted = np.bincount(self.labels[self.members])
        return np.sort(np.concatenate([np.flatnonzero(self.control_labels == c)[:n] for c, n in enumerate(wanted)]))


def run(config: Config, out: Path, shadows: int, *, jobs: int | None = None, progress: Sink | None = None) -> Shadows:
    """Run what is missing of shadows 0 to ``shadows`` − 1 into ``out`` and load them all; more can be added later.

    ``jobs``: processes side by side (default 1; the numbers do not depend on it). Raises ConfigError, DataError, StoreError (for a
    folder of another configuration), or RunInterrupted after Ctrl-C; calling again goes on.
    """
    if shadows < 1:
        raise ConfigError(f"shadows: {shadows} were asked for; give at least 1 (U-LiRA needs 3)")
    check_options(config)
    with holding(out):
        if not (out / "config.json").exists():
            write_json(out / "config.json", config.model_dump(mode="json"))
        _check(config, out)
        pool.run(shadow, config, out, [_job(i) for i in range(shadows)], jobs or 1, progress or (lambda _: None))
    return load(config, out, shadows)


def load(config: Config, out: Path, shadows: int) -> Shadows:
    """The shadows 0 to ``shadows`` − 1 in ``out``; StoreError where one is missing or of another configuration."""
    _check(config, out)
    names = [BEFORE, *(m for m in config.methods if m != RETRAIN), RETRAIN]
    probs: dict[str, dict[int, npt.NDArray[np.float32]]] = {name: {} for name in names}
    control: dict[str, dict[int, npt.NDArray[np.float32]]] = {name: {} for name in names}
    failed: dict[str, dict[int, str]] = {}
    judge = laboratory(config).judge
    images = len(judge.forget_labels)
    for i in range(shadows):
        place = out / _job(i).name
        for name, why in read_json(place / "outcome.json")["failed"].items():
            failed.setdefault(name, {})[i] = why
        for name, found in read_tensors(place / "probs.safetensors").items():
            both = found.numpy()
            probs.setdefault(name, {})[i], control.setdefault(name, {})[i] = both[:images], both[images:]
    return Shadows(probs, failed, judge.forget_labels, judge.members, control, judge.test_labels)


def shadow(config: Config, folder: Path, arm: Arm, progress: Sink) -> None:
    """One shadow: its past, each method up to its release, one retrained model. ``arm`` gives its name and family."""
    place = folder / arm.name
    if not (place / "outcome.json").exists():
        lab = laboratory(config)
        every = branches(config, arm.family)
        for one in every:
            Run(lab, place / "arms", one, _relay(arm.name, progress), Witness(lab.judge, control=True)).run()
        _keep(place, every)
    shutil.rmtree(place / "arms", ignore_errors=True)
    progress(Progress(arm.name, config.clock.horizon_s, config.clock.horizon_s, 0, "done", "done"))


def branches(config: Config, family: tuple[PathPart, ...]) -> tuple[Arm, ...]:
    """The arms of one shadow: those of the experiment in the shadow's family, cut off at the release, and one retrained."""
    cut = [replace(a, family=family, until="request" if a.past else "release") for a in arms(config) if not a.family]
    return (*cut, Arm(RETRAIN, RETRAIN, None, (*family, RETRAIN), "release"))


class Witness:
    """Sees the forget set alone, then with ``control`` the test set, and nothing on the way to the release."""

    def __init__(self, judge: Judge, *, control: bool = False) -> None:
        self.judge, self.control = judge, control

    def point(self, params: Params) -> dict[str, float | None]:
        return {}

    def phase_and_probs(self, params: Params) -> tuple[dict[str, Any], Probs]:
        forgotten = self.judge.forget_probs(params)
        return {}, np.concatenate([forgotten, self.judge.probs(params)]) if self.control else forgotten


def _job(index: int) -> Arm:
    return Arm(f"shadow-{index}", RETRAIN, None, ("shadow", index))


def _relay(name: str, progress: Sink) -> Sink:
    return lambda p: progress(replace(p, arm=name, note=f"{p.arm}: {p.note}", state="running"))


def _keep(place: Path, every: tuple[Arm, ...]) -> None:
    """The answers of all that got a model, then, last, why the others did not."""
    kept: dict[str, torch.Tensor] = {}
    failed: dict[str, str] = {}
    for arm in every:
        name = BEFORE if arm.name == PREFIX else arm.name
        probs = measured_probs(place / "arms", arm.name, "before" if arm.past else "released")
        if probs is not None:
            kept[name] = torch.from_numpy(probs.astype(np.float32))
        else:
            failed[name] = outcome(place / "arms", arm.name)["failed"] or "no model was measured"
    write_tensors(place / "probs.safetensors", kept)
    write_json(place / "outcome.json", {"failed": failed})


def _check(config: Config, out: Path) -> None:
    if read_json(out / "config.json") != config.model_dump(mode="json"):
        raise StoreError(f"{out}: holds shadows of another configuration; choose another folder")
