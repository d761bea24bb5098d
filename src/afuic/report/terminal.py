"""The methods side by side on a terminal, at the end of a run."""

from __future__ import annotations

from rich.table import Table

from afuic.evaluate.results import AfterName, Method, Results
from afuic.report.measures import gap, label, readable, value
from afuic.report.words import MISSING, duration, number, percent, signed

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
        shown.add_row(_name(name, method), *_cells(method))
    return shown


def _caption(results: Results) -> str:
    if results.retrained is None:
        return "retraining was not run, so there is no z; ASR: attack success rate"
    return f"z: gap in units of the spread of {results.retrained.runs} retrained models; ASR: attack success rate; times are virtual"


def _name(name: str, method: Method) -> str:
    return f"{label(name, method)}\nnever released" if method.failed else label(name, method)


def _cells(method: Method) -> list[str]:
    final = method.phases.get("final")
    return [
        _latency(method),
        duration(method.stall_client_s),
        str(method.updates_lost),
        _with_z(method, "released", "accuracy"),
        _with_z(method, "final", "accuracy"),
        _with_z(method, "final", "forget_accuracy"),
        " / ".join(number(value(method, phase, "asr_excess"), 2) for phase in ("before", "released", "final")),
        number(method.resurfacing.asr_excess_max, 2),
        number(final.mia_auc if final else None, 2),
        f"{number(final.js_to_retrain if final else None)}\n({number(final.js_floor if final else None)})",
    ]


def _latency(method: Method) -> str:
    share = MISSING if method.latency_to_retrain is None else percent(method.latency_to_retrain)
    return f"{duration(method.erasure_latency_s)}\n({share})" if method.erasure_latency_s is not None else MISSING


def _with_z(method: Method, phase: AfterName, key: str) -> str:
    z = gap(method, phase, key)
    shown = percent(value(method, phase, key))
    return shown if z is None else f"{shown}\nz {signed(z)}"
