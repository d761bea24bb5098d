"""Write the table of docs/limits.md: how far models that afuic released are from retrained ones, in points, beside the spread of those.

Read is benchmarks/results/paper.json. ``python benchmarks/apart.py`` writes, ``--check`` only says whether the table is up to date.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from common import RESULTS, ROOT, replaced  # type: ignore[import-not-found]

from afuic.bench import apart
from afuic.bench.document import Case, Document, load

PAGE = ROOT / "docs" / "limits.md"
SOURCE = RESULTS / "paper.json"
OURS = "afuic"
LEFT_OUT = frozenset({"worst_hospital"})
"""Measures that would make the table wider than a page; the suite's own page has them."""


def table(document: Document) -> str:
    """Two lines a data set: ours, and each retrained model; least to most over the seeds."""
    measured = [c for c in apart.COLUMNS if all(c in apart.measured(case) for case in document.cases.values())]
    columns = [c for c in measured if c.key not in LEFT_OUT]
    heads = ["", "", *(column.heading for column in columns)]
    lines = [
        heads,
        ["---"] * len(heads),
        *(line for name, case in document.cases.items() for line in _case(name, case, columns)),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _case(name: str, case: Case, columns: list[apart.Column]) -> Iterator[list[str]]:
    yield [f"{name}, {len(case.seeds)} seeds", "ours", *(apart.span(apart.of_row(case, OURS, c), c) for c in columns)]
    yield ["", "retrained", *(apart.span(apart.of_retraining(case, c), c) for c in columns)]


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
