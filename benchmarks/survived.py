"""The tables of kill.json and flower_kills.json: what was killed, what had been acknowledged, what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

Document = Mapping[str, Any]
Table = Callable[[list[str], Iterable[list[str]]], str]
LOST = ("events_lost", "told_lost", "requests_lost")


def standin(document: Document, table: Table) -> str:
    """Kills by database, with what struck the server."""
    runs = document["runs"]
    rows = [_row(name, [r for r in runs if r["database"] == name]) for name in sorted({r["database"] for r in runs})]
    struck = sum((Counter(r["server_killed_during"]) for r in runs), Counter[str]())
    said = ", ".join(f"{what} {n}" for what, n in struck.most_common())
    return table(["database", "runs", *HEADS], rows) + f"\nThe kills of the server struck: {said}.\n"


def flower(document: Document, table: Table) -> str:
    """Kills by kind, with the seconds until the next update was durable."""
    pauses: dict[str, list[float | None]] = {}
    for kill in document["kills"]:
        pauses.setdefault(kill["kind"], []).append(kill["next_update_s"])
    rows = [[kind, str(len(found)), *_pauses([s for s in found if s is not None])] for kind, found in sorted(pauses.items())]
    during = Counter(kill["during"] for kill in document["kills"])
    said = ", ".join(f"{what} {n}" for what, n in during.most_common())
    ended = ", ".join(f"{n} {phase}" for phase, n in sorted(document["requests"].items()))
    whole = table(["", "runs", *HEADS], [_row("all", [{**document, "kills": document["counts"]}])])
    replayed = "were the same, bit for bit" if document["replay"]["same"] else "DIFFER"
    return (
        table(["killed", "times", "s until anybody's next update: median", "most"], rows)
        + f"\n{whole}\nThey struck while: {said}. Requests: {ended}. Processes left after the stop: {document['orphans']}. All "
        f"{document['replay']['computed']} results of the store, computed again, {replayed}.\n"
    )


def poison(document: Document, table: Table) -> str:
    """What the others kept of their rate beside each poison, and what came of the changed replies."""
    rows = [[row["kind"], *_kept(row)] for row in document["poisons"]]
    fuzz = document["fuzz"]
    came = ", ".join(f"{what} {n:,}" for what, n in sorted(fuzz["came_of_them"].items(), key=lambda item: -item[1]))
    heads = ["the fourth hospital sends", "the others' rate, of that without it", "least", "most", "held", "server ended"]
    return (
        table(heads, rows)
        + f"\nOf {fuzz['replies']:,} changed replies came: {came}. Exceptions that escaped: {fuzz['escaped']}.\n"
    )


def _kept(row: Mapping[str, Any]) -> list[str]:
    shares = [f"{100 * row['ratio'][name]:.1f} %" for name in ("whole", "min", "max")]
    return [*shares, str(row["held"]), str(row["server_ended"])]


HEADS = [
    "kills",
    "acknowledged: events",
    "results",
    "requests",
    "lost",
    "applied twice",
    "requests left open",
    "replayed the same",
]


def _row(name: str, runs: Sequence[Document]) -> list[str]:
    acknowledged = (sum(r["acknowledged"][what] for r in runs) for what in ("events", "told", "requests"))
    numbers = (sum(sum(r["kills"].values()) for r in runs), *acknowledged)
    faults = (
        sum(r[key] for r in runs for key in LOST),
        *(sum(r[key] for r in runs) for key in ("applied_twice", "requests_open")),
    )
    same = f"{sum(r['replay']['same'] for r in runs)} of {len(runs)}"
    return [name, str(len(runs)), *map(str, (*numbers, *faults)), same]


def _pauses(found: Sequence[float]) -> list[str]:
    return [f"{median(found):.0f}", f"{max(found):.0f}"] if found else ["–", "–"]
