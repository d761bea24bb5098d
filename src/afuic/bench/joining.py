"""Several documents of one suite as one, so that seeds, cases and methods may be run on several machines or days.

Nothing is measured anew: a row was compared with the retrained models of its own case and seed, and must lie beside the same ones.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from afuic.bench.document import Arm, Case, Document, Seed
from afuic.bench.planning import PAST
from afuic.bench.variants import REFERENCE
from afuic.engines import origin
from afuic.errors import StoreError
from afuic.evaluate.paired import MOST_EXACT

T = TypeVar("T")
Named = tuple[str, Document]
"""What a person calls a document, and the document."""


def join(documents: Sequence[Named]) -> Document:
    """One document of all cases, seeds and rows of ``documents``, one or more. What two of them hold both is taken from the earlier.

    StoreError where they do not fit: other suites, settings or numbers of references, or the same seed or arm with other numbers; or more
    seeds than tests take.
    """
    joined = functools.reduce(_both, documents)[1]
    most = max((len(case.seeds) for case in joined.cases.values()), default=0)
    if most > MOST_EXACT:
        raise StoreError(f"joined, they would have {most} seeds, and tests take at most {MOST_EXACT}; join fewer")
    return joined.model_copy(update={"commit": origin.commit(), "digest": ""})


def _both(first: Named, second: Named) -> Named:
    (name, a), (other, b) = first, second
    for key in ("suite", "question", "changes", "retrained", "sweep"):
        _same(f"{other}: {key}", getattr(b, key), getattr(a, key), name)
    cases = {
        key: _case(f"{other}: {key}", a.cases[key], b.cases[key], name) if key in a.cases and key in b.cases else case
        for key, case in {**b.cases, **a.cases}.items()
    }
    there = {f"{key}/{seed}/{row}" for key, case in cases.items() for seed, found in case.seeds.items() for row in found.arms}
    update = {
        "cases": {key: cases[key] for key in dict.fromkeys([*a.cases, *b.cases])},
        "skipped": {key: why for key, why in {**b.skipped, **a.skipped}.items() if key not in cases},
        "missing": tuple(sorted(arm for arm in {*a.missing, *b.missing} - there if not _needed_for(arm, cases))),
        "machine": _said(a.machine, b.machine),
        "versions": _said(a.versions, b.versions),
    }
    return f"{name}, {other}", a.model_copy(update=update)


def _needed_for(arm: str, cases: Mapping[str, Case]) -> bool:
    """Whether it is a past or a reference of a seed that is there, which it would not be without them."""
    case, seed, kind = arm.split("/")[:3]
    return case in cases and seed in cases[case].seeds and kind.partition("-")[0] in {PAST, REFERENCE}


def _case(what: str, a: Case, b: Case, name: str) -> Case:
    first, second = _settings(a), _settings(b)
    for key in sorted(first.keys() | second.keys()):
        _same(f"{what}: {key}", second.get(key), first.get(key), name)
    for row in a.rows.keys() & b.rows.keys():
        _same(f"{what}: {row}", b.rows[row], a.rows[row], name)
    seeds = {
        seed: _seed(f"{what}, seed {seed}", a.seeds[seed], b.seeds[seed], name)
        if seed in a.seeds and seed in b.seeds
        else found
        for seed, found in {**b.seeds, **a.seeds}.items()
    }
    ordered = {seed: seeds[seed] for seed in sorted(seeds, key=int)}
    config = a.config if next(iter(ordered)) in a.seeds else b.config
    return a.model_copy(update={"config": config, "rows": {**a.rows, **b.rows}, "seeds": ordered})


def _settings(case: Case) -> dict[str, Any]:
    """What must be the same for every seed; who asks, and so carries the trigger, may follow from the seed and stands in its requests."""
    config: dict[str, Any] = {key: value for key, value in case.config.items() if key not in {"seed", "methods"}}
    data = dict(config.get("data", {}))
    if data.get("trigger") is not None:
        data["trigger"] = data["trigger"] | {"client": ""}
    return config | {"data": data, "requests": [request | {"client": ""} for request in config.get("requests", [])]}


def _seed(what: str, a: Seed, b: Seed, name: str) -> Seed:
    bare: dict[str, object] = {"arms": {}}
    _same(
        f"{what}: its retrained or shared models",
        _measured(b.model_copy(update=bare)),
        _measured(a.model_copy(update=bare)),
        name,
    )
    for row in a.arms.keys() & b.arms.keys():
        _same(f"{what}: {row}", _measured(b.arms[row]), _measured(a.arms[row]), name)
    return a.model_copy(update={"arms": {**b.arms, **a.arms}})


def _measured(value: Arm | Seed) -> BaseModel:
    """Without what depends on the machine and the checkout alone."""
    hidden: dict[str, object] = {"commit": None, "spent": {}} if isinstance(value, Arm) else {"sizes": None}
    return value.model_copy(update=hidden)


def _same(what: str, found: object, expected: object, name: str) -> None:
    if found != expected:
        raise StoreError(f"{what} differs from {name}; only runs with the same settings and numbers can be joined")


def _said(a: Mapping[str, T], b: Mapping[str, T]) -> dict[str, T | str]:
    """Both, where they differ one after the other."""
    said: dict[str, T | str] = dict(a)
    for key, value in b.items():
        if key not in said:
            said[key] = value
        elif str(value) not in str(said[key]).split(" / "):
            said[key] = f"{said[key]} / {value}"
    return said
