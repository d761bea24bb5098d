"""The tables of a suite as plain data: rows are methods, the last of them the retrained models' own spread, which is the floor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from afuic.bench import apart, statistics
from afuic.bench.document import Case, Document
from afuic.bench.measures import BY_PHASE, COSTS, PHASES, SPENT, Shown, shown
from afuic.bench.moments import of_moments
from afuic.bench.statistics import Summary
from afuic.evaluate.paired import Comparison
from afuic.evaluate.results import CONTINUE, NOT_ERASED
from afuic.report.words import MISSING, signed

FLOOR, MOMENTS, RETRAINED = "retrained (floor)", "retrained, other moments", "retrained"


@dataclass(frozen=True)
class Cell:
    """A mean with its spread, below it the gap to retraining; ``strong``: told apart in no seed."""

    text: str
    words: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Row:
    """One method."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """``name`` is fit for a file and unique in a suite."""

    name: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


GAPS = (
    "Mean ± standard deviation over the seeds; below, the mean of z ± its standard deviation, and in how many seeds it "
    "is not told apart from retraining. Bold: in all of them. z is the value minus the retrained models' mean in units "
    "of their spread; told apart is what lies outside of where 95 of 100 further retrained models would, by Student's t "
    "and by how the models swing within five minutes. The floor is each retrained model against the others; other "
    "moments: the same models within five minutes after their release or before their end, each against the others at that "
    "moment."
)
TESTS = (
    "Difference to {base}, seed by seed, with its 95 % interval (Student's t); below, p of the exact sign-flip test and after Holm's "
    "correction over the whole table. Measures by |z|, so above 0 is farther from retraining; costs by their values. With n seeds p cannot "
    "fall below 2/2ⁿ."
)


def tables(document: Document) -> tuple[Table, ...]:
    """All tables, case by case."""
    return tuple(table for name, case in document.cases.items() for table in _of_case(name, case))


def _of_case(name: str, case: Case) -> Iterator[Table]:
    yield from _apart(name, case)
    for phase, words in PHASES.items():
        known = [s for s in BY_PHASE[phase] if _measured(case, phase, s.key)]
        if known:
            rows = tuple(_row(case, row, phase, known) for row in case.rows)
            floor = Row(FLOOR, (_models(case), *(_gap(statistics.of_retraining(case, phase, s.key), s) for s in known)))
            columns = ("seeds", *(s.label for s in known))
            yield Table(slug(name, phase), f"{name}, {words}", GAPS, columns, (*rows, floor, *_moments(case, phase, known)))
    yield _costs(name, case)
    yield from _tests(name, case)


def _apart(name: str, case: Case) -> Iterator[Table]:
    columns = apart.measured(case)
    if columns:
        rows = [
            Row(label(case, row), (_seeds(case, row), *(Cell(apart.span(apart.of_row(case, row, c), c)) for c in columns)))
            for row in case.rows
        ]
        models = Row(RETRAINED, (_models(case), *(Cell(apart.span(apart.of_retraining(case, c), c)) for c in columns)))
        headings = ("seeds", *(c.heading for c in columns))
        yield Table(slug(name, "points"), f"{name}, in points", apart.NOTE, headings, (*rows, models))


def _moments(case: Case, phase: str, known: list[Shown]) -> list[Row]:
    found = [of_moments(case, phase, s.key) for s in known]
    cells = (_gap(f, s) for f, s in zip(found, known, strict=True))
    return [Row(MOMENTS, (Cell(""), *cells))] if any(f.n for f in found) else []


def _measured(case: Case, phase: str, key: str) -> bool:
    return any(statistics.of_row(case, row, phase, key).n for row in case.rows)


def _row(case: Case, row: str, phase: str, known: list[Shown]) -> Row:
    seeds = statistics.run(case, row)
    cells = (_gap(statistics.of_row(case, row, phase, s.key), s, seeds) for s in known)
    return Row(label(case, row), (_seeds(case, row), *cells))


def _costs(name: str, case: Case) -> Table:
    parts = [(statistics.COST, s) for s in COSTS] + [(statistics.SPENT, s) for s in SPENT]
    rows = [
        Row(
            label(case, row),
            (
                _seeds(case, row),
                _yes(found.needs_target),
                *(_cost(statistics.of_row(case, row, p, s.key), s) for p, s in parts),
            ),
        )
        for row, found in case.rows.items()
    ]
    floor = (_models(case), _yes(False), *(_cost(statistics.of_retraining(case, p, s.key), s) for p, s in parts))
    columns = ("seeds", "target needed", *(s.label for _, s in parts))
    note = (
        "Mean ± standard deviation over the seeds in which a model was released. Times are virtual, but for those of the CPU."
    )
    return Table(slug(name, "costs"), f"{name}, what it cost", note, columns, (*rows, Row("retrain", floor)))


def _tests(name: str, case: Case) -> Iterator[Table]:
    found, base = statistics.tests(case), statistics.baseline(case)
    others = [row for row in case.rows if row != base]
    if base is None or not found or not others:
        return
    rows = tuple(Row(label(case, row), tuple(_test(found[m].get(row), m) for m in found)) for row in others)
    columns = tuple(_column(m) for m in found)
    yield Table(slug(name, "tests"), f"{name}, against {base}", TESTS.format(base=base), columns, rows)


def _column(name: str) -> str:
    phase, key = name.split(" ")
    return shown(key).label if phase == statistics.COST else f"|z| of {shown(key).label.lower()}, {PHASES[phase]}"


def _test(found: Comparison | None, measure: str) -> Cell:
    if found is None:
        return Cell(MISSING)
    write = shown(measure.split(" ")[1]).show if measure.startswith(f"{statistics.COST} ") else (lambda v: signed(v, 1))
    ends = "" if found.interval is None else f" [{write(found.interval[0])}, {write(found.interval[1])}]"
    return Cell(write(found.difference) + ends, f"p {found.p:.3f}, Holm {found.corrected:.3f}, n = {found.seeds}")


def label(case: Case, row: str) -> str:
    """A row's name, marked where it was shown the trigger."""
    return f"{row} †oracle" if case.rows[row].oracle else row


def released(case: Case, row: str) -> int:
    """In how many seeds the row released a model."""
    return _outcomes(case, row)["released"]


def _outcomes(case: Case, row: str) -> Counter[str]:
    return Counter(s.arms[row].outcome for s in case.seeds.values() if row in s.arms)


def _seeds(case: Case, row: str) -> Cell:
    outcomes = _outcomes(case, row)
    run, whole = sum(outcomes.values()), outcomes["released"]
    odd = [NOT_ERASED] if case.rows[row].method == CONTINUE else []
    odd += [f"{outcomes[o]} {o}" for o in ("diverged", "failed") if outcomes[o]]
    return Cell(str(run) if whole == run else f"{whole} of {run}", ", ".join(odd))


def _models(case: Case) -> Cell:
    runs = sum(s.retrained.runs for s in case.seeds.values())
    diverged = sum(s.retrained.diverged for s in case.seeds.values())
    return Cell(f"{runs} models", f"{diverged} diverged" if diverged else "")


def _gap(found: Summary, measure: Shown, seeds: int = 0) -> Cell:
    words = ""
    if found.z_mean is not None:
        words = f"z {signed(found.z_mean)}{_spread(found.z_sd)} ({found.within} of {found.of})"
    return Cell(_mean(found, measure), words, found.all_within(seeds))


def _cost(found: Summary, measure: Shown) -> Cell:
    return Cell(_mean(found, measure))


def _mean(found: Summary, measure: Shown) -> str:
    if found.mean is None:
        return MISSING
    return measure.show(found.mean) + (f" ± {measure.show(found.sd)}" if found.sd is not None else " (n = 1)")


def _spread(sd: float | None) -> str:
    return "" if sd is None else f" ± {sd:.1f}"


def _yes(value: bool) -> Cell:
    return Cell("yes" if value else "no")


def slug(case: str, what: str = "") -> str:
    """A name fit for a file."""
    plain = "".join(c if c.isalnum() else "-" for c in case.lower())
    return "-".join(part for part in [*plain.split("-"), what] if part)
