"""The commands about the comparison of methods: list, run, report, join, diff."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box

from afuic.cli.common import SETTINGS, Jobs, Overrides, PlainTable, errors, output, say, tell_gpu
from afuic.errors import ConfigError, RunInterrupted

if TYPE_CHECKING:
    from afuic.bench.document import Document
    from afuic.bench.planning import Selection
    from afuic.bench.remaining import Remaining
    from afuic.engines.arm import Progress

DIFFERENT = 1
app = typer.Typer(help="Compare methods: suites of federations, requests and seeds.", **SETTINGS)
Place = Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A suite's folder, or its bench.json.")]


def complete_suite(incomplete: str) -> list[str]:
    """Suites that begin so."""
    from afuic.bench.suites import SUITES

    return [name for name in SUITES if name.startswith(incomplete)]


def numbers(text: str) -> tuple[int, ...]:
    """Seeds as they are written: 5 (the first five), 1-4, 0,3."""
    from afuic.evaluate.paired import MOST_EXACT

    parts = [re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part.strip()) for part in text.split(",")]
    if not all(parts):
        raise typer.BadParameter(f"{text!r} is neither a number of seeds nor seeds like 1-4 or 0,3", param_hint="--seeds")
    spans = [(int(found[1]), int(found[2] or found[1])) for found in parts if found]
    if len(spans) == 1 and spans[0][0] == spans[0][1] and "-" not in text:
        spans = [(0, spans[0][0] - 1)]
    chosen = tuple(sorted({seed for first, last in spans for seed in range(first, last + 1)}))
    if not 1 <= len(chosen) <= MOST_EXACT:
        raise typer.BadParameter(f"{text!r} are {len(chosen)} seeds; 1 to {MOST_EXACT} can be run", param_hint="--seeds")
    return chosen


@app.command("list", epilog="Example: afuic bench list")
def list_() -> None:
    """List the suites: what each asks, its cases, rows of its tables, seeds, retrained references a seed, and what cannot run here."""
    from afuic.bench.planning import skipped
    from afuic.bench.suites import SUITES
    from afuic.bench.variants import rows

    table = PlainTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("suite", "what it asks"):
        table.add_column(name, no_wrap=name == "suite")
    for name in ("cases", "rows", "seeds", "references"):
        table.add_column(name, justify="right", no_wrap=True)
    reasons: dict[str, list[str]] = {}
    for suite in SUITES.values():
        most = max(len(rows(suite, case)) for case in suite.cases)
        table.add_row(suite.name, suite.question, *(str(n) for n in (len(suite.cases), most, suite.seeds, suite.retrained)))
        for case in suite.cases:
            if (why := skipped(case)) is not None:
                reasons.setdefault(why, []).append(f"{suite.name}: {case.name}")
    console = output()
    console.print(table)
    for why, names in reasons.items():
        console.print()
        console.print(f"Cannot run here: {'; '.join(names)} ({why}).")


@app.command(epilog="Example: afuic bench run smoke --seeds 1 --methods afuic,continue --out runs/try")
def run(
    suite: Annotated[
        str, typer.Argument(metavar="SUITE", help="A suite; `afuic bench list` tells them.", autocompletion=complete_suite)
    ],
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N|A-B",
            help="So many seeds, counted from 0, or these: 1-4 or 0,3. At most 20.",
            show_default="the suite's",
        ),
    ] = None,
    methods: Annotated[
        str | None, typer.Option(metavar="A,B", help="Only rows of these methods.", show_default="all of the suite's")
    ] = None,
    cases: Annotated[
        list[str] | None,
        typer.Option("--case", metavar="NAME", help="Only this case; may be given more than once.", show_default="all"),
    ] = None,
    set_: Overrides = None,
    jobs: Jobs = None,
    reuse: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Folder of another suite: its finished arms with the same settings are copied. May be given more than once.",
            show_default="none",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for arms and results.", show_default="runs/bench-SUITE")] = None,
) -> None:
    """Run a suite, or go on with it: what is finished in the folder is kept. Writes bench.json; report makes tables of it."""
    from afuic.bench import planning, suites
    from afuic.bench.running import run as running
    from afuic.bench.variants import known
    from afuic.cli.display import benching
    from afuic.engines import pool

    chosen = planning.select(
        suites.named(suite),
        seeds=None if seeds is None else numbers(seeds),
        cases=tuple(cases) if cases else None,
        methods=None if methods is None else known(tuple(name.strip() for name in methods.split(","))),
        changes=tuple(set_ or ()),
    )
    folder = out or Path("runs") / f"bench-{suite}"
    _tell_skipped(chosen)
    _ensure_data(chosen)
    tell_gpu()
    done: set[str] = set()
    try:
        with benching(errors()) as show:

            def progress(update: Progress, left: Remaining) -> None:
                done.update({update.arm} if update.state == "done" else ())
                show(update, left)

            document = running(chosen, folder, jobs=jobs or pool.cores(), progress=progress, reuse=reuse or ())
    except KeyboardInterrupt:
        raise RunInterrupted(f"stopped; the same command goes on with what {folder} holds") from None
    if not done:
        say(f"afuic: nothing was left to do, every arm is in {folder}", err=True)
    _tell(document, folder)


def _tell_skipped(chosen: Selection) -> None:
    from afuic.bench.planning import skipped

    reasons = {name: skipped(chosen.suite.case(name)) for name in chosen.cases}
    for name, reason in reasons.items():
        if reason is not None:
            say(f"afuic: skipped {name}: {reason}", err=True)
    if all(reason is not None for reason in reasons.values()):
        raise ConfigError(f"{chosen.suite.name}: none of its cases can be run here")


def _ensure_data(chosen: Selection) -> None:
    """Fetch what the suite needs before its clock starts, where a person can see it."""
    from afuic.bench.planning import named_data
    from afuic.cli.data import fetched
    from afuic.data import catalogue

    missing = {entry.name for entry in catalogue() if not entry.cached()}
    if needed := [name for name in named_data(chosen) if name in missing]:
        fetched(needed)


def _tell(document: Document, folder: Path) -> None:
    from afuic.bench.document import FILE
    from afuic.bench.statistics import failures

    for line in failures(document):
        say(f"afuic: {line}", err=True)
    if document.missing:
        more = len(document.missing) - 1
        also = f" and {more} more that were asked for here are" if more else " was asked for here and is"
        say(f"afuic: {document.missing[0]}{also} missing; go on with its method and case to have it", err=True)
    say(f"results: {folder / FILE}")
    say(f"tables and figures: afuic bench report {folder}")


@app.command(epilog="Example: afuic bench report runs/bench-paper")
def report(
    place: Place,
    out: Annotated[Path | None, typer.Option(help="Folder for the files.", show_default="report beside bench.json")] = None,
) -> None:
    """Write tables (Markdown, LaTeX, CSV), figures (SVG, PDF) and one HTML page from a suite's results alone."""
    from afuic.bench import page
    from afuic.bench.document import load

    document = load(place)
    folder = out or (place if place.is_dir() else place.parent) / "report"
    say(f"report: {page.write(document, folder)}")


@app.command(epilog="Example: afuic bench join runs/monday runs/tuesday --out paper.json")
def join(
    places: Annotated[list[Path], typer.Argument(metavar="DIR|FILE...", help="Suites' folders, or their bench.json.")],
    out: Annotated[Path, typer.Option(help="File for the joined results.")],
) -> None:
    """Put seeds, cases and methods of one suite that were run apart into one file; refuses what differs in settings or numbers."""
    from afuic.bench.document import load
    from afuic.bench.joining import join as joined
    from afuic.store.files import write_bytes

    document = joined([(str(place), load(place)) for place in places])
    write_bytes(out, document.to_json().encode())
    say(f"results: {out}")


@app.command(epilog="Example: afuic bench diff benchmarks/results/paper.json runs/bench-paper")
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="A suite's folder, or its bench.json.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The other.")],
    tolerance: Annotated[
        float, typer.Option(min=0, help="A value has changed where it differs by more than this share of it (of 1 below 1).")
    ] = 1e-6,
) -> None:
    """Tell what changed from A to B, row by row; exit code 1 when anything did."""
    from afuic.bench.changes import changes
    from afuic.bench.document import load

    if not math.isfinite(tolerance):
        raise ConfigError(f"--tolerance {tolerance}: give a finite number")
    found = changes(load(a), load(b), tolerance)
    for line in found:
        say(line)
    if found:
        raise typer.Exit(DIFFERENT)
    say("the same")
