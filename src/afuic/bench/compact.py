"""The one table of a suite that fits a README: what each method cost, and how far the model that it released is from retrained ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from afuic.bench import statistics
from afuic.bench.document import Case, Document
from afuic.bench.measures import Shown, rate, whole
from afuic.bench.moments import of_moments
from afuic.bench.relearn import CENSORED, RATIO
from afuic.bench.statistics import COST, Summary
from afuic.bench.tables import FLOOR, MOMENTS, Cell, Row, Table, label, released, slug
from afuic.evaluate.results import CONTINUE, NOT_ERASED
from afuic.report.words import MISSING, duration, number, percent, signed

COSTS = (
    Shown("latency_to_retrain", "latency, of retraining's", percent),
    Shown("stall_client_s", "others' stall", duration),
    Shown("updates_lost", "updates lost", whole),
)
GAPS = (
    ("released", "accuracy", "accuracy"),
    ("released", "auroc", "AUROC"),
    ("released", "forget_accuracy", "forget accuracy"),
    ("released", "forget_loss", "forget loss"),
    ("released", "asr_excess", "excess ASR"),
    ("released", "mia_auc", "MIA"),
    ("after", "asr_excess_max", "highest excess ASR after"),
    ("late", "accuracy", "accuracy later"),
)
"""Phase, measure, and what its column is called."""
ALL = "not told apart, all of these"
EXTRA = "extra"
FURTHER = (
    Shown("relearn_ratio", "relearning, over retraining's steps", rate),
    Shown("ulira_auc", "U-LiRA AUC", number),
    Shown("ulira_auc_control", "… on test images", number),
)
"""Columns of their own, with mean ± standard deviation, where a suite has measured them."""
NOTE = (
    "Released: in how many runs of how many. Costs: mean ± standard deviation, without ± where they were always the same "
    "or there is one run. Then z, the gap of the released model to retrained ones in units of their spread: its mean ± "
    "standard deviation, and in how many runs it is not told apart from them; bold where in all. Told apart is what lies "
    "outside of where 95 of 100 further retrained models would, by Student's t and by how the models swing within five "
    "minutes. ASR: attack success; its highest value is from the release on. MIA: membership attack. Accuracy later: its "
    "mean over the last five minutes, against retrained models' over theirs. All of these: how many of the row's gaps "
    "are not told apart. The floor: each retrained model against the others of its seed; other moments: the same models "
    "within five minutes after their release, each against the others at that moment."
)
GIVEN_UP = " ≥: relearning was given up in some run, so its steps are the least they can be."
LARGE = 99.95
"""A gap from which on its decimals say nothing."""


def pooled(cases: Mapping[str, Case]) -> Case:
    """All cases as one, whose seeds are the seeds of each; for tables over several data sets. ValueError without a case."""
    if not cases:
        raise ValueError("no case to pool")
    rows = {row: found for case in cases.values() for row, found in case.rows.items()}
    seeds = {f"{name}/{seed}": found for name, case in cases.items() for seed, found in case.seeds.items()}
    return next(iter(cases.values())).model_copy(update={"x": None, "rows": rows, "seeds": seeds})


def mains(document: Document) -> Iterator[Table]:
    """The table of all cases together, unless they are the points of a sweep, and that of each."""
    cases = document.cases
    if len(cases) > 1 and document.sweep is None:
        yield compact("main", "All cases together", pooled(cases))
    yield from (compact(slug(name, "main"), name, case) for name, case in cases.items())


def compact(name: str, title: str, case: Case) -> Table:
    """The table of a case, or of several that were pooled."""
    further = [
        s for s in FURTHER if any(v is not None for row in case.rows for v in statistics.values(case, row, EXTRA, s.key))
    ]
    columns = ("released", *(s.label for s in COSTS), *(words for *_, words in GAPS), ALL, *(s.label for s in further))
    floor = Row(FLOOR, (_models(case), *_floor(case, further)))
    moments = [of_moments(case, phase, key) for phase, key, _ in GAPS]
    blank = Cell(MISSING)
    later = Row(MOMENTS, (blank, *(blank for _ in COSTS), *_gaps(moments), *(blank for _ in further)))
    note = NOTE + (GIVEN_UP if any(_bound(case, row, s) for row in case.rows for s in further) else "")
    return Table(
        name,
        title,
        note,
        columns,
        (*(_row(case, row, further) for row in case.rows), floor, *[later] * any(m.n for m in moments)),
    )


def _row(case: Case, row: str, further: Sequence[Shown]) -> Row:
    runs = statistics.run(case, row)
    costs = [_cost(statistics.of_row(case, row, COST, s.key), s) for s in COSTS]
    gaps = _gaps([statistics.of_row(case, row, phase, key) for phase, key, _ in GAPS], runs)
    more = (_cost(statistics.of_row(case, row, EXTRA, s.key), s, _bound(case, row, s)) for s in further)
    if case.rows[row].method == CONTINUE:
        costs = [Cell(MISSING), *costs[1:]]
    return Row(label(case, row), (Cell(_released(case, row, runs)), *costs, *gaps, *more))


def _released(case: Case, row: str, runs: int) -> str:
    """In how many runs of how many; ``continue`` erases nothing, whatever it goes on with."""
    return NOT_ERASED if case.rows[row].method == CONTINUE else f"{released(case, row)} of {runs}"


def _bound(case: Case, row: str, measure: Shown) -> str:
    """≥ before a mean in which some value is only the least that it can be."""
    return "≥ " if measure.key == RATIO and any(statistics.values(case, row, EXTRA, CENSORED)) else ""


def _floor(case: Case, further: Sequence[Shown]) -> list[Cell]:
    costs = [_cost(statistics.of_retraining(case, COST, s.key), s) for s in COSTS]
    gaps = _gaps([statistics.of_retraining(case, phase, key) for phase, key, _ in GAPS])
    return [*costs, *gaps, *(_cost(statistics.of_retraining(case, EXTRA, s.key), s) for s in further)]


def _models(case: Case) -> Cell:
    runs = [s.retrained.runs for s in case.seeds.values()]
    return Cell(f"{sum(runs)} of {sum(runs) + sum(s.retrained.diverged for s in case.seeds.values())}")


def _cost(found: Summary, cost: Shown, bound: str = "") -> Cell:
    if found.mean is None:
        return Cell(MISSING)
    return Cell(bound + cost.show(found.mean) + (f" ± {cost.show(found.sd)}" if found.sd else ""))


def _gaps(found: Sequence[Summary], runs: int = 0) -> list[Cell]:
    """One cell for each measure, and how many of all their gaps are no larger than 2."""
    within, of = sum(f.within for f in found), sum(f.of for f in found)
    return [*(_gap(f, runs) for f in found), Cell(f"{percent(within / of, 0)} ({within}/{of})" if of else MISSING)]


def _gap(found: Summary, runs: int = 0) -> Cell:
    if found.z_mean is None:
        return Cell(MISSING)
    digits = 0 if abs(found.z_mean) >= LARGE or (found.z_sd or 0.0) >= LARGE else 1
    sd = "" if found.z_sd is None else f" ± {found.z_sd:.{digits}f}"
    return Cell(f"{signed(found.z_mean, digits)}{sd} ({found.within}/{found.of})", strong=found.all_within(runs))
