"""The figures of a suite, each as SVG and PDF: measures against the clock, gaps to retraining, and what a sweep shows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from statistics import fmean, median
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, PercentFormatter
from matplotlib.transforms import Bbox

from afuic.bench import statistics
from afuic.bench.document import Case, Curve, Document, Sweep
from afuic.bench.measures import PHASES, shown
from afuic.bench.tables import FLOOR, label, slug
from afuic.report.figures import Floats, aligned
from afuic.report.svg import FAINT, GRID, INK, drawing, looks
from afuic.report.words import NOTABLE

WIDTH = 7.4
FORMATS = ("svg", "pdf")
LEAD_S = 240.0
CURVES = (("asr_excess", "Excess attack success"), ("forget_accuracy", "Forget accuracy"), ("accuracy", "Test accuracy"))
GAPS = ("accuracy", "auroc", "forget_accuracy", "forget_loss", "asr_excess", "mia_auc", "js_to_retrain")
FARTHEST = 100.0
COLUMNS = 4
MOST = 1.02
"""Top of a panel of shares, so that no axis counts beyond 100 %."""
PERCENT = PercentFormatter(xmax=1.0, decimals=0)


@dataclass(frozen=True)
class Figure:
    """A figure, drawn when it is asked for; ``alt`` tells those who cannot see it what it shows; ``draw``: bytes in each of the formats
    "svg" and "pdf" that are named.
    """

    name: str
    title: str
    alt: str
    draw: Callable[[Sequence[str]], list[bytes]]

    @cached_property
    def files(self) -> dict[str, bytes]:
        """Format -> bytes."""
        return dict(zip(FORMATS, self.draw(FORMATS), strict=True))


def figures(document: Document) -> tuple[Figure, ...]:
    """All of them, case by case, the sweep last."""
    every: list[Figure] = []
    for name, case in document.cases.items():
        every += [*clock(name, case), *gaps(name, case)]
    return (*every, *sweep(document))


# -- against the clock --------------------------------------------------------------------------------------------------------


def clock(name: str, case: Case) -> Iterator[Figure]:
    """One row of panels for each method: every seed thin, and retrained models' mean ± 2 sd from their own release on. None of an
    empty case.
    """
    keys = [(key, title) for key, title in CURVES if _known(case, key)]
    rows = list(case.rows)
    if keys and rows:
        alt = f"{name}: {', '.join(title.lower() for _, title in keys)} against the clock, one row of panels for each of {', '.join(rows)}."
        title = f"{name}: against the clock, through the request and after"
        yield Figure(f"curves-{slug(name)}", title, alt, partial(_draw_clock, case, keys))


def _draw_clock(case: Case, keys: Sequence[tuple[str, str]], formats: Sequence[str]) -> list[bytes]:
    rows = list(case.rows)
    with drawing(WIDTH, 0.9 + 1.25 * len(rows), formats) as (figure, made):
        panels = figure.subplots(len(rows), len(keys), squeeze=False)
        look = looks([case.rows[row].method for row in rows])
        for column, (key, title) in enumerate(keys):
            reference = _reference(case, key)
            for line, row in enumerate(rows):
                _panel(panels[line, column], case, row, key, look[case.rows[row].method][0], reference)
            _span(list(panels[:, column]), "y", MOST)
            panels[0, column].set_title(title, fontsize=9)
            panels[-1, column].set_xlabel("s since the request", fontsize=8)
        _span(list(panels.flat), "x")
        for axes in panels[:-1].flat:
            axes.tick_params(axis="x", labelbottom=False)
        for line, row in enumerate(rows):
            panels[line, 0].set_ylabel(_broken(label(case, row)), fontsize=7)
        handles, words = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, words, loc="outside upper left", ncols=3, fontsize=8)
    return made


def _span(panels: Sequence[Axes], axis: Literal["x", "y"], most: float = math.inf) -> None:
    """One span for all, as if they shared the axis; in matplotlib those that do ask all others at every stroke, which takes longer
    than the drawing.
    """
    first = panels[0]
    first.dataLim.set(Bbox.union([axes.dataLim for axes in panels]))
    first.autoscale_view()
    low, high = first.get_xlim() if axis == "x" else first.get_ylim()
    for axes in panels:
        axes.set(**{f"{axis}lim": (low, min(high, most))})


def _known(case: Case, key: str) -> bool:
    curves = [arm.curve for seed in case.seeds.values() for arm in seed.arms.values() if arm.curve is not None]
    return any(v is not None for curve in curves for v in getattr(curve, key))


def _panel(axes: Axes, case: Case, row: str, key: str, colour: str, reference: tuple[Floats, Floats]) -> None:
    t, runs = reference
    if len(runs) > 1:
        mean, sd = runs.mean(axis=0), runs.std(axis=0, ddof=1)
        axes.plot(t, mean, color=INK, linestyle="-.", linewidth=0.9, label="retrained, from their release: mean ± 2 sd")
        axes.fill_between(t, mean - 2 * sd, mean + 2 * sd, color=INK, alpha=0.14, linewidth=0)
    for seed in case.seeds.values():
        arm = seed.arms.get(row)
        for curve in () if arm is None else (arm.past or seed.past, arm.curve):
            if curve is not None:
                t, y = _series(curve, key, seed.requests[0].t)
                axes.plot(t, y, color=colour, linewidth=0.9, alpha=0.8)
        if arm is not None and arm.released_t is not None:
            axes.axvline(arm.released_t - seed.requests[0].t, color=colour, linewidth=0.6, linestyle=":")
    axes.axvline(0, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.plot([], [], color=INK, linewidth=0.9, label="the row's method, every seed; dotted: its releases")
    axes.tick_params(labelsize=7)
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(axis="y")


def _reference(case: Case, key: str) -> tuple[Floats, Floats]:
    """Times since their own release and values [runs, times] of all retrained models; none where nothing is known."""
    pairs = [(c, t) for s in case.seeds.values() for c, t in zip(s.retrained.curves, s.retrained.released_t, strict=True)]
    series = [_series(curve, key, released, 0.0) for curve, released in pairs]
    known = [found for found in series if len(found[0])]
    return aligned(known) if known else (np.empty(0), np.empty((0, 0)))


def _series(curve: Curve, key: str, origin_t: float, lead_s: float = LEAD_S) -> tuple[Floats, Floats]:
    kept = [
        (t - origin_t, y)
        for t, y in zip(curve.t, getattr(curve, key), strict=True)
        if y is not None and t - origin_t >= -lead_s
    ]
    pairs = np.array(kept, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _broken(text: str) -> str:
    return text.replace(", ", ",\n").replace("-", "-\n", 1) if len(text) > 16 else text


# -- gaps to retraining -------------------------------------------------------------------------------------------------------


def gaps(name: str, case: Case) -> Iterator[Figure]:
    """One panel for each measure: methods down, z across, every seed a dot, the median a line; the shaded band is ±2."""
    keys = [k for k in GAPS if any(g is not None for row in case.rows for g in statistics.gaps(case, row, "final", k))]
    if keys:
        alt = f"{name}: z at the end of {', '.join(shown(k).label.lower() for k in keys)} for {', '.join([*case.rows, FLOOR])}."
        yield Figure(f"gaps-{slug(name)}", f"{name}: gaps to retraining at the end", alt, partial(_draw_gaps, case, keys))


def _draw_gaps(case: Case, keys: Sequence[str], formats: Sequence[str]) -> list[bytes]:
    rows = [*case.rows, FLOOR]
    lines = -(-len(keys) // COLUMNS)
    with drawing(WIDTH, 0.7 + lines * (0.6 + 0.19 * len(rows)), formats) as (figure, made):
        panels = figure.subplots(lines, COLUMNS, sharey=True, squeeze=False)
        for index, axes in enumerate(panels.flat):
            if index < len(keys):
                _dots(axes, case, keys[index], rows)
            else:
                axes.set_visible(False)
        figure.supxlabel("z at the end: gap to retrained models in units of their spread; shaded: −2 to 2", fontsize=8)
    return made


def _dots(axes: Axes, case: Case, key: str, rows: Sequence[str]) -> None:
    look = looks([found.method for found in case.rows.values()])
    axes.axvspan(-NOTABLE, NOTABLE, color=GRID, linewidth=0)
    for y, row in enumerate(rows):
        floor = row == FLOOR
        found = _left_out(case, key) if floor else statistics.gaps(case, row, "final", key)
        z = [min(max(v, -FARTHEST), FARTHEST) for v in found if v is not None]
        colour = INK if floor else look[case.rows[row].method][0]
        axes.plot(
            z, [y] * len(z), "o", color=colour, markersize=2.6 if floor else 4, alpha=0.45 if floor else 0.8, markeredgewidth=0
        )
        if z:
            axes.plot([median(z)] * 2, [y - 0.32, y + 0.32], color=colour, linewidth=1.4)
    axes.set_xscale("symlog", linthresh=NOTABLE)
    axes.set_xlim(-1.3 * FARTHEST, 1.3 * FARTHEST)
    axes.set_xticks([-100, -10, 0, 10, 100], ["−100", "", "0", "", "100"])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(rows)), [r if r == FLOOR else label(case, r) for r in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(labelsize=7, axis="both")
    axes.set_title(shown(key).label, fontsize=8)


def _left_out(case: Case, key: str) -> list[float | None]:
    return [z for s in case.seeds.values() for z, _ in statistics.left_out(s, "final", key)]


# -- sweeps -------------------------------------------------------------------------------------------------------------------


def sweep(document: Document) -> Iterator[Figure]:
    """One panel for each thing drawn: a line for each row that was varied, its mean over the seeds, bars from the least to the largest.
    None of a suite that varies nothing.
    """
    if document.sweep is not None:
        varied, rows = document.sweep, _varied(document.cases)
        alt = f"{', '.join(map(_words, varied.costs))} against {varied.label}, a line for each of {', '.join(rows)}."
        yield Figure("sweep", f"against {varied.label}", alt, partial(_draw_sweep, document.cases, varied))


def _draw_sweep(cases: Mapping[str, Case], varied: Sweep, formats: Sequence[str]) -> list[bytes]:
    rows = _varied(cases)
    look = looks(list(dict.fromkeys(rows.values())))
    with drawing(WIDTH, 0.8 + 2.4 * len(varied.costs), formats) as (figure, made):
        panels = figure.subplots(len(varied.costs), 1, sharex=True, squeeze=False)[:, 0]
        for axes, what in zip(panels, varied.costs, strict=True):
            for row, method in rows.items():
                points = [p for case in cases.values() if (p := _point(case, row, varied.by, what)) is not None]
                _swept(axes, sorted(points), row, look[method])
            axes.set_title(_words(what))
            axes.grid(axis="y")
            if what.startswith("z "):
                axes.axhspan(-NOTABLE, NOTABLE, color=GRID, linewidth=0, zorder=0)
        panels[-1].set_xlabel(varied.label)
        handles, words = panels[0].get_legend_handles_labels()
        figure.legend(handles, words, loc="outside upper left", ncols=3, fontsize=8)
    return made


def _varied(cases: Mapping[str, Case]) -> dict[str, str]:
    """Row → method: the rows of more than one case, or all where there is but one case."""
    every = [(row, found.method) for case in cases.values() for row, found in case.rows.items()]
    count = Counter(row for row, _ in every)
    return {row: method for row, method in every if count[row] > 1 or len(cases) == 1}


def _words(what: str) -> str:
    """A cost's label, or which gap it is."""
    phase, _, key = what.rpartition(" ")
    return f"{shown(key).label}, z {PHASES[phase.removeprefix('z ')]}" if phase else shown(key).label


Point = tuple[float, float, float, float]
"""x, mean, least and largest."""


def _point(case: Case, row: str, by: str, what: str) -> Point | None:
    x = case.x if by == "x" else statistics.of_row(case, row, statistics.COST, by).mean
    phase, _, key = what.rpartition(" ")
    if phase:
        found = statistics.gaps(case, row, phase.removeprefix("z "), key)
    else:
        found = statistics.values(case, row, statistics.SPENT if key == "own_s" else statistics.COST, key)
    y = [v for v in found if v is not None]
    return None if x is None or not y else (x, fmean(y), min(y), max(y))


def _swept(axes: Axes, points: Sequence[Point], row: str, look: tuple[str, object]) -> None:
    if not points:
        return
    x, mean, low, high = (list(column) for column in zip(*points, strict=True))
    bars = [[m - v for m, v in zip(mean, low, strict=True)], [v - m for m, v in zip(mean, high, strict=True)]]
    style: object = look[1]
    axes.errorbar(x, mean, yerr=bars, color=look[0], linestyle=style, marker="o", markersize=4, linewidth=1.4, label=row)
