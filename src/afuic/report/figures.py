"""The figures of a report: the run's timeline, the measures against the clock, and the usefulness at each hospital."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from afuic.evaluate.results import Method, PhaseName, Point, Results
from afuic.report.journal import Event, Timeline
from afuic.report.measures import label, value
from afuic.report.svg import ALARM, FAINT, INK, Look, drawing, looks, percent_axis

WIDTH = 7.4
STALENESS = ((0, "0–1"), (2, "2–4"), (5, "5–9"), (10, "10–19"), (20, "20 or more"))
CURVES = (
    ("asr_excess", "Excess attack success"),
    ("forget_accuracy", "Accuracy on the images to erase"),
    ("accuracy", "Accuracy on test images"),
)
PHASES: tuple[tuple[PhaseName, str, str, str], ...] = (
    ("before", "before the request", "#c9d3dc", ""),
    ("released", "at the release", "#7fb2d6", "////"),
    ("final", "at the end", "#0b4f7d", ""),
)
Floats = npt.NDArray[np.float64]


def timeline(run: Timeline, clients: Sequence[str]) -> bytes:
    """One row per hospital: a tick for every update that entered, darker the staler; a cross for every one refused."""
    rows = {name: index for index, name in enumerate(clients)}
    with drawing(WIDTH, min(1.5 + 0.42 * len(rows), 14)) as (figure, made):
        axes = figure.subplots()
        handles = _ticks(axes, run.updates, rows) + _refused(axes, run.updates, rows)
        _moments(axes, run, len(rows))
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("virtual seconds")
        figure.legend(
            handles=handles, loc="outside lower left", ncols=len(handles), title="Versions behind when applied",
            alignment="left", handlelength=1.0, columnspacing=1.1,
        )  # fmt: skip
    return made[0]


def _ticks(axes: Axes, updates: Sequence[Event], rows: dict[str, int]) -> list[Line2D]:
    entered = [event for event in updates if event.outcome in {"applied", "buffered"} and event.client in rows]
    bins = np.digitize([event.staleness or 0 for event in entered], [low for low, _ in STALENESS[1:]])
    handles = []
    for index, (_, name) in enumerate(STALENESS):
        colour = to_hex(colormaps["viridis_r"](0.12 + 0.22 * index))
        chosen = [event for event, where in zip(entered, bins, strict=True) if where == index]
        x = [x for event in chosen for x in (event.t, event.t, np.nan)]
        y = [y for event in chosen for y in (rows[event.client or ""] - 0.32, rows[event.client or ""] + 0.32, np.nan)]
        axes.plot(x, y, color=colour, linewidth=1.3, solid_capstyle="butt")
        handles.append(Line2D([], [], color=colour, linewidth=6, label=name))
    return handles


def _refused(axes: Axes, updates: Sequence[Event], rows: dict[str, int]) -> list[Line2D]:
    chosen = [event for event in updates if event.outcome == "quarantined" and event.client in rows]
    if not chosen:
        return []
    style: dict[str, Any] = {"linestyle": "none", "marker": "X", "markersize": 7, "color": ALARM, "markeredgecolor": "white"}
    axes.plot([event.t for event in chosen], [rows[event.client or ""] for event in chosen], zorder=4, **style)
    return [Line2D([], [], label="quarantined", **style)]


def _moments(axes: Axes, run: Timeline, rows: int) -> None:
    asked = {event.request: event.t for event in run.requests}
    for event in run.releases:
        if event.request in asked:
            axes.axvspan(asked[event.request], event.t, color="#f3e3b3", alpha=0.7, linewidth=0, zorder=0)
    several = len(run.requests) > 1
    for events, word, style, align in ((run.requests, "request", "--", "right"), (run.releases, "release", "-", "left")):
        for event in events:
            axes.axvline(event.t, color=INK, linestyle=style, linewidth=1.1, zorder=3)
            text = f" {word} {event.request} " if several else f" {word} "
            axes.annotate(text, (event.t, -0.6), ha=align, va="bottom", fontsize=9, annotation_clip=False)


def curves(results: Results) -> bytes:
    """Attack success, forget accuracy and test accuracy against the clock; a band for retraining's mean and spread."""
    shown = [(key, title) for key, title in CURVES if key != "asr_excess" or _measured(results, key)]
    with drawing(WIDTH, 0.6 + 2.15 * len(shown)) as (figure, made):
        panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (key, title) in zip(panels, shown, strict=True):
            _panel(axes, results, key)
            axes.set_title(title)
        panels[-1].set_xlabel("virtual seconds; dashed line: request, dot: release")
        handles, names = panels[-1].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=3, handlelength=3)
    return made[0]


def _measured(results: Results, key: str) -> bool:
    return any(getattr(point, key) is not None for method in results.methods.values() for point in method.curve)


def _panel(axes: Axes, results: Results, key: str) -> None:
    look = looks(list(results.methods))
    for order, (name, method) in enumerate(results.methods.items()):
        if name != "retrain" or results.retrained is None:
            _line(axes, method, key, look[name], label(name, method), 4 - order / 10)
    if results.retrained is not None:
        _band(axes, results.retrained.curves, key, look.get("retrain", (INK, "-.")))
    for request in results.requests:
        axes.axvline(request.t, color=FAINT, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    percent_axis(axes, *_limits(results, key))


def _limits(results: Results, key: str) -> tuple[float, float]:
    """The whole range of shares; for test accuracy only what is reached after the first request, where methods differ little."""
    since = min((request.t for request in results.requests), default=0.0) if key == "accuracy" else 0.0
    curves = [*(method.curve for method in results.methods.values()), *(results.retrained.curves if results.retrained else ())]
    found = [y for curve in curves for y in _series([point for point in curve if point.t >= since], key)[1]]
    if key != "accuracy" or not found:
        return min([-0.03, *(y - 0.03 for y in found)]), 1.03
    return max(min(found) - 0.08, -0.03), min(max(found) + 0.05, 1.03)


def _line(axes: Axes, method: Method, key: str, look: Look, name: str, order: float) -> None:
    """A method's curve and the dot of its release."""
    t, y = _series(method.curve, key)
    colour, style = look
    axes.plot(t, y, color=colour, linestyle=style, linewidth=1.8, label=name, zorder=order)
    released, height = method.phases.get("released"), value(method, "released", key)
    if released is not None and height is not None and method.erasure_latency_s is not None:
        axes.plot(released.t, height, "o", color=colour, markersize=7, markeredgecolor="white", zorder=5)


def _series(points: Sequence[Point], key: str) -> tuple[Floats, Floats]:
    kept = [(point.t, getattr(point, key)) for point in points if getattr(point, key) is not None]
    pairs = np.array(kept, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _band(axes: Axes, runs: Sequence[Sequence[Point]], key: str, look: Look) -> None:
    series = [found for found in (_series(points, key) for points in runs) if len(found[0])]
    if not series:
        return
    t, values = aligned(series)
    mean = values.mean(axis=0)
    name = f"retrain (mean ± spread of {len(series)} runs)" if len(series) > 1 else "retrain (one run)"
    axes.plot(t, mean, color=look[0], linestyle=look[1], linewidth=1.4, label=name)
    if len(series) > 1:
        sd = values.std(axis=0, ddof=1)
        axes.fill_between(t, mean - sd, mean + sd, color=look[0], alpha=0.16, linewidth=0)


def aligned(series: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Runs, each (times, values), on one clock: all their times within the span that every run covers, values interpolated.

    Gives times [m] and values [runs, m]; m is 0 when the spans do not meet.
    """
    first, last = max(t[0] for t, _ in series), min(t[-1] for t, _ in series)
    times = np.unique(np.concatenate([t for t, _ in series]))
    times = times[(times >= first) & (times <= last)]
    return times, np.array([np.interp(times, t, y) for t, y in series])


def hospitals(results: Results) -> bytes:
    """Bars of each hospital's accuracy before, at the release and at the end: one panel for each method."""
    names = list(results.clients)
    erased = {request.client for request in results.requests}
    ticks = [f"{name}\n(erasure)" if name in erased else name for name in names]
    with drawing(WIDTH, 0.7 + 1.65 * len(results.methods)) as (figure, made):
        panels = figure.subplots(len(results.methods), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, method) in zip(panels, results.methods.items(), strict=True):
            _bars(axes, method, names)
            axes.set_title(label(name, method))
        panels[-1].set_xticks(range(len(names)), ticks, rotation=90 if len(names) > 8 else 0)
        for axes in panels:
            axes.tick_params(axis="x", length=0)
        handles, words = panels[0].get_legend_handles_labels()
        figure.legend(handles, words, loc="outside upper left", ncols=3)
    return made[0]


def _bars(axes: Axes, method: Method, names: Sequence[str]) -> None:
    for index, (phase, word, colour, hatch) in enumerate(PHASES):
        found = method.phases.get(phase)
        heights = [(found.hospitals.get(name) if found else None) or 0.0 for name in names]
        where = np.arange(len(names)) + 0.27 * (index - 1)
        axes.bar(where, heights, width=0.25, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5, label=word)
    percent_axis(axes)
