"""Rewrite the tables of docs/benchmarks.md from benchmarks/results/*.json, so that no number there is typed by hand.

``python benchmarks/tables.py`` writes, ``--check`` only says whether the page is up to date (exit code 1 if not).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import deployed
import survived
from common import RESULTS, ROOT, replaced  # type: ignore[import-not-found]

PAGE = ROOT / "docs" / "benchmarks.md"
NOTHING = "Nothing has been measured yet.\n"
Document = Mapping[str, Any]


def overhead(document: Document) -> str:
    """CPU time of the simulator against the bare loops."""
    found, start, calls = document["summary"], document["start"], document["calls"]
    rows = [
        ["**in training and evaluation**", *_spread(found["share"], _percent)],
        ["CPU seconds of the experiment", *_spread(found["simulator_s"], _seconds)],
        ["… training at clients and server", *_spread(found["training_s"], _seconds)],
        ["… evaluation", *_spread(found["evaluation_s"], _seconds)],
        ["… all the rest", *_spread(found["rest_s"], _seconds)],
        ["the same steps through the library's functions, of the experiment's time", *_ratio(found, "functions")],
        ["the same steps in plain PyTorch, of the experiment's time", *_ratio(found, "pytorch")],
    ]
    measured = [run["difference"] for run in document["repetitions"]]
    apart = (
        max(found["pytorch train"]["median"] for found in measured),
        max(found["pytorch train"]["max"] for found in measured),
    )
    evaluations = calls["point"] + calls["phase_and_probs"]
    return (
        _table(["", "median", "min", "max"], rows)
        + f"\n{len(measured)} repetitions of {document['config']['horizon_s']:g} virtual seconds: {calls['train']} client tasks of "
        f"{document['config']['training']['steps']} steps, {calls['calibrate']} calibrations, {evaluations} evaluations. Apart from "
        f"the table, once per process: {start['imports_s']:.1f} s for imports, {start['first_optimizer_s']:.1f} s for what torch "
        f"imports when the first optimizer is made, {start['laboratory_s']:.1f} s for loading the data and building the laboratory. "
        f"The library's functions gave the simulator's updates bit for bit"
        f"{'' if _identical(measured) else ' (NOT: they differ)'}; an entry of a plain update differs by {_small(apart[0])} in the "
        f"median task and by at most {_small(apart[1])} in the worst, where rounding grew over its steps.\n"
    )


def scale(document: Document) -> str:
    """Memory, disk and time by the number of clients."""
    heads = ["clients", "updates applied", "models held", "their MB", "MB resident over empty", "peak MB over empty"]
    heads += ["checkpoint MB", "journal MB", "ms of protocol, ledger, journal an update", "s a checkpoint"]
    rows = [_size(size, point) for size in document["sizes"] for point in ("n", "3n", "erased")]
    empty = ", ".join(f"{size['empty_mb']:.0f}" for size in document["sizes"])
    return (
        _table(heads, rows)
        + f"\nThe three rows of a size: after {document['updates']} updates a client on average, after {3 * document['updates']}, after "
        f"the erasure of one client and the end of its guard. Empty, that is with torch, the data and the laboratory but before the "
        f"first update, the processes held {empty} MB. One model is {document['sizes'][0]['model_mb']:.3f} MB.\n"
    )


SHOWN = ("accuracy", "auroc", "forget_accuracy", "forget_loss", "asr_excess", "mia_auc", "hospital")


def erasure(document: Document) -> str:
    """Every case: gaps to retraining at release and at the end, resurfacing, dip, latency."""
    gaps, costs = [], []
    floors: list[Document] = []
    for name, case in document["cases"].items():
        for variant in [v for v in case["summary"] if v not in {"retrained", "asr_excess_max"}]:
            found, label = case["summary"][variant], f"{name}: {variant}"
            if not found["released"]:
                costs.append([label, f"nothing released: {found['failed']}", *[""] * 6])
                continue
            gaps += [[label, phase, *(_gap(found["z"][phase].get(m)) for m in SHOWN)] for phase in ("released", "final")]
            costs.append([label, *_costs(found), _dips(case, variant)])
        floor = case["summary"]["retrained"]["z"]
        if floor not in floors:
            floors.append(floor)
            gaps += [
                [f"{name}: *retrained*", phase, *(_gap(floor[phase].get(m)) for m in SHOWN)] for phase in ("released", "final")
            ]
    heads = ["case: method", "when", "accuracy", "AUROC", "forget accuracy", "forget loss", "excess ASR", "MIA"]
    heads += ["its hospital"]
    costs_heads = [
        "case: method",
        "seeds",
        "latency to retraining",
        "stall",
        "lost",
        "healing steps",
        "excess ASR over retraining's most",
    ]
    costs_heads += ["evaluations in a dip: mean, worst seed (retrained)"]
    return _table(heads, gaps) + "\n" + _table(costs_heads, costs) + "\n" + _commits(document)


def _commits(document: Document) -> str:
    """Which case was measured at which commit."""
    found: dict[str, list[str]] = {}
    for name, case in document["cases"].items():
        found.setdefault(case["commit"][:12], []).append(name)
    return "".join(f"Commit {commit}: {'; '.join(names)}.\n" for commit, names in found.items())


def _gap(found: Document | None) -> str:
    return "–" if found is None else f"{found['mean']:+.1f} ({found['within']} of {found['of']})"


def _costs(found: Document) -> list[str]:
    over, latency = found["resurfacing_over_retraining"], found["latency_to_retrain"]
    steps = found["steps"]
    return [
        str(found["released"]),
        f"{100 * latency['mean']:.1f} % (at most {100 * latency['max']:.1f} %)",
        f"{found['stall_client_s']['max']:g} s",
        f"{found['updates_lost']['max']:g}",
        f"{min(steps)} to {max(steps)}" if steps else "–",
        "–" if over is None else f"{100 * over:+.1f} points",
    ]


def _dips(case: Document, variant: str) -> str:
    below = [row["variants"][variant]["dip"]["below"] for row in case["seeds"] if "dip" in row["variants"][variant]]
    own = case["summary"]["retrained"]["below"]
    return f"{100 * fmean(below):.0f} %, {100 * max(below):.0f} % ({100 * own:.0f} %)"


SEARCHED = {"accuracy": "accuracy", "forget_accuracy": "forget accuracy", "mia_auc": "MIA AUC"}


def search(document: Document) -> str:
    """What was chosen for each method, of how many candidates, and how far from retraining that was on each federation."""
    choices = [_choice(name, by, document["chosen"][name]) for name, by in document["trials"].items()]
    gaps = [row for name, by in document["trials"].items() for row in _chosen_gaps(by, document["chosen"][name], name)]
    heads = [
        "method: federation",
        "score",
        *(f"{label}, {when}" for label in SEARCHED.values() for when in ("released", "end")),
    ]
    seeds = ", ".join(f"{federation} {seed}" for federation, seed in document["federations"].items())
    return (
        _table(["method", "chosen", "candidates", "of them failed", "score", "the other candidates' scores"], choices)
        + "\nOptions that are not named are as they stood when the search was run. Below, the differences of the chosen candidate to "
        f"retraining, in percentage points. Seeds: {seeds}.\n\n" + _table(heads, gaps)
    )


def _choice(name: str, by_federation: Document, chosen: Document | None) -> list[str]:
    rows = list(zip(*by_federation.values(), strict=True))
    scores = [None if any(r["score"] is None for r in each) else fmean(r["score"] for r in each) for each in rows]
    others = [
        s for each, s in zip(rows, scores, strict=True) if s is not None and chosen and each[0]["options"] != chosen["options"]
    ]
    return [
        name,
        _options(chosen["options"]) if chosen else "none",
        str(len(rows)),
        str(scores.count(None)),
        _points(chosen["score"]) if chosen else "–",
        f"{_points(min(others))} to {_points(max(others))}" if others else "–",
    ]


def _chosen_gaps(by_federation: Document, chosen: Document | None, name: str) -> Iterable[list[str]]:
    for federation, rows in by_federation.items():
        for row in [r for r in rows if chosen and r["options"] == chosen["options"]]:
            gaps = [row["gaps"][phase][m] for m in SEARCHED for phase in ("released", "final")]
            yield [f"{name}: {federation}", _points(row["score"]), *(f"{100 * gap:+.1f}" for gap in gaps)]


def _options(options: Document, before: str = "") -> str:
    """Options as they are set, or that none was."""
    texts = [
        _options(value, f"{before}{key}.") if isinstance(value, Mapping) else f"`{before}{key}` {value}"
        for key, value in options.items()
    ]
    return ", ".join(texts) or "as it stood"


def _points(score: float) -> str:
    return f"{100 * score:.1f}"


def deployment(document: Document) -> str:
    """What a deployment costs; its parts were measured apart."""
    return deployed.page(document, _table, provenance)


def kill(document: Document) -> str:
    """What 200 kills of a stand-in did."""
    return survived.standin(document, _table)


def poison(document: Document) -> str:
    """What a hospital's poison did to the others."""
    return survived.poison(document, _table)


def flower_kills(document: Document) -> str:
    """What kills of Flower's real processes did."""
    return survived.flower(document, _table)


def halfopen(document: Document) -> str:
    """Updates under half-finished handshakes, window by window."""
    windows = document["windows"]
    rows = [
        [
            w["kind"],
            *(str(w["updates"][name]) for name in w["updates"]),
            f"{w['a_minute']:.1f}",
            f"{w['load']:.1f}",
            str(w.get("held_at_most", "")),
        ]
        for w in windows
    ]
    heads = [
        "window",
        *(f"updates of {name}" for name in windows[0]["updates"]),
        "a minute",
        "the machine's load",
        "handshakes held",
    ]
    ratio, quiet = document["ratio"], document["quiet_to_quiet"]
    started = ", ".join(document["restarts"]) or "none"
    return _table(heads, rows) + (
        f"\n**Flood to quiet: {document['flood_to_quiet']:.2f}** over all windows; each window under the flood to the mean of the two "
        f"quiet ones beside it: median {ratio['median']:.2f}, from {ratio['min']:.2f} to {ratio['max']:.2f}. Quiet windows alone spread "
        f"from {quiet['min']:.2f} to {quiet['max']:.2f} of their mean. Windows of {document['window_s']:.0f} s; {document['connections']} "
        f"half-finished handshakes held at once. Processes started again: {started}.\n"
    )


TABLES: Mapping[str, Callable[[Document], str]] = {
    "overhead": overhead,
    "scale": scale,
    "erasure": erasure,
    "search": search,
    "deployment": deployment,
    "kill": kill,
    "flower_kills": flower_kills,
    "poison": poison,
    "halfopen": halfopen,
}
MEASURED_APART = {"deployment"}


def block(name: str, measured: Path) -> str:
    """What stands between the markers of one benchmark."""
    if not measured.exists():
        return NOTHING
    document = json.loads(measured.read_text(encoding="utf-8"))
    head = "" if name in MEASURED_APART else f"{provenance(document)}\n\n"
    return head + TABLES[name](document)


def provenance(document: Document) -> str:
    """Where a document's numbers come from."""
    machine, versions = document["machine"], document["versions"]
    changed = " with uncommitted changes" if document["changed"] else ""
    return (
        f"Seed {document['seed']}, commit {document['commit'][:12]}{changed}; {machine['processor']}, {machine['cores']} cores, load "
        f"{machine['load_before']:.1f} before it began; Python {versions['python']}, torch {versions['torch']}."
    )


def rewritten(page: str, results: Path) -> str:
    """The page with every table renewed; exits where a marker is missing."""
    for name in TABLES:
        page = replaced(page, "docs/benchmarks.md", name, "tables.py", block(name, results / f"{name}.json"))
    return page


def _size(size: Document, name: str) -> list[str]:
    point = size["points"][name]
    return [
        str(size["clients"]),
        str(point["applied"]),
        str(point["models_held"]),
        f"{point['models_held'] * size['model_mb']:.1f}",
        f"{point['resident_mb'] - size['empty_mb']:.0f}",
        f"{point['peak_mb'] - size['empty_mb']:.0f}",
        f"{point['checkpoint_mb']:.1f}",
        f"{point['journal_mb']:.2f}",
        f"{point['own_ms']:.1f}",
        f"{point['checkpoint_s']:.2f}",
    ]


def _identical(measured: Iterable[Document]) -> bool:
    return all(found["max"] == 0 for run in measured for name, found in run.items() if name.startswith("functions"))


def _ratio(found: Document, name: str) -> list[str]:
    return _spread(found[f"{name}_to_simulator"], _percent)


def _spread(found: Mapping[str, float], text: Callable[[float], str]) -> list[str]:
    return [text(found[key]) for key in ("median", "min", "max")]


def _small(value: float) -> str:
    return f"{value:.0e}" if value else "nothing"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _seconds(value: float) -> str:
    return f"{value:.2f}"


def _table(heads: list[str], rows: Iterable[list[str]]) -> str:
    rule = ["---", *(["---:"] * (len(heads) - 1))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, rule, *rows]) + "\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is not up to date")
    options = parser.parse_args()
    now = PAGE.read_text(encoding="utf-8")
    new = rewritten(now, RESULTS)
    if options.check:
        sys.exit(0 if new == now else "docs/benchmarks.md: not the numbers of benchmarks/results; run benchmarks/tables.py")
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
