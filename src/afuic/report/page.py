"""Writes the report: one page that needs no network and no script, and its figures as files of their own."""

from __future__ import annotations

import base64
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from afuic.errors import StoreError
from afuic.evaluate.results import Results, load, repairs
from afuic.report import figures, journal, summary, tables
from afuic.report.measures import label, readable, value
from afuic.report.texts import GLOSSARY, caveats
from afuic.report.words import count, duration, listed, percent
from afuic.text import normal, on_page


@dataclass(frozen=True)
class Figure:
    """A drawn figure; ``alt`` tells those who cannot see it what it shows."""

    name: str
    svg: bytes
    alt: str

    @property
    def source(self) -> str:
        """A data URI, so that the page carries the figure in itself."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode("ascii")


def write(out: Path, organisation: str | None = None) -> Path:
    """Make ``out/report.html`` and ``out/figures/*.svg`` from ``out/results.json`` and, where present, ``out/events.jsonl``.

    ``organisation``: whose report it is, for its head, beside the day on which the results were written (UTC).
    Gives the page's path. The same files give the same bytes. StoreError when one of them is unusable. Each file appears whole or
    not at all.
    """
    source = out / "results.json"
    results = readable(load(source))
    drawn = draw(results, journal.read(out / "events.jsonl"))
    for figure in drawn.values():
        _write(out / "figures" / f"{figure.name}.svg", figure.svg)
    page = out / "report.html"
    _write(page, render(results, drawn, _head(source, organisation)).encode())
    return page


def draw(results: Results, events: tuple[journal.Event, ...]) -> dict[str, Figure]:
    """The figures by name; without events there is no timeline."""
    run = journal.timeline(events, list(results.methods))
    drawn = [
        Figure("curves", figures.curves(results), _curves_alt(results)),
        Figure("hospitals", figures.hospitals(results), _hospitals_alt(results)),
    ]
    if run is not None:
        drawn.append(Figure("timeline", figures.timeline(run, list(results.clients)), _timeline_alt(run)))
    return {figure.name: figure for figure in drawn}


def _head(source: Path, organisation: str | None) -> str:
    day = datetime.fromtimestamp(source.stat().st_mtime, UTC)
    return " · ".join(part for part in (organisation and normal(organisation), f"results of {day:%Y-%m-%d}") if part)


def render(results: Results, drawn: dict[str, Figure], head: str = "") -> str:
    """The page as HTML; ``head``: whose it is and of when."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=on_page, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    return template.render(
        results=results,
        figures=drawn,
        head=head,
        verdict=summary.verdict(results),
        asked=summary.asked(results),
        yardstick=summary.yardstick(results),
        entries=summary.entries(results),
        outcome=tables.outcome(results),
        costs=tables.costs(results),
        gaps={"At the release": tables.gaps(results, "released"), "At the end": tables.gaps(results, "final")},
        few=summary.FEW,
        repairs=repairs(results.dropped),
        glossary=GLOSSARY,
        caveats=caveats(results),
        settings=tables.settings(results.config),
    )


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        _replace(path, content)
    except OSError as error:
        why = error.strerror or str(error)
        raise StoreError(f"{path}: cannot be written ({why}); free space or allow writing, then run `afuic report`") from error


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(name).chmod(0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _timeline_alt(run: journal.Timeline) -> str:
    refused = sum(event.outcome == "quarantined" for event in run.updates)
    entered = sum(event.outcome in {"applied", "buffered"} for event in run.updates)
    asked = listed([duration(event.t) for event in run.requests]) if run.requests else "none"
    released = listed([duration(event.t) for event in run.releases]) if run.releases else "none"
    return (
        f"Timeline of the run with {run.arm}, one row per hospital: {count(entered, 'update')} entered the model, "
        f"{count(refused, 'update')} quarantined. Erasure requests at: {asked}. Releases at: {released}."
    )


def _curves_alt(results: Results) -> str:
    ends = []
    for name, method in results.methods.items():
        known = [(value(method, "final", key), title) for key, title in figures.CURVES]
        told = [f"{title.lower()} {percent(found)}" for found, title in known if found is not None]
        ends += [f"{label(name, method)} ends with {listed(told)}"] if told else []
    return "Line charts of attack success, forget accuracy and test accuracy against the clock. " + "; ".join(ends) + "."


def _hospitals_alt(results: Results) -> str:
    ends = []
    for name, method in results.methods.items():
        final = method.phases.get("final")
        known = {hospital: share for hospital, share in (final.hospitals if final else {}).items() if share is not None}
        if known:
            ends.append(f"{label(name, method)} from {percent(min(known.values()))} to {percent(max(known.values()))}")
    return "Bar charts of accuracy on each hospital's own test images for every method. At the end: " + "; ".join(ends) + "."
