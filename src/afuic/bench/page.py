"""Writes a suite's report: tables, figures, and one page that holds all of them and needs no network and no script."""

from __future__ import annotations

import base64
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from afuic.bench import formats
from afuic.bench.compact import mains
from afuic.bench.document import Document
from afuic.bench.figures import Figure, figures
from afuic.bench.glance import glance
from afuic.bench.statistics import failures
from afuic.bench.tables import Table, tables
from afuic.store.files import write_bytes
from afuic.text import on_page


def write(document: Document, out: Path) -> Path:
    """Make ``tables.md``, ``tables.tex``, ``summary.csv``, ``seeds.csv``, ``figures/*.svg`` and ``.pdf``, and ``report.html`` in ``out``.

    Gives the page's path. The same document gives the same bytes. StoreError when a file cannot be written.
    """
    grid, drawn = (*mains(document), *tables(document)), (*glance(document), *figures(document))
    texts = {
        "tables.md": f"# {document.suite}\n\n{document.question}\n\n{origin(document)}\n\n{formats.markdown(grid)}",
        "tables.tex": formats.latex(grid),
        "summary.csv": formats.summaries_csv(document),
        "seeds.csv": formats.seeds_csv(document),
    }
    for name, text in texts.items():
        write_bytes(out / name, text.encode())
    for figure in drawn:
        for kind, content in figure.files.items():
            write_bytes(out / "figures" / f"{figure.name}.{kind}", content)
    page = out / "report.html"
    write_bytes(page, render(document, grid, drawn).encode())
    return page


def render(document: Document, grid: tuple[Table, ...], drawn: tuple[Figure, ...]) -> str:
    """The page as HTML."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=on_page, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    return template.render(
        document=document, origin=origin(document), tables=grid, figures=drawn, source=_source, failures=failures(document)
    )


def origin(document: Document) -> str:
    """Where the numbers come from, in a sentence or two."""
    seeds = sorted({int(seed) for case in document.cases.values() for seed in case.seeds})
    machine = ", ".join(str(value) for value in document.machine.values())
    text = (
        f"Seeds {', '.join(map(str, seeds)) or 'none'}; {document.retrained} retrained references for each; run at commit "
        f"{', '.join(commits(document)) or 'unknown'}; {machine} cores; "
        f"{', '.join(f'{name} {value}' for name, value in document.versions.items())}."
    )
    text += f" Changed on the command line: {', '.join(document.changes)}." if document.changes else ""
    text += "".join(f" Skipped: {name} ({why})." for name, why in document.skipped.items())
    return text + (f" Unfinished: {len(document.missing)} arms are missing." if document.missing else "")


def commits(document: Document) -> list[str]:
    """The commits that its arms were run at, pasts and retrained models among them, shortened."""
    seeds = [seed for case in document.cases.values() for seed in case.seeds.values()]
    said = {arm.commit or "unknown" for seed in seeds for arm in seed.arms.values()}
    said |= {c for seed in seeds for c in (seed.commit, *seed.retrained.commits) if c is not None}
    every = {c for several in said for c in several.split(", ")}
    return sorted(c[:12] + ("+changes" if c.endswith("+changes") else "") for c in every)


def _source(figure: Figure) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(figure.files["svg"]).decode("ascii")
