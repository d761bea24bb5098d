"""Over the seeds of a case: means with their spread, how often a row is told apart from retraining, and paired tests against afuic.

Gaps are worked out here from the values of a document, and judged by the one test of ``evaluate.gaps``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from afuic.bench import late
from afuic.bench.document import Arm, Case, Document, Retrained, Seed
from afuic.bench.late import LATE
from afuic.bench.measures import CURVED, TESTED
from afuic.evaluate.gaps import AFTER, Judged, Yardstick, pooled, sampling, spread, window, yardstick
from afuic.evaluate.paired import Comparison, against, magnitudes

BASELINES = ("afuic", "afuic, trigger-blind")
COST, SPENT = "cost", "spent"
Gapped = tuple[float | None, Judged | None]
"""z, None where there is no unit, and what the test says, None where it can say nothing."""
NO_GAP: Gapped = (None, None)


@dataclass(frozen=True)
class Summary:
    """One measure of one row. ``n``: seeds (for retraining: models) with a value; ``sd``: over them (n − 1), None for one;
    ``z_mean``, ``z_sd``, ``z_worst``: of the gap to retraining; ``within`` of ``of`` are not told apart from it.
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
        """Whether it is told apart in none of so many seeds; one that cannot be judged, for want of a release for example, counts as if."""
        return self.within == seeds > 0


def summary(values: Sequence[float | None], gaps: Sequence[Gapped] = ()) -> Summary:
    """The summary of one value and one gap for each seed; None is left out."""
    known, z = [v for v in values if v is not None], [g for g, _ in gaps if g is not None]
    judged = [found for _, found in gaps if found is not None]
    return Summary(
        n=len(known),
        mean=fmean(known) if known else None,
        sd=stdev(known) if len(known) > 1 else None,
        z_mean=fmean(z) if z else None,
        z_sd=stdev(z) if len(z) > 1 else None,
        z_worst=max(z, key=abs) if z else None,
        within=sum(not found.apart for found in judged),
        of=len(judged),
    )


def of_row(case: Case, row: str, phase: str, key: str) -> Summary:
    """A row's measure at a phase, or its cost."""
    return summary(values(case, row, phase, key), gapped(case, row, phase, key))


def of_retraining(case: Case, phase: str, key: str) -> Summary:
    """The floor: all retrained models of all seeds, the gaps of each against the others of its seed."""
    seeds = case.seeds.values()
    if phase in {COST, SPENT}:
        return summary([getattr(s.retrained.costs, key, None) for s in seeds])
    return summary(
        [v for s in seeds for v in of_models(s.retrained, phase, key)],
        [gap for s in seeds for gap in left_out(s, phase, key)],
    )


def of_models(retrained: Retrained, phase: str, key: str) -> tuple[float | None, ...]:
    """One value for each retrained model of a seed."""
    return late.of_models(retrained, key) if phase == LATE else retrained.phases.get(phase, {}).get(key, ())


def left_out(seed: Seed, phase: str, key: str) -> list[Gapped]:
    """Each of a seed's retrained models against the others."""
    every = of_models(seed.retrained, phase, key)
    return [gap_of(value, reference(seed, phase, key, without=i), key) for i, value in enumerate(every)]


def values(case: Case, row: str, phase: str, key: str) -> list[float | None]:
    """One value for each seed, in their order; None where there is none."""
    return [None if (arm := s.arms.get(row)) is None else value(arm, phase, key) for s in case.seeds.values()]


def gaps(case: Case, row: str, phase: str, key: str) -> list[float | None]:
    """One z for each seed, in their order."""
    return [z for z, _ in gapped(case, row, phase, key)]


def gapped(case: Case, row: str, phase: str, key: str) -> list[Gapped]:
    """One gap for each seed, in their order."""
    return [of_arm(seed, row, phase, key) for seed in case.seeds.values()]


def of_arm(seed: Seed, row: str, phase: str, key: str) -> Gapped:
    """The gap of a row in one seed."""
    arm = seed.arms.get(row)
    found = None if arm is None else value(arm, phase, key)
    return NO_GAP if found is None else gap_of(found, reference(seed, phase, key), key)


def gap_of(value: float | None, against: Yardstick | None, key: str) -> Gapped:
    """A value's gap to retrained models."""
    return NO_GAP if against is None else (against.z(value), against.judge(key, value))


def reference(seed: Seed, phase: str, key: str, without: int | None = None) -> Yardstick | None:
    """What a seed's retrained models, or all but one, say of a measure; None where it was not measured of them."""
    every = [value for i, value in enumerate(of_models(seed.retrained, phase, key)) if i != without]
    moments = pooled([run for i, run in enumerate(nearby(seed.retrained, phase, key)) if i != without])
    return yardstick(every, moments=moments, floor=floor_of(seed, phase, key, every, curve=phase not in AFTER))


def nearby(retrained: Retrained, phase: str, key: str) -> list[list[float]]:
    """Of each retrained model what its curve shows within five minutes of a phase, the phase's own moment first; empty where curves do not
    hold the measure or it was not noted when each was released.
    """
    if phase not in AFTER or key not in CURVED or len(retrained.curves) != len(retrained.released_t):
        return []
    pairs = zip(retrained.curves, retrained.released_t, strict=True)
    return [window(late.points(curve, key, since), phase) for curve, since in pairs]


def floor_of(seed: Seed, phase: str, key: str, values: Sequence[float | None], *, curve: bool) -> float:
    """The sampling error of a measure with these values; 0 where the numbers of images were not noted."""
    mean = spread([v for v in values if v is not None])["mean"]
    return 0.0 if mean is None else sampling(key, mean, seed.sizes, curve=curve, own=seed.requests[0].client)


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
