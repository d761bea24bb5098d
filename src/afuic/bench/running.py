"""A suite from its selection to its document: what is missing is run, what is there is kept, and the document follows.

Folder: ``suite.json`` says what was begun there, ``arms/`` holds every arm, ``bench.json`` is written anew whenever a seed of a case
is whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from afuic.bench import reusing, room
from afuic.bench.document import FILE, RECORD, Begun, Case, Document, Row, Seed, Sweep, begun
from afuic.bench.fingerprint import DATA, fingerprint
from afuic.bench.gathering import Place, complete, gather
from afuic.bench.planning import PAST, Plan, Selection, configuration, skipped, tasks
from afuic.bench.preparing import PREPARED
from afuic.bench.remaining import Remaining
from afuic.bench.suite import Variant
from afuic.bench.task import ARMS, RESULT, Task
from afuic.bench.variants import REFERENCE, rows
from afuic.bench.working import about, work
from afuic.config import Config
from afuic.engines import origin, pool
from afuic.engines.arm import Progress
from afuic.erase import METHODS
from afuic.errors import AfuicError, RunInterrupted, StoreError
from afuic.evaluate.paired import MOST_EXACT
from afuic.store.files import holding, write_bytes, write_json

Sink = Callable[[Progress, Remaining], None]


def run(
    selection: Selection, out: Path, *, jobs: int = 1, progress: Sink | None = None, reuse: Sequence[Path] = ()
) -> Document:
    """Do what is missing of the selection in ``out`` and write its document; a run that was stopped goes on from its checkpoints.

    ``reuse``: folders of other suites, of which finished arms with the same settings are copied; from ``out`` itself nothing has to be.
    StoreError: ``out`` holds another suite, or one with other settings, or the machine has no room. RunInterrupted after Ctrl-C.
    """
    try:
        _check_folder(selection, out)
        others = [source for source in reuse if source.resolve() != out.resolve()]
        for source in others:
            reusing.check(source)
        every = tasks(selection, out)
        with holding(out):
            return _run(selection, every, out, jobs, progress or (lambda *_: None), others)
    except RunInterrupted:
        raise RunInterrupted(f"stopped; the same command goes on with what {out} holds") from None
    except AfuicError as error:
        raise type(error)(str(error).replace("with --resume", "with the same command")) from None


def _run(selection: Selection, every: Sequence[Task], out: Path, jobs: int, show: Sink, reuse: Sequence[Path]) -> Document:
    _check_folder(selection, out)
    root = out / ARMS
    sizes = room.sizes([task for task in every if not task.done(root)])
    whole = _claim(selection, every, out)
    copied = {name: source for source in reuse for name in reusing.reuse(every, root, source)}
    todo = [task for task in every if not task.done(root)]
    room.check(todo, sizes, out, jobs)
    book = _Book(whole, out, every)
    left = Remaining([(t, about(t.at(root)).get("seconds", 0.0) if t.done(root) else None) for t in every], jobs)

    def told(update: Progress) -> None:
        left.update(update)
        show(update, left)
        if update.state == "done":
            book.note(update.arm)

    for name, source in copied.items():
        show(Progress(name, 1.0, 1.0, 0, f"copied from {source}", "done"), left)
    pool.run(work, Config(), root, todo, jobs, told)
    return book.write(final=True)


def _check_folder(selection: Selection, out: Path) -> None:
    """StoreError when the folder holds anything but a run of this suite with these changes."""
    kept = begun(out)
    if kept is None:
        if out.exists() and any(path.name != PREPARED for path in out.iterdir()):
            raise StoreError(f"{out}: is not empty and holds no suite of afuic; choose another folder with --out")
        return
    if (kept.suite, kept.changes) != (selection.suite.name, selection.changes):
        command = " ".join(["afuic bench run", kept.suite, *(f"--set {text}" for text in kept.changes)])
        raise StoreError(f"{out}: holds what `{command}` has begun; choose another folder with --out")


def _claim(selection: Selection, every: Sequence[Task], out: Path) -> Selection:
    """Write down what is run here, and give all that ever was.

    StoreError when any arm of the folder was begun with other settings, also one that is not asked for now, or cannot be planned here.
    """
    kept = begun(out) or Begun(suite=selection.suite.name, changes=(), cases=(), seeds=(), arms={})
    cases = tuple(case.name for case in selection.suite.cases if case.name in {*kept.cases, *selection.cases})
    seeds = tuple(sorted({*kept.seeds, *selection.seeds}))
    if len(seeds) > MOST_EXACT:
        raise StoreError(
            f"{out}: would hold {len(seeds)} seeds, and tests take at most {MOST_EXACT}; choose another folder with --out"
        )
    there = {name.split("/")[0] for name in kept.arms}
    for name in cases:
        if name in there and (why := skipped(selection.suite.case(name))) is not None:
            raise StoreError(f"{out}: {name} was begun there, and now {why}")
    whole = replace(selection, cases=cases, seeds=seeds, methods=None)
    planned = {task.name: fingerprint(task) for task in tasks(whole, out)}
    odd = next((name for name, digest in planned.items() if kept.arms.get(name, digest) != digest), None)
    if odd is not None:
        raise StoreError(
            f"{out}: {odd} was begun there with other settings or on another device, which would mix; choose another folder with --out"
        )
    arms = kept.arms | {task.name: planned[task.name] for task in every}
    said = Begun(suite=selection.suite.name, changes=selection.changes, cases=cases, seeds=seeds, arms=arms)
    write_json(out / RECORD, said.model_dump(mode="json"))
    return whole


@dataclass(frozen=True)
class _Group:
    """One seed of a case: its plan and the names of the tasks that belong to it."""

    plan: Plan
    place: Place
    tasks: frozenset[str]


class _Book:
    """The document as it grows: a seed of a case is taken in as soon as all of its tasks are done."""

    def __init__(self, selection: Selection, out: Path, every: Sequence[Task]) -> None:
        self.selection, self.out = selection, out
        kept = begun(out)
        self.asked: list[str] = [] if kept is None else list(kept.arms)
        self.groups = {(g.plan.case.name, g.plan.seed): g for g in _groups(selection, out, every)}
        self.seeds: dict[tuple[str, int], Seed] = {}
        done = {task.name for task in every if task.done(out / ARMS)}
        self.todo = {key: set(g.tasks - done) for key, g in self.groups.items()}

    def note(self, task: str) -> None:
        """A task is done; take in what is whole now, and write."""
        whole = [key for key, left in self.todo.items() if left == {task}]
        for left in self.todo.values():
            left.discard(task)
        for key in whole:
            self._take(key)
        if whole:
            self.write()

    def _take(self, key: tuple[str, int]) -> None:
        group = self.groups[key]
        if complete(group.place):
            names = [v.name for v in rows(self.selection.suite, group.plan.case)]
            self.seeds[key] = gather(group.place, names)

    def write(self, final: bool = False) -> Document:
        """Write bench.json from what is there."""
        for key, left in self.todo.items():
            if key not in self.seeds and (final or not left):
                self._take(key)
        document = self._document()
        write_bytes(self.out / FILE, document.to_json().encode())
        return document

    def _document(self) -> Document:
        suite = self.selection.suite
        sweep = suite.sweep
        return Document(
            version="afuic-bench/1",
            suite=suite.name,
            question=suite.question,
            commit=origin.commit(),
            versions=origin.versions(),
            machine=origin.machine(),
            changes=self.selection.changes,
            retrained=max((len(g.place.names) for g in self.groups.values()), default=suite.retrained),
            sweep=None if sweep is None else Sweep(label=sweep.label, by=sweep.by, costs=sweep.costs),
            skipped={n: why for n in self.selection.cases if (why := skipped(suite.case(n))) is not None},
            missing=tuple(sorted(name for name in self.asked if not (self.out / ARMS / name / RESULT).exists())),
            cases={n: self._case(n) for n in self.selection.cases if any(name == n for name, _ in self.seeds)},
        )

    def _case(self, name: str) -> Case:
        case = self.selection.suite.case(name)
        seeds = {seed: found for (n, seed), found in sorted(self.seeds.items()) if n == name}
        there = {row for found in seeds.values() for row in found.arms}
        first = self.groups[name, min(seeds)].plan.config
        return Case(
            x=case.x,
            config=_portable(first.model_dump(mode="json")),
            rows={v.name: _row(v) for v in rows(self.selection.suite, case) if v.name in there},
            seeds={str(seed): found for seed, found in seeds.items()},
        )


def _portable(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with data sets by their name alone, wherever their files lie."""
    names = {key: config["data"][key] for key in DATA}
    return config | {"data": config["data"] | {key: name and Path(name).name for key, name in names.items()}}


def _groups(selection: Selection, out: Path, every: Sequence[Task]) -> Iterator[_Group]:
    root = out / ARMS
    for seed in selection.seeds:
        for name in selection.cases:
            case = selection.suite.case(name)
            if skipped(case) is None and selection.rows(case):
                plan = Plan(selection.suite, case, seed, configuration(selection, case, seed, out))
                shared = plan.references_at
                own = frozenset(
                    t.name for t in every if t.folder in {plan.at, shared} and (t.folder == plan.at or _reference(t))
                )
                pasts = {v.name: root / plan.past_of(v) for v in rows(selection.suite, case)}
                place = Place(plan.config, root / plan.at, root / shared, root / plan.past_at, pasts, selection.suite.extras)
                yield _Group(plan, place, own)


def _reference(task: Task) -> bool:
    return task.local == PAST or task.local.startswith(REFERENCE)


def _row(v: Variant) -> Row:
    method = METHODS[v.method]
    found: Any = method.configure(v.options).options
    return Row(
        method=v.method,
        source=method.source,
        options=json.loads(v.text),
        oracle=bool(getattr(found, "oracle", False)),
        needs_target=method.needs_target,
        pauses=method.pauses,
    )
