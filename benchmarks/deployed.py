"""The tables and the figure of benchmarks/results/deployment.json, part by part, each with where it was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from afuic.report.svg import drawing

Part = Mapping[str, Any]
Table = Callable[[list[str], Iterable[list[str]]], str]
TITLES = {
    "rate": "Training through an erasure",
    "throughput": "Through Flower, by the model's size",
    "store": "The store's size",
    "recovery": "A start, by the number of events",
}
SHOWN_EVERY = 4
SIZES = {"models": "models_mb", "database": "database_mb", "all": "store_mb"}
STARTS = {"state from the store": "recover_s", "imports": "imports_s"}
LOOKS = (("#0072B2", "-"), ("#D55E00", "--"), ("#7A7A7A", ":"))
MISSING = "Not measured yet.\n"


def page(document: Part, table: Table, provenance: Callable[[Part], str]) -> str:
    """All parts under headings of their own."""
    texts = []
    for name, title in TITLES.items():
        part = document.get(name)
        text = MISSING if part is None else f"{_when(part, provenance)}\n\n{WRITERS[name](part, table)}"
        texts.append(f"### {title}\n\n{text}")
    return "\n".join(texts)


def _when(part: Part, provenance: Callable[[Part], str]) -> str:
    return f"{provenance(part)} Load {part['load_after']:.1f} at its end."


def _rate(part: Part, table: Table) -> str:
    replayed, problems = part["replay"], part["problems"]
    rows = [
        [
            name,
            f"{w['seconds']:.0f}",
            *(str(w["updates"].get(c, 0)) for c in _clients(part)),
            f"{w['a_minute']:.2f}",
            f"{w['load']:.1f}",
        ]
        for name, w in part["windows"].items()
    ]
    heads = ["", "seconds", *(f"updates of {c}" for c in _clients(part)), "their updates a minute", "the machine's load"]
    same = "gave the same digests, bit for bit" if replayed["same"] else f"DIFFERS: {replayed['problem']}"
    phases = ", ".join(f"{p['after']} after {p['s']:.0f} s" for p in part["phases"])
    chain = "verifies" if not problems else f"has PROBLEMS: {'; '.join(problems)}"
    before = f"**During to before: {part['during_to_before']:.2f}**; after to before: {part['after_to_before']:.2f}."
    return table(heads, rows) + (
        f"\n{before} The request: {phases}. The certificate {chain}. Its purge removed {part['purged']['removed']} models and left "
        f"{part['purged']['left']}. Replaying the store's {replayed['events']} events with the simulator's worker, with "
        f"{replayed['computed']} results computed again, {same}.\n"
    )


def _clients(part: Part) -> list[str]:
    return sorted({client for window in part["windows"].values() for client in window["updates"]})


def _throughput(part: Part, table: Table) -> str:
    heads = ["model", "round trip s: median", "min", "max", "updates a minute", "CPU s an update, all"]
    heads += ["SuperLink: peak MB", "CPU s an update"]
    heads += ["ServerApp: peak MB", "CPU s an update", "store MB", "load"]
    rows = [
        [
            f"{s['model_mb']:.1f} MB",
            *(f"{s['round_trip_s'][k]:.1f}" for k in ("median", "min", "max")),
            f"{60 * s['updates_per_s']:.1f}",
            f"{s['cpu_s_an_update']:.1f}",
            *_program(s, "SuperLink"),
            *_program(s, "ServerApp"),
            f"{s['store_mb']:.0f}",
            f"{s['load']:.1f}",
        ]
        for s in part["sizes"].values()
    ]
    counts = ", ".join(str(s["updates"]) for s in part["sizes"].values())
    return table(heads, rows) + f"\nThree hospitals at once, one step of 8 images a task; {counts} updates.\n"


def _program(size: Part, name: str) -> list[str]:
    found = size["programs"][name]
    return [f"{found['peak_mb']:.0f}", f"{found['cpu_s_an_update']:.2f}"]


def _store(part: Part, table: Table) -> str:
    rows = part["rows"]
    shown = [row for n, row in enumerate(rows, 1) if n in {1, len(rows)} or n % SHOWN_EVERY == 0]
    heads = [
        "updates",
        "events",
        "models kept",
        "their MB",
        "database MB",
        "store MB",
        "CPU ms an append: median",
        "95th percentile",
    ]
    lines = [
        [
            str(row["updates"]),
            str(row["events"]),
            str(row["models"]),
            *(f"{row[k]:.1f}" for k in ("models_mb", "database_mb", "store_mb")),
            f"{row['append_cpu_ms']['median']:.1f}",
            f"{row['append_cpu_ms']['p95']:.1f}",
        ]
        for row in shown
    ]
    disk, keep = part["disk"], part["retention"]
    first, last = rows[0], rows[-1]
    growth = 1000 * (last["database_mb"] - first["database_mb"]) / (last["updates"] - first["updates"])
    times = [f"{disk[k]['median']:.0f} ms (95th percentile {disk[k]['p95']:.0f})" for k in ("new", "grown")]
    return (
        table(heads, lines)
        + f"\nThe default retention ({keep['versions']} of the newest, of every {keep['every']}th and of the released versions, a snapshot "
        f"every {keep['snapshot_events']} events), one model {part['model_mb']:.2f} MB. Models are bounded; what grows is the record, "
        f"{growth:.2f} kB an update. On this machine's disk, which needs {disk['fsync_ms']['median']:.1f} ms to make 100 kB durable, an "
        f"append takes {times[0]} in a new store and {times[1]} in the grown one.\n"
    )


def _recovery(part: Part, table: Table) -> str:
    heads = ["events", "of them replayed", "s from the store: median", "min", "max", "s for imports: median"]
    rows = [
        [
            str(row["events"]),
            str(row["replayed"]),
            *(f"{row['recover_s'][k]:.2f}" for k in ("median", "min", "max")),
            f"{row['imports_s']['median']:.1f}",
        ]
        for row in part["rows"]
    ]
    return table(heads, rows) + f"\n{part['starts']} starts of each, each a process of its own.\n"


def figure(store: Part, recovery: Part) -> bytes:
    """The store's size by updates, the time of a start by events."""
    with drawing(7.4, 2.8) as (drawn, made):
        left, right = drawn.subplots(1, 2)
        rows = store["rows"]
        _lines(left, [row["updates"] for row in rows], {n: [row[k] for row in rows] for n, k in SIZES.items()}, "MB")
        left.set_xlabel("updates")
        left.set_title("Size of the store")
        starts = recovery["rows"]
        events = [row["events"] for row in starts]
        _lines(right, events, {n: [row[k]["median"] for row in starts] for n, k in STARTS.items()}, "s")
        right.set_xscale("log")
        right.set_xlabel("events")
        right.set_title("A start")
    return made[0]


def _lines(axes: Any, x: Sequence[float], series: Mapping[str, Sequence[float]], unit: str) -> None:
    for (name, y), look in zip(series.items(), LOOKS, strict=False):
        axes.plot(x, y, color=look[0], linestyle=look[1], marker="o", markersize=3, label=name)
    axes.set_ylim(0, 1.15 * max(max(y) for y in series.values()))
    axes.set_ylabel(unit)
    axes.grid(axis="y")
    axes.legend(loc="best")


WRITERS: Mapping[str, Callable[[Part, Table], str]] = {
    "rate": _rate,
    "throughput": _throughput,
    "store": _store,
    "recovery": _recovery,
}
