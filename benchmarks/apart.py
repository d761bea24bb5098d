"""Write the table of docs/limits.md: how far models that afuic released are from retrained ones, in points, beside the spread of those.

Read is benchmarks/results/paper.json. ``python benchmarks/apart.py`` writes, ``--check`` only says whether the table is up to date.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from statistics import fmean

from common import RESULTS, ROOT, replaced  # type: ignore[import-not-found]

from afuic.bench.document import Case, Document, load
from afuic.bench.statistics import of_models, value

PAGE = ROOT / "docs" / "limits.md"
SOURCE = RESULTS / "paper.json"
OURS = "afuic"
COLUMNS = (
    ("released", "accuracy", "accuracy"),
    ("released", "auroc", "AUROC"),
    ("released", "forget_accuracy", "accuracy on the erased images"),
    ("released", "mia_auc", "membership attack's AUC"),
    ("final", "accuracy", "accuracy at the end"),
    ("late", "accuracy", "accuracy over the last five minutes"),
    ("after", "asr_excess_max", "the mark's highest excess effect after"),
)
"""Phase, measure, heading; all but the last as differences to retraining's mean."""
HIGHEST = "asr_excess_max"


def table(document: Document) -> str:
    """Two lines a data set: ours, and each retrained model; least to most over the seeds."""
    heads = ["", "", *(head for *_, head in COLUMNS)]
    lines = [heads, ["---"] * len(heads), *(line for name, case in document.cases.items() for line in _case(name, case))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _case(name: str, case: Case) -> Iterator[list[str]]:
    yield [f"{name}, {len(case.seeds)} seeds", "ours", *(_span(ours(case, *column[:2]), column[1]) for column in COLUMNS)]
    yield ["", "retrained", *(_span(retrained(case, *column[:2]), column[1]) for column in COLUMNS)]


def ours(case: Case, phase: str, key: str) -> list[float]:
    """Of every seed, in points."""
    found = ((s, value(s.arms[OURS], phase, key)) for s in case.seeds.values() if OURS in s.arms)
    return [100 * (v - _level(of_models(s.retrained, phase, key), key)) for s, v in found if v is not None]


def retrained(case: Case, phase: str, key: str) -> list[float]:
    """The same of every retrained model of every seed."""
    each = [of_models(s.retrained, phase, key) for s in case.seeds.values()]
    return [100 * (v - _level(models, key)) for models in each for v in models if v is not None]


def _level(models: Sequence[float | None], key: str) -> float:
    return 0.0 if key == HIGHEST else fmean(v for v in models if v is not None)


def _span(points: Sequence[float], key: str) -> str:
    show = "{:.1f}" if key == HIGHEST else "{:+.1f}"
    return " to ".join(show.format(round(v, 1) + 0.0).replace("-", "−") for v in (min(points), max(points)))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the table is not up to date")
    check = parser.parse_args().check
    now = PAGE.read_text(encoding="utf-8")
    new = written(now)
    if check and new != now:
        sys.exit(f"{PAGE.name}: its table is not that of {SOURCE.name}; run benchmarks/apart.py")
    if not check:
        PAGE.write_text(new, encoding="utf-8")


def written(page: str) -> str:
    """The page as it should be."""
    return str(replaced(page, PAGE.name, "apart", "apart.py", table(load(SOURCE))))


if __name__ == "__main__":
    main()
