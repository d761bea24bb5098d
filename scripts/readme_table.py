"""Rewrite the table of results in README.md from benchmarks/results, so that no number there is typed by hand.

The README shows the suite ``paper`` once there is a paper.json, and docs/benchmarks.md the demo; until then the README shows the demo.
``python scripts/readme_table.py`` writes, ``--check`` only says whether both are up to date (exit code 1 if not).
"""

from __future__ import annotations

import sys
from pathlib import Path

from afuic.bench import document
from afuic.bench.compact import compact, pooled
from afuic.bench.document import Document
from afuic.bench.formats import grid
from afuic.bench.glance import glance
from afuic.bench.page import origin
from afuic.evaluate.results import Results, load
from afuic.report.measures import readable
from afuic.report.tables import Cell, outcome
from afuic.report.words import listed

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAPER, DEMO = RESULTS / "paper.json", RESULTS / "demo.json"
PAGES = {"README.md": "results", "docs/benchmarks.md": "demo"}
"""Each page and what its block is called."""
NOTHING = "Nothing has been measured yet: run `make demo`.\n"
ELSEWHERE = "The demo's table is in the [README](../README.md#results).\n"


def blocks(paper: Path, demo: Path) -> dict[str, str]:
    """What stands between the markers of each page."""
    shown = of_demo(load(demo)) if demo.exists() else NOTHING
    if not paper.exists():
        return {"README.md": shown, "docs/benchmarks.md": ELSEWHERE}
    return {"README.md": of_suite(document.load(paper)), "docs/benchmarks.md": shown}


def of_suite(found: Document) -> str:
    """One row a method over all data sets and seeds of the suite together."""
    table = compact(found.suite, "", pooled(found.cases))
    shown = "\n".join(f"![{figure.alt}](docs/figures/suites/{found.suite}-{figure.name}.svg)" for figure in glance(found))
    return (
        f"`{PAPER.relative_to(ROOT)}`: suite `{found.suite}` on {listed([*found.cases])}, all in one table; times are virtual. "
        f"{origin(found)}\n\n{shown}\n\n{grid(table)}\n{table.note}\n\n"
        f"Every data set by itself, all measures, paired tests and curves: [docs/suites/{found.suite}.md](docs/suites/{found.suite}.md).\n"
    )


def of_demo(results: Results) -> str:
    """The outcome of one run as a table: measures down, methods across."""
    table = outcome(readable(results))
    lines = [["", *table.columns], ["---"] * (1 + len(table.columns))]
    lines += [[f"{row.label} ({row.hint})" if row.hint else row.label, *map(_cell, row.cells)] for row in table.rows]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    commit = f", commit {results.commit[:12]}" if results.commit else ""
    return f"`{DEMO.relative_to(ROOT)}`: {results.name}, seed {results.seed}{commit}; times are virtual.\n\n{rows}\n"


def _cell(cell: Cell) -> str:
    return f"{cell.text} ({cell.words})" if cell.words else cell.text


def rewritten(text: str, page: str, inner: str) -> str:
    """The page's text with ``inner`` between its markers."""
    begin, end = f"<!-- {PAGES[page]}: written by scripts/readme_table.py -->\n", f"<!-- end of {PAGES[page]} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"{page}: the markers of the {PAGES[page]} are missing; put them back")
    return before + begin + inner + end + after


def main(check: bool) -> None:
    """Write the pages, or compare them."""
    for page, inner in blocks(PAPER, DEMO).items():
        now = (ROOT / page).read_text(encoding="utf-8")
        new = rewritten(now, page, inner)
        if check and new != now:
            sys.exit(f"{page}: its {PAGES[page]} are not those of benchmarks/results; run scripts/readme_table.py")
        if not check:
            (ROOT / page).write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
