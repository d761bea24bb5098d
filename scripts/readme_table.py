"""Rewrite the table of results in README.md from benchmarks/results/demo.json, so that no number there is typed by hand.

``python scripts/readme_table.py`` writes, ``--check`` only says whether the README is up to date (exit code 1 if not).
"""

from __future__ import annotations

import sys
from pathlib import Path

from afuic.evaluate.results import Results, load
from afuic.report.measures import readable
from afuic.report.tables import Cell, outcome

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "benchmarks" / "results" / "demo.json"
BEGIN, END = "<!-- results: written by scripts/readme_table.py -->\n", "<!-- end of results -->"
NOTHING = "Nothing has been measured yet: run `make demo`.\n"


def block(measured: Path) -> str:
    """What stands between the markers."""
    return markdown(load(measured)) if measured.exists() else NOTHING


def markdown(results: Results) -> str:
    """The outcome of one run as a table: measures down, methods across."""
    table = outcome(readable(results))
    lines = [["", *table.columns], ["---"] * (1 + len(table.columns))]
    lines += [[f"{row.label} ({row.hint})" if row.hint else row.label, *map(_cell, row.cells)] for row in table.rows]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    commit = f", commit {results.commit[:12]}" if results.commit else ""
    return f"`{MEASURED.relative_to(ROOT)}`: {results.name}, seed {results.seed}{commit}; times are virtual.\n\n{rows}\n"


def _cell(cell: Cell) -> str:
    return f"{cell.text} ({cell.words})" if cell.words else cell.text


def rewritten(readme: str, inner: str) -> str:
    """The README with ``inner`` between its markers."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit("README.md: the markers of the results are missing; put them back")
    return before + begin + inner + end + after


def main(check: bool) -> None:
    """Write the README, or compare it."""
    readme = ROOT / "README.md"
    now = readme.read_text(encoding="utf-8")
    new = rewritten(now, block(MEASURED))
    if check:
        sys.exit(0 if new == now else "README.md: its results are not those of benchmarks/results; run scripts/readme_table.py")
    readme.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
