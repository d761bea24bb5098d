"""Write docs/suites: one page for each suite whose results are committed, with its figures, and their list in docs/benchmarks.md.

Read are benchmarks/results/paper.json and benchmarks/results/suites/NAME.json, each the bench.json of a finished suite of that name.
``python benchmarks/suites.py`` writes, ``--check`` only says what is not up to date (exit code 1 if anything is not).
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from common import RESULTS, ROOT, replaced  # type: ignore[import-not-found]

from afuic.bench import formats, statistics
from afuic.bench.compact import compact, pooled
from afuic.bench.document import Case, Document, load
from afuic.bench.figures import Figure, clock, gaps, sweep
from afuic.bench.glance import glance
from afuic.bench.page import commits, origin
from afuic.bench.tables import slug, tables

DOCS = ROOT / "docs"
INDEX = DOCS / "benchmarks.md"
NOTHING = "No suite has been committed yet.\n"
PAPER = RESULTS / "paper.json"
MANY = 20
"""Rows from which on curves are too many to be told from each other."""
FAILED = 12
"""So many sentences about rows that released nothing are shown at once, more are folded away."""


def documents(results: Path = RESULTS) -> dict[str, Document]:
    """Every committed suite by name, ``paper`` first; exits where a file is named after another suite or is empty."""
    paths = [p for p in (results / "paper.json", *sorted((results / "suites").glob("*.json"))) if p.exists()]
    found = {path.stem: load(path) for path in paths}
    for name, document in found.items():
        if document.suite != name:
            sys.exit(f"{name}.json: holds the suite {document.suite}; name the file after it")
        if not document.cases:
            sys.exit(f"{name}.json: holds no case; finish the suite first")
    return found


def pages(found: Mapping[str, Document]) -> dict[str, str]:
    """File below docs → text."""
    return {f"suites/{name}.md": page(name, document) for name, document in found.items()}


def page(name: str, document: Document) -> str:
    """Main table case by case, then its figure, then all tables folded away."""
    source = f"benchmarks/results/{'' if name == 'paper' else 'suites/'}{name}.json"
    head = [
        f"# The suite `{name}`",
        f"<!-- written by benchmarks/suites.py from {source}, {document.digest} -->",
        document.question,
        f"From `{source}`. {origin(document)} Times are virtual. [What a suite runs and how to read its tables](../bench.md); "
        "[what each measure is](../measures.md).",
    ]
    shown = [f"![{figure.alt}](../figures/{path})" for path, figure in _named(name, _whole(document)).items()]
    cases = [part for case in document.cases for part in _case(name, document, case)]
    note = compact(name, "", pooled(document.cases)).note
    return "\n\n".join([*head, *_failures(document), note, *shown, *cases]) + "\n"


def _failures(document: Document) -> list[str]:
    lines = [f"- {line}" for line in statistics.failures(document)]
    if not lines:
        return []
    what, listed = "What released nothing, diverged, or went otherwise than meant", "\n".join(lines)
    if len(lines) <= FAILED:
        return [f"{what}:", listed]
    return [f"<details><summary>{what} ({len(lines)} arms)</summary>", listed, "</details>"]


def _case(name: str, document: Document, case: str) -> Iterator[str]:
    found = document.cases[case]
    yield f"## {case}"
    yield formats.grid(compact(slug(case), case, found)).rstrip("\n")
    for path, figure in _named(name, _of_case(document, case)).items():
        yield f"![{figure.alt}](../figures/{path})"
    yield f"<details><summary>{case}: all measures, costs and tests</summary>"
    for table in tables(document.model_copy(update={"cases": {case: found}})):
        yield f"### {table.title}"
        yield table.note
        yield formats.grid(table).rstrip("\n")
    yield "</details>"


def figures(name: str, document: Document) -> dict[str, Figure]:
    """File below docs/figures → figure: the sweep of a suite that has one, else all cases at a glance and a figure for each."""
    drawn = [_whole(document), *(_of_case(document, case) for case in document.cases)]
    return {path: figure for each in drawn for path, figure in _named(name, each).items()}


def _whole(document: Document) -> Iterator[Figure]:
    """All cases in one figure; none where they have been drawn for ``paper``."""
    yield from sweep(document)
    if not all(_repeated(document, case) for case in document.cases):
        yield from glance(document)


def _of_case(document: Document, case: str) -> Iterator[Figure]:
    """A case against the clock, or its gaps at the end where it has many rows; none in a sweep, and none where the models are those
    that have been drawn for ``paper``.
    """
    found = document.cases[case]
    if document.sweep is None and not _repeated(document, case):
        yield from (gaps if len(found.rows) > MANY else clock)(case, found)


def _repeated(document: Document, case: str) -> bool:
    paper = {} if document.suite == PAPER.stem else _drawn()
    return case in paper and _models(document.cases[case]).items() <= _models(paper[case]).items()


@functools.cache
def _drawn() -> Mapping[str, Case]:
    return load(PAPER).cases if PAPER.exists() else {}


def _models(case: Case) -> dict[tuple[str, str], str | None]:
    return {(seed, row): arm.digest for seed, found in case.seeds.items() for row, arm in found.arms.items()}


def _named(name: str, each: Iterator[Figure]) -> dict[str, Figure]:
    return {f"suites/{name}-{figure.name}.svg": figure for figure in each}


def index(found: Mapping[str, Document]) -> str:
    """The list of suites as a table."""
    if not found:
        return NOTHING
    lines = [["suite", "question", "cases", "rows", "seeds", "references for each", "commit"], ["---"] * 7]
    for name, document in found.items():
        cases = document.cases.values()
        counts = (len(cases), max(len(c.rows) for c in cases), max(len(c.seeds) for c in cases), document.retrained)
        lines.append([f"[{name}](suites/{name}.md)", document.question, *map(str, counts), ", ".join(commits(document))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def written(found: Mapping[str, Document], docs: Path = DOCS) -> Iterator[tuple[Path, bytes | None]]:
    """Each page that is not what it should be, with what it should be; None: nothing, as for figures that no page shows."""
    listed = docs / INDEX.name
    now = listed.read_text(encoding="utf-8")
    texts = {docs / path: text.encode() for path, text in pages(found).items()}
    texts[listed] = replaced(now, "docs/benchmarks.md", "suites", "suites.py", index(found)).encode()
    for path, content in texts.items():
        if not path.exists() or path.read_bytes() != content:
            yield path, content
    shown = {docs / "figures" / path for name, document in found.items() for path in figures(name, document)}
    there = [*(docs / "suites").glob("*.md"), *(docs / "figures" / "suites").glob("*.svg")]
    yield from ((path, None) for path in sorted(there) if path not in texts and path not in shown)


def stale(found: Mapping[str, Document], docs: Path = DOCS) -> Iterator[tuple[Path, bytes | None]]:
    """The same for pages and figures: all figures are drawn."""
    yield from written(found, docs)
    for name, document in found.items():
        for path, figure in figures(name, document).items():
            place, (svg,) = docs / "figures" / path, figure.draw(("svg",))
            if not place.exists() or place.read_bytes() != svg:
                yield place, svg


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if something is not up to date")
    check = parser.parse_args().check
    changed = list(stale(documents()))
    for path, content in changed:
        print(f"{'out of date' if check else 'removed' if content is None else 'wrote'}: {path.relative_to(ROOT)}")
        if not check:
            put(path, content)
    sys.exit(bool(check and changed))


def put(path: Path, content: bytes | None) -> None:
    """Write a file, or remove it where there is no content."""
    if content is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    main()
