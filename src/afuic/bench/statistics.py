"""Over the seeds of a case: means with their spread, how often a row lies within retraining's, and paired tests against afuic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from afuic.bench import late
from afuic.bench.document import Arm, Case, Document, Retrained, Seed
from afuic.bench.late import LATE
from afuic.bench.measures import TESTED
from afuic.evaluate.paired import Comparison, against, magnitudes
from afuic.report.words import NOTABLE

BASELINES = ("afuic", "afuic, trigger-blind")
COST, SPENT = "cost", "spent"


@dataclass(frozen=True)
class Summary:
    """One measure of one row. ``n``: seeds (for retraining: models) with a value; ``sd``: over them (n − 1), None for one;
    ``z_mean``, ``z_sd``, ``z_worst``: of the gap to retraining; ``within`` of ``of`` gaps are no larger than 2.
    """

    n: int
    mean: float | None
    sd: float | None
    z_mean: float | None = None
    z_sd: float | None = None
    z_worst: float | None = None
    within: int = 0
    of: int = 0

    def all_within(self, seeds: int) -> bool:
        """Whether |z| ≤ 2 in every one of so many seeds; one without a z, for want of a release for example, is not within."""
        return self.within == seeds > 0


def summary(values: Sequence[float | None], gaps: Sequence[float | None] = ()) -> Summary:
    """The summary of one value and one gap for each seed; None is left out."""
    known, z = [v for v in values if v is not None], [g for g in gaps if g is not None]
    return Summary(
        n=len(known),
        mean=fmean(known) if known else None,
        sd=stdev(known) if len(known) > 1 else None,
        z_mean=fmean(z) if z else None,
        z_sd=stdev(z) if len(z) > 1 else None,
        z_worst=max(z, key=abs) if z else None,
        within=sum(abs(g) <= NOTABLE for g in z),
        of=len(z),
    )


def of_row(case: Case, row: str, phase: str, key: str) -> Summary:
    """A row's measure at a phase, or its cost."""
    return summary(values(case, row, phase, key), gaps(case, row, phase, key))


def of_retraining(case: Case, phase: str, key: str) -> Summary:
    """The floor: all retrained models of all seeds, the gaps of each against the others of its seed."""
    seeds = case.seeds.values()
    if phase in {COST, SPENT}:
        return summary([getattr(s.retrained.costs, key, None) for s in seeds])
    return summary(
        [v for s in seeds for v in of_models(s.retrained, phase, key)],
        [v for s in seeds for v in left_out(s.retrained, phase, key)],
    )


def of_models(retrained: Retrained, phase: str, key: str) -> tuple[float | None, ...]:
    """One value for each retrained model of a seed."""
    return late.of_models(retrained, key) if phase == LATE else retrained.phases.get(phase, {}).get(key, ())


def left_out(retrained: Retrained, phase: str, key: str) -> tuple[float | None, ...]:
    """z of each of them against the others."""
    return late.left_out(retrained, key) if phase == LATE else retrained.left_out.get(phase, {}).get(key, ())


def values(case: Case, row: str, phase: str, key: str) -> list[float | None]:
    """One value for each seed, in their order; None where there is none."""
    return [None if (arm := s.arms.get(row)) is None else value(arm, phase, key) for s in case.seeds.values()]


def gaps(case: Case, row: str, phase: str, key: str) -> list[float | None]:
    """One z for each seed, in their order."""
    return [_gap(s, row, phase, key) for s in case.seeds.values()]


def _gap(seed: Seed, row: str, phase: str, key: str) -> float | None:
    arm = seed.arms.get(row)
    if arm is None or not granted(arm):
        return None
    return late.gap(late.of_arm(arm, key), seed.retrained, key) if phase == LATE else arm.z.get(phase, {}).get(key)


def value(arm: Arm, phase: str, key: str) -> float | None:
    """A measure, or a cost where ``phase`` is "cost" or "spent"; None for an arm that did not grant every request: its model still holds
    what was to be erased.
    """
    if not granted(arm):
        return None
    if phase in {COST, SPENT}:
        found = getattr(arm.costs if phase == COST else arm.spent, key)
        return None if found is None else float(found)
    return late.of_arm(arm, key) if phase == LATE else arm.phases.get(phase, {}).get(key)


def granted(arm: Arm) -> bool:
    """Whether it released a model without any of what was to be erased, whatever became of the model later."""
    return arm.released_t is not None and arm.outcome != "failed"


def run(case: Case, row: str) -> int:
    """In how many seeds the row was run, whatever came of it."""
    return sum(row in s.arms for s in case.seeds.values())


def baseline(case: Case) -> str | None:
    """The row that the others are compared with; None where afuic is not among them."""
    return next((name for name in BASELINES if name in case.rows), None)


def tests(case: Case) -> dict[str, dict[str, Comparison]]:
    """Every row against the baseline: "PHASE KEY" → row → comparison; Holm's correction over all of a case together."""
    base = baseline(case)
    if base is None:
        return {}
    every = {f"{phase} {key}": {row: _compared(case, row, phase, key) for row in case.rows} for phase, key in TESTED}
    known = {name: rows for name, rows in every.items() if any(v is not None for v in rows[base])}
    return against(known, base) if known else {}


def _compared(case: Case, row: str, phase: str, key: str) -> list[float | None]:
    return values(case, row, phase, key) if phase == COST else magnitudes(gaps(case, row, phase, key))


def failures(document: Document) -> list[str]:
    """A sentence for each row that released nothing, diverged, or went otherwise than meant in some seed."""
    return [
        f"{name}, seed {seed}: {row} {arm.outcome}: {'; '.join(said)}"
        for name, case in document.cases.items()
        for seed, found in case.seeds.items()
        for row, arm in found.arms.items()
        if (said := ([arm.reason] if arm.reason else []) + list(arm.notes))
    ]
