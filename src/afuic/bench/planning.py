"""From a suite to the work that it takes: which pasts, references and branches have to run, and in which folder each lies.

A past is run once for a case and seed, and once more for each method that has something prepared before any request. Folder:
``arms/CASE/SEED/`` with ``past``, ``retrain/I`` and one folder for each row; where a case shares the references of another, they lie there.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afuic import config
from afuic.bench.extras import EXTRAS
from afuic.bench.preparing import PREPARE
from afuic.bench.suite import Case, Suite, Variant
from afuic.bench.task import Task
from afuic.bench.variants import REFERENCE, rows
from afuic.config import Config
from afuic.erase import METHODS
from afuic.errors import ConfigError

PAST = "past"
PREPARED: Mapping[str, tuple[object, ...]] = {"ahead": (None,), "teacher": (None, "snapshot")}
"""Options for which something is kept or done before any request, with the values for which nothing is."""
LAST = "last models"
"""What those rows have kept that need the clients' last models where their method as it is does not."""
CLUSTERS = "clusters"
"""The option of methods that train otherwise from the beginning."""
DEMO = config.shipped()["demo"]
"""What every suite is a change of, trigger included."""
OWN = ("name", "seed", "methods")
"""Settings that each seed of a case is given."""
FILE = re.compile(r"=\$(\w+)$")


@dataclass(frozen=True)
class Selection:
    """What of a suite is to be run. ``seeds``: in ascending order; ``changes``: overrides for every case, after its own; ``methods``:
    none, all of the suite's.
    """

    suite: Suite
    seeds: tuple[int, ...]
    cases: tuple[str, ...]
    methods: tuple[str, ...] | None = None
    changes: tuple[str, ...] = ()

    def rows(self, case: Case) -> tuple[Variant, ...]:
        """The rows of a case that are selected."""
        return rows(self.suite, case, self.methods)


def select(
    suite: Suite,
    *,
    seeds: int | Iterable[int] | None = None,
    cases: tuple[str, ...] | None = None,
    methods: tuple[str, ...] | None = None,
    changes: tuple[str, ...] = (),
) -> Selection:
    """A selection with the suite's own values where nothing is given; so many ``seeds`` from 0, or these. ConfigError for a case or method
    that it has not.
    """
    known = tuple(case.name for case in suite.cases)
    for name in cases or ():
        if name not in known:
            raise ConfigError(f"--case: {name!r} is not a case of {suite.name}; there are {', '.join(known)}")
    wanted = suite.seeds if seeds is None else seeds
    numbers = range(wanted) if isinstance(wanted, int) else sorted({*wanted})
    chosen = Selection(suite, tuple(numbers), cases or known, methods, changes)
    if not any(chosen.rows(suite.case(name)) for name in chosen.cases):
        why = "; it is the reference, run with whatever rows there are" if methods == (REFERENCE,) else ""
        raise ConfigError(f"--methods: {suite.name} has no row of {', '.join(methods or ())} in these cases{why}")
    return chosen


def skipped(case: Case) -> str | None:
    """Why a case cannot be run here; None when it can."""
    if case.needs is None or Path(os.environ.get(case.needs, "")).is_file():
        return None
    said = os.environ.get(case.needs, "")
    what = f"{case.needs} is {said}, which is no file" if said else f"{case.needs} is not set"
    return f"{what}; import the data set with `afuic data import` (docs/data.md) and set it to the npz"


def named_data(selection: Selection) -> tuple[str, ...]:
    """The data sets, or files, that the selected cases name, before anything is loaded."""
    found: dict[str, None] = {}
    for case in (selection.suite.case(name) for name in selection.cases):
        if skipped(case) is None:
            data = config.load(DEMO, _texts(selection, case)).data
            found |= dict.fromkeys(name for name in (data.name, data.calibration_from) if name is not None)
    return tuple(found)


def configuration(selection: Selection, case: Case, seed: int, out: Path) -> Config:
    """The configuration of one seed of a case. Its methods are all of the suite's, so that one past serves them whichever are run."""
    suite = selection.suite
    for key in (text.partition("=")[0].strip() for text in selection.changes):
        if key in OWN:
            raise ConfigError(f"--set {key}: a suite says that itself; choose with --seeds, --methods or --out")
    every = dict.fromkeys([*(v.method for v in rows(suite, case)), REFERENCE])
    texts = (*_texts(selection, case), f"seed={seed}")
    made = config.load(DEMO, texts)
    if case.prepare is not None:
        made = config.load(DEMO, (*texts, *_prepared(case.prepare, made.model_dump_json(), out)))
    if made.options:
        which = ", ".join(f"options.{name}" for name in made.options)
        raise ConfigError(f"--set {which}: the rows of a suite say their methods' options; try others with `afuic run --set`")
    return made.model_copy(update={"name": f"{suite.name}: {case.name}", "methods": tuple(every)})


def _texts(selection: Selection, case: Case) -> tuple[str, ...]:
    suite = selection.suite
    texts = (*suite.base, f"evaluation.retrained={suite.retrained}", *case.overrides, *selection.changes)
    return tuple(FILE.sub(_file, text) for text in texts)


@functools.lru_cache(maxsize=64)
def _prepared(name: str, text: str, out: Path) -> tuple[str, ...]:
    return PREPARE[name](Config.model_validate_json(text), out)


def _file(found: re.Match[str]) -> str:
    return f"={json.dumps(str(Path(os.environ.get(found[1], '')).resolve()))}"


def past_of(variant: Variant) -> str:
    """The name of the past that a variant branches from: "past", or one of its own where something is kept ready for it."""
    method = METHODS[variant.method]
    found = method.configure(variant.options)
    options = found.options
    values = {key: getattr(options, key, None) for key in PREPARED}
    odd = {key: value for key, value in values.items() if value not in PREPARED[key]}
    odd |= {CLUSTERS: getattr(options, CLUSTERS, None)} if method.clusters else {}
    odd |= {LAST: True} if found.needs.last_models > method.configure({}).needs.last_models else {}
    if not odd:
        return PAST
    said = json.dumps(odd, sort_keys=True, default=lambda value: value.model_dump(mode="json"))
    return f"{PAST}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def tasks(selection: Selection, out: Path) -> tuple[Task, ...]:
    """Everything that the selection takes, in the order to do it in: seed by seed, case by case."""
    found: dict[str, Task] = {}
    suite = selection.suite
    for seed in selection.seeds:
        for name in selection.cases:
            case = suite.case(name)
            if skipped(case) is None and selection.rows(case):
                found |= {task.name: task for task in _of_case(selection, case, seed, out)}
    return tuple(found.values())


def _of_case(selection: Selection, case: Case, seed: int, out: Path) -> Iterator[Task]:
    variants = selection.rows(case)
    plan = Plan(selection.suite, case, seed, configuration(selection, case, seed, out))
    owner = plan
    if case.references is not None:
        other = selection.suite.case(case.references)
        owner = Plan(selection.suite, other, seed, configuration(selection, other, seed, out))
        _check_shared(owner.config, plan.config, case)
    yield from owner.references()
    yield from (owner if case.past else plan).pasts(variants)
    yield from (plan.branch(v) for v in variants)
    for name in selection.suite.extras:
        yield from EXTRAS[name].tasks(plan, variants)


def _check_shared(owner: Config, own: Config, case: Case) -> None:
    """ConfigError where a case differs from the one whose arms it shares in something that these arms could see."""
    hidden = {"name": "", "methods": (REFERENCE,)}
    a, b = (_seen(c.model_copy(update=hidden), case.past) for c in (owner, own))
    if a != b:
        raise ConfigError(f"suite case {case.name!r}: it cannot share the arms of {case.references!r}, from which it differs")


def _seen(config: Config, past: bool) -> Config:
    """Without what a retrained model, or a past, never meets: calibration, the server's speed, whether the target is there later."""
    data = config.data.model_copy(update={"calibration": 0, "calibration_from": None})
    clock = config.clock.model_copy(update={"server_speed": 1.0})
    requests = config.requests if past else tuple(r.model_copy(update={"target_online": True}) for r in config.requests)
    return config.model_copy(update={"data": data, "clock": clock, "requests": requests})


@dataclass(frozen=True)
class Plan:
    """One seed of a case: what each of its arms is and where it lies, below the folder of all arms."""

    suite: Suite
    case: Case
    seed: int
    config: Config

    @property
    def at(self) -> str:
        """Its own folder."""
        return f"{self.case.name}/{self.seed}"

    @property
    def references_at(self) -> str:
        """The folder of its references."""
        return f"{self.case.references or self.case.name}/{self.seed}"

    @property
    def past_at(self) -> str:
        """The plain past that its rows branch from."""
        return f"{self.references_at if self.case.past else self.at}/{PAST}"

    def past_of(self, v: Variant) -> str:
        """The past that a row branches from."""
        return f"{self.references_at if self.case.past else self.at}/{past_of(v)}"

    @property
    def names(self) -> list[str]:
        """Its retrained references."""
        return [f"{REFERENCE}/{i}" for i in range(self.config.evaluation.retrained)]

    def task(self, local: str, kind: str, method: str, after: str | None = None, **more: Any) -> Task:
        """A task of this seed; ``more`` are fields of ``Task``."""
        text = self.config.model_dump_json()
        return Task(f"{self.at}/{local}", method, after, kind=kind, folder=self.at, local=local, config=text, **more)

    def references(self) -> Iterator[Task]:
        """The retrained models, each from its own initial model."""
        for i, name in enumerate(self.names):
            yield self.task(name, "arm", REFERENCE, family=(REFERENCE, i))

    def pasts(self, variants: Sequence[Variant], within: str = "", **more: Any) -> Iterator[Task]:
        """Each past that some variant needs, and the plain one. That is run under retraining's rules, which keep nothing of their own."""
        needed = {PAST: Variant(REFERENCE, REFERENCE)} | {past_of(v): v for v in variants if past_of(v) != PAST}
        for name, v in needed.items():
            yield self.task(_within(within, name), "arm", v.method, options=_options(v), **more)

    def branch(self, v: Variant, within: str = "", **more: Any) -> Task:
        """One row, from the request on; from the past ``within`` the folder of a shadow model where that is given."""
        owner = self.at if within or not self.case.past else self.references_at
        past = f"{owner}/{_within(within, past_of(v))}"
        return self.task(_within(within, v.name), "arm", v.method, past, options=_options(v), **more)


def _within(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _options(v: Variant) -> str:
    return json.dumps({v.method: dict(v.options)}, sort_keys=True)
