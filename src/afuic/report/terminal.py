"""The methods side by side on a terminal, at the end of a run."""

from __future__ import annotations

from rich.table import Table

from afuic.evaluate.results import CONTINUE, NOT_ERASED, AfterName, Method, Results
from afuic.report.measures import MEASURES, gap, judge, label, readable, value
from afuic.report.summary import verdict
from afuic.report.tables import undefined
from afuic.report.words import MISSING, UNDEFINED, duration, number, percent, signed

COLUMNS = (
    "latency\n(of retrain)",
    "stall",
    "lost",
    "accuracy\nreleased",
    "accuracy\nfinal",
    "forget acc.\nfinal",
    "excess ASR\nbef./rel./fin.",
    "max excess\nafter",
    "MIA\nAUC",
    "JS to retrain\n(floor)",
)


def table(results: Results) -> Table:
    """Methods as rows; z, in units of retraining's spread, beside the values it belongs to. A failed method says so."""
    results = readable(results)
    shown = Table(title=f"{results.name}, seed {results.seed}", caption=_caption(results))
    shown.add_column("method", no_wrap=True)
    for column in COLUMNS:
        shown.add_column(column, justify="right")
    for name, method in results.methods.items():
        shown.add_row(_name(name, method), *_cells(results, method))
    return shown


def _caption(results: Results) -> str:
    none = [f"n/a: {label.lower()}: {why}" for label, why in _undefined(results).items()]
    if results.retrained is None:
        return "; ".join(["there is no retrained model, so there is no z; ASR: attack success rate", *none])
    said = (
        f"z: gap in units of the spread of {results.retrained.runs} retrained models; apart: outside of where 95 of 100 more would lie; "
        "ASR: attack success rate; times are virtual"
    )
    return "\n".join([verdict(results), "; ".join([said, *none])])


def _undefined(results: Results) -> dict[str, str]:
    """Measures of the last phase that have no value, by name, and why."""
    finals = [found for method in results.methods.values() if (found := method.phases.get("final")) is not None]
    shown = (m for m in MEASURES if m.key in {"asr_excess", "mia_auc"})
    return {m.label: undefined(results, m) for m in shown if finals and all(getattr(f, m.key) is None for f in finals)}


def _name(name: str, method: Method) -> str:
    return f"{label(name, method)}\nnever released" if method.failed else label(name, method)


def _cells(results: Results, method: Method) -> list[str]:
    final = method.phases.get("final")
    return [
        _latency(results, method),
        duration(method.stall_client_s),
        str(method.updates_lost),
        _with_z(results, method, "released", "accuracy"),
        _with_z(results, method, "final", "accuracy"),
        _with_z(results, method, "final", "forget_accuracy"),
        _attack(method),
        _defined(method, method.resurfacing.asr_excess_max),
        _defined(method, final.mia_auc if final else None),
        f"{number(final.js_to_retrain if final else None)}\n({number(final.js_floor if final else None)})",
    ]


def _attack(method: Method) -> str:
    known = [value(method, phase, "asr_excess") for phase in ("before", "released", "final")]
    return UNDEFINED if all(found is None for found in known) else " / ".join(number(found, 2) for found in known)


def _defined(method: Method, found: float | None) -> str:
    return UNDEFINED if found is None and "final" in method.phases else number(found, 2)


def _latency(results: Results, method: Method) -> str:
    if method is results.methods.get(CONTINUE):
        return NOT_ERASED
    share = MISSING if method.latency_to_retrain is None else percent(method.latency_to_retrain)
    return f"{duration(method.erasure_latency_s)}\n({share})" if method.erasure_latency_s is not None else MISSING


def _with_z(results: Results, method: Method, phase: AfterName, key: str) -> str:
    z, found = gap(results, method, phase, key), judge(results, method, phase, key)
    words = [*([] if z is None else [f"z {signed(z)}"]), *(["apart"] if found is not None and found.apart else [])]
    return "\n".join(part for part in (percent(value(method, phase, key)), " ".join(words)) if part)
