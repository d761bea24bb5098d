"""The page's tables, as plain rows of text: measures down, methods across, so that they also read well on a narrow screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from afuic.evaluate.gaps import Judged, Yardstick
from afuic.evaluate.results import CONTINUE, NOT_ERASED, AfterName, Method, Results
from afuic.report.measures import MEASURES, NO_MARK, Measure, gap, judge, label, reference, value
from afuic.report.words import MISSING, UNDEFINED, duration, number, percent, signed, size, verdict


@dataclass(frozen=True)
class Cell:
    """A value and, below it, what it means; ``notable`` cells are also set apart by weight and a rule: only what the test tells apart, and
    never what is better.
    """

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
        ("Time to release", "from the request", lambda m: _latency(results, m)),
        ("Others kept waiting", "added up over all hospitals", lambda m: Cell(duration(m.stall_client_s))),
        ("Updates of others lost", "", lambda m: Cell(str(m.updates_lost))),
        ("Test accuracy", "at the release → at the end", lambda m: _both(results, m, "accuracy")),
        ("Forget accuracy", "at the release → at the end", lambda m: _both(results, m, "forget_accuracy")),
        ("Excess attack success", "before → release → end", lambda m: _attack(results, m)),
        ("… highest after the release", "resurfacing", lambda m: _one(results, m, "asr_excess", m.resurfacing.asr_excess_max)),
        ("Membership attack", "at the end; 0.5 is chance", lambda m: _one(results, m, "mia_auc", value(m, "final", "mia_auc"))),
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
    rows = tuple(_gap_row(results, others, phase, measure) for measure in MEASURES if _known(others, phase))
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


def _latency(results: Results, method: Method) -> Cell:
    if method is results.methods.get(CONTINUE):
        return Cell(MISSING, NOT_ERASED)
    if method.erasure_latency_s is None:
        return Cell(MISSING, "no release")
    share = method.latency_to_retrain
    return Cell(duration(method.erasure_latency_s), "" if share is None or share == 1 else f"{percent(share)} of retraining's")


def _both(results: Results, method: Method, key: str) -> Cell:
    text = f"{percent(value(method, 'released', key))} → {percent(value(method, 'final', key))}"
    found = judge(results, method, "final", key)
    return Cell(text, "" if found is None else f"end: {_said(results, method, 'final', key)}", _notable(found))


def _attack(results: Results, method: Method) -> Cell:
    known = [value(method, phase, "asr_excess") for phase in ("before", "released", "final")]
    if all(found is None for found in known):
        return _one(results, method, "asr_excess", None)
    return Cell(" → ".join(percent(found) for found in known))


def _one(results: Results, method: Method, key: str, found: float | None) -> Cell:
    """A value alone, or why there is none though a model was measured."""
    measure = next(m for m in MEASURES if m.key == key)
    if found is None and method.phases:
        return Cell(UNDEFINED, undefined(results, measure))
    return Cell(measure.show(found))


def undefined(results: Results, measure: Measure) -> str:
    """Why a measure has no value in this run."""
    data = results.config.get("data")
    planted = isinstance(data, dict) and data.get("trigger") is not None
    return "no mark was planted" if measure.undefined == NO_MARK and not planted else measure.undefined or "undefined"


def _distance(method: Method) -> Cell:
    floor = value(method, "final", "js_floor")
    return Cell(number(value(method, "final", "js_to_retrain")), "" if floor is None else f"floor {number(floor)}")


def _known(methods: Mapping[str, Method], phase: AfterName) -> bool:
    return any(phase in method.phases for method in methods.values())


def _gap_row(results: Results, methods: Mapping[str, Method], phase: AfterName, measure: Measure) -> Row:
    found = reference(results, phase, measure.key)
    mean = (
        Cell(MISSING)
        if found is None
        else Cell(measure.show(found.mean), f"± {measure.show(found.sd)}{_allowed(measure, found)}")
    )
    return Row(
        measure.label, measure.hint, (mean, *(_gap_cell(results, method, phase, measure) for method in methods.values()))
    )


def _allowed(measure: Measure, found: Yardstick) -> str:
    """How far another retrained model may lie from the mean."""
    return "" if found.margin is None else f"; not apart within {measure.show(found.margin)}"


def _gap_cell(results: Results, method: Method, phase: AfterName, measure: Measure) -> Cell:
    shown = value(method, phase, measure.key)
    if shown is None:
        return Cell(UNDEFINED, undefined(results, measure)) if phase in method.phases else Cell(MISSING, "not measured")
    found = judge(results, method, phase, measure.key)
    return Cell(measure.show(shown), _said(results, method, phase, measure.key), _notable(found))


def _said(results: Results, method: Method, phase: AfterName, key: str) -> str:
    z, told = gap(results, method, phase, key), verdict(judge(results, method, phase, key))
    return told if z is None else f"z {signed(z)}, {told}"


def _notable(found: Judged | None) -> bool:
    return found is not None and found.apart and not found.better
