"""The page's tables, as plain rows of text: measures down, methods across, so that they also read well on a narrow screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from afuic.evaluate.results import AfterName, Method, Results
from afuic.report.measures import MEASURES, Measure, gap, label, reference, value
from afuic.report.words import MISSING, NOTABLE, duration, number, percent, signed, size, verdict


@dataclass(frozen=True)
class Cell:
    """A value and, below it, what it means; ``notable`` cells are also set apart by weight and a rule."""

    text: str
    words: str = ""
    notable: bool = False


@dataclass(frozen=True)
class Row:
    """A measure with one cell for each column."""

    label: str
    hint: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Columns, without the first one of labels, and rows."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def outcome(results: Results) -> Table:
    """What each method achieved, in few rows."""
    return _table(
        results,
        ("Time to release", "from the request", _latency),
        ("Others kept waiting", "added up over all hospitals", lambda m: Cell(duration(m.stall_client_s))),
        ("Updates of others lost", "", lambda m: Cell(str(m.updates_lost))),
        ("Test accuracy", "at the release → at the end", lambda m: _both(m, "accuracy")),
        ("Forget accuracy", "at the release → at the end", lambda m: _both(m, "forget_accuracy")),
        ("Excess attack success", "before → release → end", _attack),
        ("… highest after the release", "resurfacing", lambda m: Cell(percent(m.resurfacing.asr_excess_max))),
        ("Membership attack", "at the end; 0.5 is chance", lambda m: Cell(number(value(m, "final", "mia_auc")))),
        ("Distance to retrained models", "at the end, and that between retrained models (floor)", _distance),
    )


def costs(results: Results) -> Table:
    """What each method needed."""
    return _table(
        results,
        ("Work of the server", "virtual time", lambda m: Cell(duration(m.server_s))),
        ("Data sent", "because of the erasure", lambda m: Cell(size(m.bytes_moved))),
        ("Data kept", "so that erasure is possible", lambda m: Cell(size(m.bytes_stored))),
        (
            "Updates refused",
            "late ones of the erased hospital, and any that were unusable",
            lambda m: Cell(str(m.updates_quarantined)),
        ),
        ("Erased hospital needed", "", lambda m: Cell("yes" if m.needs_target else "no")),
        (
            "Updates per hospital",
            "after the release; for so long resurfacing was watched",
            lambda m: Cell(number(m.updates_after_release_per_client, 1)),
        ),
        ("Shown the mark", "an oracle: its numbers show the effect of that leak", lambda m: Cell("yes" if m.oracle else "no")),
    )


def gaps(results: Results, phase: AfterName) -> Table:
    """Every measure with z in words, beside retraining's mean and spread. The method ``retrain`` is the reference, not a column."""
    others = {name: method for name, method in results.methods.items() if name != "retrain"}
    columns = ("retrained models", *(label(name, method) for name, method in others.items()))
    rows = tuple(_gap_row(results, others, phase, measure) for measure in MEASURES if _known(others, phase, measure))
    return Table(columns, rows)


def settings(config: Mapping[str, Any], path: str = "") -> list[tuple[str, str]]:
    """A configuration as (dotted key, value) pairs, lists of tables numbered from 0."""
    pairs = []
    for key, found in config.items():
        if isinstance(found, Mapping):
            pairs += settings(found, f"{path}{key}.")
        elif isinstance(found, list) and any(isinstance(item, Mapping) for item in found):
            pairs += settings({str(index): item for index, item in enumerate(found)}, f"{path}{key}.")
        else:
            pairs.append((f"{path}{key}", _plain(found)))
    return pairs


def _plain(found: Any) -> str:
    if isinstance(found, list | tuple):
        return ", ".join(_plain(item) for item in found) or "none"
    return {True: "yes", False: "no", None: "none"}.get(found, str(found)) if isinstance(found, bool | None) else str(found)


def _table(results: Results, *rows: tuple[str, str, Callable[[Method], Cell]]) -> Table:
    columns = tuple(label(name, method) for name, method in results.methods.items())
    filled = (Row(head, hint, tuple(make(method) for method in results.methods.values())) for head, hint, make in rows)
    return Table(columns, tuple(filled))


def _latency(method: Method) -> Cell:
    if method.erasure_latency_s is None:
        return Cell(MISSING, "no release")
    share = method.latency_to_retrain
    return Cell(duration(method.erasure_latency_s), "" if share is None or share == 1 else f"{percent(share)} of retraining's")


def _both(method: Method, key: str) -> Cell:
    final = gap(method, "final", key)
    text = f"{percent(value(method, 'released', key))} → {percent(value(method, 'final', key))}"
    return Cell(text, "" if final is None else f"end: z {signed(final)}, {verdict(final)}", _notable(final))


def _attack(method: Method) -> Cell:
    return Cell(" → ".join(percent(value(method, phase, "asr_excess")) for phase in ("before", "released", "final")))


def _distance(method: Method) -> Cell:
    floor = value(method, "final", "js_floor")
    return Cell(number(value(method, "final", "js_to_retrain")), "" if floor is None else f"floor {number(floor)}")


def _known(methods: Mapping[str, Method], phase: AfterName, measure: Measure) -> bool:
    return any(value(method, phase, measure.key) is not None for method in methods.values())


def _gap_row(results: Results, methods: Mapping[str, Method], phase: AfterName, measure: Measure) -> Row:
    found = reference(results, phase, measure.key)
    mean = Cell(MISSING) if found is None else Cell(measure.show(found[0]), f"± {measure.show(found[1])}")
    return Row(measure.label, measure.hint, (mean, *(_gap_cell(method, phase, measure) for method in methods.values())))


def _gap_cell(method: Method, phase: AfterName, measure: Measure) -> Cell:
    z, shown = gap(method, phase, measure.key), value(method, phase, measure.key)
    if shown is None:
        return Cell(MISSING, "not measured")
    return Cell(measure.show(shown), verdict(z) if z is None else f"z {signed(z)}, {verdict(z)}", _notable(z))


def _notable(z: float | None) -> bool:
    return z is not None and abs(z) > NOTABLE
