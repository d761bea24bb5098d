"""Draw the figures of docs/benchmarks.md from benchmarks/results/*.json: what follows the release, seed by seed, beside retraining.

``python benchmarks/figures.py`` writes docs/figures/*.svg, ``--check`` only says whether they are up to date (exit code 1 if not).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import deployed
import numpy as np
from matplotlib.axes import Axes

from afuic.report.figures import aligned
from afuic.report.svg import INK, drawing, looks, percent_axis

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "figures"
RESULTS = ROOT / "benchmarks" / "results" / "erasure.json"
DEPLOYMENT = RESULTS.with_name("deployment.json")
LEAD_S = 180.0
LEAST_SPAN = 0.08
ACCURACY, FORGET, ASR = 1, 2, 3
"""Columns of a curve in erasure.json; column 0 is the time."""
FIGURES = {"erasure-accuracy": (ACCURACY, "Accuracy on test images"), "erasure-resurfacing": (ASR, "Excess attack success")}
Case = Mapping[str, Any]


def draw(document: Mapping[str, Any], column: int, title: str) -> bytes:
    """One panel for each whole-client case of several seeds: every seed's curve, and retraining's mean with twice its spread."""
    cases = {name: case for name, case in document["cases"].items() if "," not in name and _shown(case, column)}
    with drawing(7.4, 0.7 + 1.75 * len(cases)) as (figure, made):
        panels = figure.subplots(len(cases), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, case) in zip(panels, cases.items(), strict=True):
            _panel(axes, case["seeds"], column)
            axes.set_title(f"{title}: {name}")
        panels[-1].set_xlabel("virtual seconds since the release; retraining's own release at 0")
        found: dict[str, Any] = {}
        for axes in panels:
            found |= {word: handle for handle, word in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(found.values(), found.keys(), loc="outside upper left", ncols=3)
    return made[0]


def _shown(case: Case, column: int) -> bool:
    return any(point[column] is not None for row in case["seeds"] for point in row["variants"]["afuic"]["curve"])


def _panel(axes: Axes, rows: Sequence[Case], column: int) -> None:
    names = [name for name in rows[0]["variants"] if any("curve" in row["variants"][name] for row in rows)]
    look = looks([*names, "retrain"])
    reached = []
    for name in names:
        for row in (r for r in rows if "curve" in r["variants"][name]):
            found = row["variants"][name]
            t, y = _since(found["curve"], found["latency_s"], column)
            axes.plot(t, y, color=look[name][0], linestyle=look[name][1], linewidth=1.0, alpha=0.8, label=name)
            reached += list(y)
    series = [_since(curve, 0.0, column) for row in rows for curve in row["retrained_curves"]]
    t, values = aligned(series)
    mean, sd = values.mean(0), values.std(0, ddof=1)
    axes.plot(t, mean, color=INK, linestyle="-.", linewidth=1.4, label="retrain, mean ± 2 sd")
    axes.fill_between(t, mean - 2 * sd, mean + 2 * sd, color=INK, alpha=0.14, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.8)
    low, high = min([*reached, *(mean - 2 * sd)]), max([*reached, *(mean + 2 * sd)])
    percent_axis(axes, min(low, high - LEAST_SPAN) - 0.02, high + 0.02)


def _since(curve: Sequence[Sequence[float | None]], released_s: float, column: int) -> tuple[Any, Any]:
    kept = [(p[0] - released_s, p[column]) for p in curve if p[0] is not None and p[column] is not None]
    pairs = np.array([(t, y) for t, y in kept if t >= -LEAD_S], dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def drawn() -> dict[str, bytes]:
    """Every figure of the page by its name."""
    document, deployment = (json.loads(path.read_text(encoding="utf-8")) for path in (RESULTS, DEPLOYMENT))
    made = {name: draw(document, column, title) for name, (column, title) in FIGURES.items()}
    return {**made, "deployment-store": deployed.figure(deployment["store"], deployment["recovery"])}


def main() -> None:
    """Write the figures or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a figure is not up to date")
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    stale = []
    for name, made in drawn().items():
        path = FOLDER / f"{name}.svg"
        if not path.exists() or path.read_bytes() != made:
            stale.append(path.name)
        if not given.check:
            path.write_bytes(made)
    print(f"out of date: {', '.join(stale)}" if given.check and stale else "up to date" if given.check else f"wrote {FOLDER}")
    sys.exit(bool(given.check and stale))


if __name__ == "__main__":
    main()
