"""The figure to look at first: how near each method came to retraining, and what that cost everybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from afuic.bench import statistics
from afuic.bench.compact import GAPS, pooled
from afuic.bench.document import Case, Document, Seed
from afuic.bench.figures import PERCENT, WIDTH, Figure
from afuic.bench.tables import FLOOR, label
from afuic.report.svg import FAINT, FIXED, GRID, INK, drawing

NAME = "glance"
NEARNESS = "gaps not told apart from retraining"
COSTS = (
    ("latency_to_retrain", "time, of retraining's", 100.0, {0: "0", 1: "1%", 10: "10%", 100: "100%"}),
    ("stall_client_s", "others' stall, min", 1 / 60, {0: "0", 1: "1", 10: "10", 100: "100"}),
    ("updates_lost", "updates lost", 1.0, {0: "0", 1: "1", 10: "10", 100: "100"}),
)
"""Cost, heading, factor, ticks."""
Runs = list[float]


def glance(document: Document) -> Iterator[Figure]:
    """One line for each row, the nearest first: how many of its gaps in the main table are not told apart, and three costs; dots are
    means over all runs of all cases, bars go from the least to the most. None of a suite that varies something, since its cases are not
    alike.
    """
    if document.sweep is None and document.cases:
        case = pooled(document.cases)
        near = {row: found for row in case.rows if (found := nearness(case, row))}
        rows = sorted(near, key=lambda row: -fmean(near[row]))
        if rows:
            shares = {label(case, row): near[row] for row in rows} | {"retrained models against each other": floor(case)}
            said = ", ".join(f"{name} {fmean(found):.0%}" for name, found in shares.items() if found)
            alt = f"How many of each row's gaps are not told apart from retraining, with time, stall and updates lost beside: {said}."
            title = "how near to retraining, and at what cost"
            yield Figure(NAME, title, alt, partial(_draw, case, rows, near))


def nearness(case: Case, row: str) -> Runs:
    """For each run that released a model, the share of its gaps in the main table that are not told apart."""
    return _shares([statistics.gapped(case, row, phase, key) for phase, key, _ in GAPS])


def floor(case: Case) -> Runs:
    """The same of each retrained model against the others of its seed."""
    return [share for seed in case.seeds.values() for share in _of_models(seed)]


def _of_models(seed: Seed) -> Runs:
    columns = [statistics.left_out(seed, phase, key) for phase, key, _ in GAPS]
    return _shares([column for column in columns if column])


def _shares(columns: Sequence[Sequence[statistics.Gapped]]) -> Runs:
    runs = [[not found.apart for _, found in run if found is not None] for run in zip(*columns, strict=True)]
    return [fmean(run) for run in runs if run]


def _draw(case: Case, rows: Sequence[str], near: dict[str, Runs], formats: Sequence[str]) -> list[bytes]:
    colours = [INK, *(FIXED[method][0] if (method := case.rows[row].method) in FIXED else FAINT for row in rows)]
    with drawing(WIDTH, 0.75 + 0.21 * (len(rows) + 1), formats) as (figure, made):
        panels = figure.subplots(1, 1 + len(COSTS), sharey=True, width_ratios=(1.5, 1, 1, 1))
        _panel(panels[0], [floor(case), *(near[row] for row in rows)], colours, NEARNESS)
        panels[0].set_xlim(-0.02, 1.02)
        panels[0].xaxis.set_major_formatter(PERCENT)
        for axes, (key, heading, scale, ticks) in zip(panels[1:], COSTS, strict=True):
            found = [_cost(case, row, key, scale) for row in rows]
            _panel(axes, [[], *found], colours, heading)
            axes.set_xscale("symlog", linthresh=1.0)
            axes.set_xlim(left=-0.15)
            axes.set_xticks(list(ticks), list(ticks.values()))
            axes.xaxis.set_minor_locator(NullLocator())
        panels[0].set_yticks(range(len(rows) + 1), [FLOOR, *(label(case, row) for row in rows)])
        panels[0].set_ylim(len(rows) + 0.5, -0.5)
    return made


def _cost(case: Case, row: str, key: str, scale: float) -> Runs:
    return [scale * v for v in statistics.values(case, row, statistics.COST, key) if v is not None]


def _panel(axes: Axes, lines: Sequence[Runs], colours: Sequence[str], heading: str) -> None:
    for y, (found, colour) in enumerate(zip(lines, colours, strict=True)):
        if found:
            axes.plot([min(found), max(found)], [y, y], color=colour, linewidth=1.2, alpha=0.55)
            axes.plot([fmean(found)], [y], "o", color=colour, markersize=5, markeredgewidth=0)
    axes.set_title(heading, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.axhline(0.5, color=GRID, linewidth=1.6)
    axes.grid(axis="both")
