"""How far rows are from retraining in points, beside how far retrained models are from each other.

z divides by a spread that few references measure badly. Points do not, and say whether a difference matters to a patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from afuic.bench.document import Case
from afuic.bench.late import LATE
from afuic.bench.statistics import of_models, values
from afuic.report.words import MISSING, number, signed

NOTE = (
    "Least to most over the seeds: the value minus the mean of the seed's retrained models, in points (hundredths, of AUC too); of "
    "retrained models, each minus the mean of the others. The mark's effect (excess attack success) and U-LiRA's AUC are as they are, "
    "with nothing taken off."
)


@dataclass(frozen=True)
class Column:
    """``phase`` and ``key`` of a measure and its heading; ``bare``: as it is, no difference to retraining; ``whole``: not in points."""

    phase: str
    key: str
    heading: str
    bare: bool = False
    whole: bool = False

    @property
    def scale(self) -> float:
        """From a measure to what is shown."""
        return 1.0 if self.whole else 100.0

    def show(self, value: float) -> str:
        """One value as the table has it."""
        return (number if self.bare else signed)(value, 2 if self.whole else 1)


COLUMNS = (
    Column("released", "accuracy", "accuracy"),
    Column("released", "auroc", "AUROC"),
    Column("released", "forget_accuracy", "accuracy on the erased images"),
    Column("released", "forget_loss", "loss on them, nats", whole=True),
    Column("released", "mia_auc", "membership attack's AUC"),
    Column("released", "worst_hospital", "accuracy at the worst hospital"),
    Column("released", "own_hospital", "accuracy at its own hospital"),
    Column("final", "accuracy", "accuracy at the end"),
    Column(LATE, "accuracy", "accuracy over the last five minutes"),
    Column("after", "asr_excess_max", "the mark's highest effect after", bare=True),
    Column(LATE, "asr_excess", "the mark's effect over the last five minutes", bare=True),
    Column("extra", "ulira_auc", "U-LiRA AUC", bare=True, whole=True),
    Column("extra", "ulira_auc_control", "… by test images", bare=True, whole=True),
)


def measured(case: Case) -> tuple[Column, ...]:
    """The columns of which any row has a value."""
    return tuple(column for column in COLUMNS if any(of_row(case, row, column) for row in case.rows))


def of_row(case: Case, row: str, column: Column) -> list[float]:
    """One number for each seed in which there is one."""
    found = zip(values(case, row, column.phase, column.key), case.seeds.values(), strict=True)
    every = [(value, _known(of_models(seed.retrained, column.phase, column.key))) for value, seed in found if value is not None]
    return [_difference(value, models, column) for value, models in every if models or column.bare]


def of_retraining(case: Case, column: Column) -> list[float]:
    """One for each retrained model of each seed, against the others of its seed, as in the tables' floor."""
    seeds = [_known(of_models(seed.retrained, column.phase, column.key)) for seed in case.seeds.values()]
    pairs = [(value, models[:i] + models[i + 1 :]) for models in seeds for i, value in enumerate(models)]
    return [_difference(value, others, column) for value, others in pairs if others or column.bare]


def span(found: Sequence[float], column: Column) -> str:
    """Least to most; one where they look the same."""
    ends = [column.show(v) for v in (min(found), max(found))] if found else [MISSING]
    return " to ".join(dict.fromkeys(ends))


def _difference(value: float, models: Sequence[float], column: Column) -> float:
    return column.scale * (value - (0.0 if column.bare else fmean(models)))


def _known(models: Sequence[float | None]) -> list[float]:
    return [v for v in models if v is not None]
