"""How every figure looks, and its way to SVG bytes that depend on the numbers alone."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, FAINT, GRID = "#1b1f24", "#5b6570", "#dfe3e8"
ALARM = "#B3261E"

STYLE: Any = {
    "svg.hashsalt": "afuic",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "white",
    "hatch.linewidth": 0.6,
}

UNDATED: dict[str, Any] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
Look = tuple[str, Any]
FIXED: dict[str, Look] = {
    "afuic": ("#0072B2", "-"),
    "afuic-paper": ("#D55E00", "--"),
    "continue": ("#7A7A7A", ":"),
    "retrain": ("#1b1f24", "-."),
}
SPARE: tuple[Look, ...] = (
    ("#009E73", (0, (6, 1, 1, 1))),
    ("#CC79A7", (0, (4, 2))),
    ("#E69F00", (0, (1, 1))),
    ("#56B4E9", (0, (8, 2))),
    *(
        (colour, dash)
        for dash in ("-", (0, (2, 2)), (0, (5, 1, 1, 1, 1, 1)))
        for colour in ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")
    ),
)


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """Colour (Okabe and Ito's palette, safe for the colour-blind) and line style of each method; names keep theirs across figures."""
    spare = cycle(SPARE)
    return {name: FIXED.get(name) or next(spare) for name in methods}


@contextmanager
def drawing(width: float, height: float, formats: Sequence[str] = ("svg",)) -> Iterator[tuple[Figure, list[bytes]]]:
    """A figure of this size in inches; on leaving, it is appended to the list given with it in each of ``formats``, "svg" or "pdf"."""
    made: list[bytes] = []
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, made
        for kind in formats:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=UNDATED[kind])
            made.append(buffer.getvalue())
            figure.set_layout_engine("none")


def percent_axis(axes: Axes, low: float = 0.0, high: float = 1.0) -> None:
    """Shares on the vertical axis, written as percent, with a light grid."""
    axes.set_ylim(low, high)
    axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(xmax=1.0, decimals=0))
    axes.grid(axis="y")
