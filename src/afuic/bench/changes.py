"""What changed from one suite's results to another's, for people and for scripts: nothing means the same methods, seeds and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from afuic.bench.document import Arm, Case, Document
from afuic.bench.measures import COSTS
from afuic.bench.statistics import COST, value

Found = tuple[str, str, float | None, float | None]
"""Seed, measure, value before and after."""


def changes(a: Document, b: Document, tolerance: float) -> list[str]:
    """One line for each difference. A value changed where it differs by more than ``tolerance`` times the larger of it, and 1.

    What the computation took on its machine, commits and versions are not compared.
    """
    lines = [f"suite: {a.suite} became {b.suite}"] if a.suite != b.suite else []
    lines += [f"changes: {list(a.changes)} became {list(b.changes)}"] if a.changes != b.changes else []
    lines += _names("case", a.cases, b.cases)
    for name in (name for name in a.cases if name in b.cases):
        lines += [f"{name}: {line}" for line in _case(a.cases[name], b.cases[name], tolerance)]
    return lines


def _names(what: str, a: Iterable[str], b: Iterable[str]) -> Iterator[str]:
    first, second = list(a), list(b)
    yield from (f"{what} {name!r}: removed" for name in first if name not in second)
    yield from (f"{what} {name!r}: added" for name in second if name not in first)


def _case(a: Case, b: Case, tolerance: float) -> Iterator[str]:
    hidden = {"name", "methods", "seed"}
    odd = sorted(k for k in a.config.keys() | b.config.keys() if k not in hidden and a.config.get(k) != b.config.get(k))
    yield from (f"configuration: {key} differs" for key in odd)
    yield from _names("seed", a.seeds, b.seeds)
    yield from _names("method", a.rows, b.rows)
    seeds = [seed for seed in a.seeds if seed in b.seeds]
    for row in (row for row in a.rows if row in b.rows):
        pairs = [(s, a.seeds[s].arms.get(row), b.seeds[s].arms.get(row)) for s in seeds]
        yield from (
            f"{row}: seed {s}: {'added' if x is None else 'removed'}" for s, x, y in pairs if (x is None) != (y is None)
        )
        yield from (
            f"{row}: {line}" for line in _row([(s, x, y) for s, x, y in pairs if x is not None and y is not None], tolerance)
        )
    yield from _runs(a, b, seeds)
    floor = [f for s in seeds for f in _floor(s, a, b, tolerance)]
    yield from _told(floor, len(seeds), "retrained: ")


def _row(pairs: list[tuple[str, Arm, Arm]], tolerance: float) -> Iterator[str]:
    yield from (f"seed {s}: {x.outcome} became {y.outcome} ({y.reason})" for s, x, y in pairs if x.outcome != y.outcome)
    other = [s for s, x, y in pairs if x.digest != y.digest]
    if other:
        yield f"another final model in {len(other)} of {len(pairs)} seeds ({', '.join(other)})"
    yield from _told([f for s, x, y in pairs for f in _values(s, x, y, tolerance)], len(pairs))


def _values(seed: str, a: Arm, b: Arm, tolerance: float) -> Iterator[Found]:
    measures = [
        (p, m) for p in a.phases.keys() | b.phases.keys() for m in a.phases.get(p, {}).keys() | b.phases.get(p, {}).keys()
    ]
    for phase, key in [*sorted(measures), *((COST, s.key) for s in COSTS)]:
        old, new = value(a, phase, key), value(b, phase, key)
        if differs(old, new, tolerance):
            yield seed, f"{key} ({phase})", old, new


def _runs(a: Case, b: Case, seeds: list[str]) -> Iterator[str]:
    for seed in seeds:
        old, new = a.seeds[seed].retrained.runs, b.seeds[seed].retrained.runs
        if old != new:
            yield f"retrained: seed {seed}: {old} models became {new}"


def _floor(seed: str, a: Case, b: Case, tolerance: float) -> Iterator[Found]:
    first, second = a.seeds[seed].retrained.phases, b.seeds[seed].retrained.phases
    for phase in sorted(first.keys() & second.keys()):
        for key in sorted(first[phase].keys() & second[phase].keys()):
            for i, (old, new) in enumerate(zip(first[phase][key], second[phase][key], strict=False)):
                if differs(old, new, tolerance):
                    yield f"{seed}, model {i}", f"{key} ({phase})", old, new


def _told(found: list[Found], seeds: int, prefix: str = "") -> Iterator[str]:
    """One line for each measure, with the seed in which it changed most."""
    for measure in dict.fromkeys(f[1] for f in found):
        each = [f for f in found if f[1] == measure]
        seed, _, old, new = max(each, key=lambda f: abs((f[3] or 0.0) - (f[2] or 0.0)))
        yield f"{prefix}{measure}: in {len({f[0] for f in each})} of {seeds} seeds, most in seed {seed}: {_text(old)} became {_text(new)}"


def differs(old: float | None, new: float | None, tolerance: float) -> bool:
    """Whether a value has changed; being there or not is a change."""
    if old is None or new is None:
        return old is not new
    return abs(old - new) > tolerance * max(1.0, abs(old), abs(new))


def _text(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"
