"""From the folders of finished arms to the document: every row of every seed against the retrained models of its own case and seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from afuic.bench.document import Arm, Costs, Curve, Outcome, Phases, Retrained, Seed, Spent, Values
from afuic.bench.extras import EXTRAS
from afuic.bench.task import RESULT
from afuic.bench.working import about
from afuic.config import Config
from afuic.engines.description import of_others, requested
from afuic.engines.finished import measured_probs, outcome
from afuic.evaluate.distance import js, js_to_set
from afuic.evaluate.gaps import AFTER, MEASURES, spread, z
from afuic.evaluate.resurfacing import resurfacing
from afuic.params import NOT_FINITE

COLUMNS = ("t", "accuracy", "forget_accuracy", "forget_loss", "asr_excess")
NOTHING: dict[str, Any] = {"phases": {}, "curve": [], "applied": {}}
"""What a past that could not be run is taken for."""
SWING_S = 240.0
"""A dip is measured against what retrained models' accuracy did within so many seconds before, so that their swing counts."""
Probs = npt.NDArray[np.float64]
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where one seed of a case lies: ``folder`` its own arms; ``references`` and ``past`` perhaps another case's; ``pasts``: by row,
    the past it branches from.
    """

    config: Config
    folder: Path
    references: Path
    past: Path
    pasts: Mapping[str, Path]
    extras: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The retrained references."""
        return [f"retrain/{i}" for i in range(self.config.evaluation.retrained)]


def complete(place: Place) -> bool:
    """Whether the shared past and all references are there, so that rows can be measured."""
    needed = [place.past / RESULT, *(place.references / name / RESULT for name in place.names)]
    return all(path.exists() for path in needed)


def gather(place: Place, rows: Iterable[str]) -> Seed:
    """One seed: its reference, and every row that is finished."""
    past = NOTHING | outcome(place.past.parent, place.past.name)
    reference = Reference(place, of_others(place.config, past["applied"]))
    finished = [name for name in rows if (place.folder / name / RESULT).exists()]
    return Seed.model_validate(
        {
            "requests": requested(place.config),
            "clients": about(place.past).get("clients", {}),
            "sizes": about(place.past).get("sizes"),
            "before": _values(past["phases"].get("before", {}), place.config),
            "past": _curve(past["curve"]),
            "commit": about(place.past).get("commit"),
            "retrained": reference.document(),
            "arms": {name: _arm(place, name, reference) for name in finished},
        }
    )


class Reference:
    """What the retrained runs of one seed say together. ``lost``: updates of the others before the request, which retraining lets go."""

    def __init__(self, place: Place, lost: int) -> None:
        self.place, self.lost = place, lost
        found = {name: outcome(place.references, name) for name in place.names}
        self.names = [name for name, run in found.items() if run.get("failed") is None and "error" not in run]
        self.runs = [found[name] for name in self.names]
        self.diverged = len(found) - len(self.names)

    @cached_property
    def probs(self) -> dict[str, list[Probs]]:
        """Test-set probabilities by phase."""
        found = {p: [measured_probs(self.place.references, name, p) for name in self.names] for p in AFTER}
        return {p: [q for q in each if q is not None] for p, each in found.items()}

    @cached_property
    def phases(self) -> dict[str, dict[str, list[float | None]]]:
        """By phase and measure: one value for each run."""
        each = [self._of(i) for i in range(len(self.runs))]
        extra = {m: v for name in self.place.extras for m, v in EXTRAS[name].reference(self.place, self.names).items()}
        phases = {p: {m: [run[p][m] for run in each] for m in each[0][p]} for p in (*AFTER, "after")} if each else {}
        return phases | ({"extra": extra} if extra else {})

    def _of(self, index: int) -> Phases:
        run, others = self.runs[index], [r for i, r in enumerate(self.runs) if i != index]
        phases = {p: _values(run["phases"][p], self.place.config) for p in AFTER}
        for p in AFTER:
            apart = [js(self.probs[p][index], q) for i, q in enumerate(self.probs[p]) if i != index]
            phases[p]["js_to_retrain"] = fmean(apart) if apart else None
        return phases | {"after": after(run, others)}

    def z(self, phases: Phases, without: int | None = None) -> Phases:
        """The gap of each measure, against all runs or all but one."""
        out: Phases = {}
        for p, values in phases.items():
            if p in self.phases:
                others = {m: [v for i, v in enumerate(each) if i != without] for m, each in self.phases[p].items()}
                out[p] = {m: z(v, **spread([o for o in others[m] if o is not None])) for m, v in values.items() if m in others}
        return out

    @property
    def latency_s(self) -> float | None:
        """How long retraining took, of the first run."""
        return self.runs[0]["latency_s"] if self.runs else None

    def document(self) -> Retrained:
        """Its part of the document."""
        alone = [
            self.z({p: {m: v[i] for m, v in each.items()} for p, each in self.phases.items()}, i) for i in range(len(self.runs))
        ]
        left_out = {p: {m: tuple(one[p][m] for one in alone) for m in each} for p, each in self.phases.items()} if alone else {}
        return Retrained(
            runs=len(self.runs),
            diverged=self.diverged,
            latency_s=self.latency_s,
            costs=_costs(self.runs[0], None, self.latency_s, self.lost) if self.runs else None,
            commits=tuple(sorted({c for name in self.names if (c := about(self.place.references / name).get("commit"))})),
            phases={p: {m: tuple(v) for m, v in each.items()} for p, each in self.phases.items()},
            left_out=left_out,
            released_t=tuple(run["released_t"] for run in self.runs),
            curves=tuple(curve for run in self.runs if (curve := _curve(run["curve"])) is not None),
        )


def after(found: Found, references: Sequence[Found]) -> Values:
    """The worst of what the curve shows from the release on: design section 5, resurfacing, and how far accuracy dips."""
    since = found["released_t"]
    if since is None:
        return {}
    points = [p["accuracy"] for p in found["curve"] if p["t"] >= since]
    return {
        **resurfacing(found["curve"], since),
        "accuracy_min": min(points, default=None),
        "dip": dip(found, references),
    }


def dip(found: Found, references: Sequence[Found]) -> float | None:
    """Share of evaluations after the release whose accuracy lies more than 2 sd below retraining's mean; None without two references.

    Mean and sd are over all references and their evaluations in the last 240 s up to the same time after their own release.
    """
    below = []
    for point in found["curve"]:
        since = point["t"] - found["released_t"]
        near = [p["accuracy"] for r in references for p in r["curve"] if since - SWING_S <= p["t"] - r["released_t"] <= since]
        if since >= 0 and len(near) > 1:
            below.append(point["accuracy"] < fmean(near) - 2 * stdev(near))
    return fmean(below) if below and len(references) > 1 else None


def _arm(place: Place, name: str, reference: Reference) -> Arm:
    found, at = outcome(place.folder, name), place.pasts[name]
    noted = about(place.folder / name)
    if "error" in found:
        return _broken(found["error"], noted)
    phases = {p: _values(found["phases"][p], place.config) for p in AFTER if p in found["phases"]}
    for p, values in phases.items():
        probs = measured_probs(place.folder, name, p)
        values["js_to_retrain"] = None if probs is None else js_to_set(probs, reference.probs[p])
    worst = after(found, reference.runs) if found["failed"] is None else {}
    phases |= {"after": worst} if worst else {}
    extra = {m: v for each in place.extras for m, v in EXTRAS[each].of(place, name).items()}
    phases |= {"extra": extra} if extra else {}
    past = outcome(at.parent, at.name)
    own = at != place.past
    return Arm(
        outcome=_outcome(found),
        reason=found["failed"],
        notes=_notes(found),
        commit=noted.get("commit"),
        costs=_costs(found, past, reference.latency_s),
        spent=_spent(noted),
        healing=found["healing"],
        digest=found["digest"],
        released_t=found["released_t"],
        phases=phases,
        z=reference.z(phases),
        hospitals={p: found["phases"][p]["hospitals"] for p in phases if p in AFTER},
        sensitivity={p: tuple(found["phases"][p]["sensitivity"]) for p in phases if p in AFTER},
        curve=_curve(found["curve"]),
        before=_values(past["phases"].get("before", {}), place.config) if own else None,
        past=_curve(past["curve"]) if own else None,
    )


def _outcome(found: Found) -> Outcome:
    failed = found["failed"]
    if failed is None:
        return "released"
    return "diverged" if failed.startswith("diverged") or NOT_FINITE in failed else "failed"


def _notes(found: Found) -> tuple[str, ...]:
    """What the requests' records say, less the failure that is the arm's own."""
    said = (f"{request}: {note}" for request, record in found["requests"].items() for note in record["notes"])
    return tuple(text for text in said if text != found["failed"])


def _broken(why: str, noted: Found) -> Arm:
    nothing = Costs(**dict.fromkeys(Costs.model_fields))
    more: dict[str, Any] = {"phases": {}, "z": {}, "hospitals": {}, "sensitivity": {}, "curve": None}
    return Arm(
        outcome="failed",
        reason=why,
        commit=noted.get("commit"),
        costs=nothing,
        spent=_spent(noted),
        digest=None,
        released_t=None,
        **more,
    )


def _costs(found: Found, past: Found | None, retraining_s: float | None, lost: int = 0) -> Costs:
    latency, account = found["latency_s"], found["account"]
    released, before = found["phases"].get("released"), (past or {}).get("phases", {}).get("before")
    return Costs(
        latency_s=latency,
        latency_to_retrain=latency / retraining_s if latency is not None and retraining_s else None,
        stall_client_s=account["stall_client_s"],
        updates_lost=found["lost"] + lost,
        updates_quarantined=found["quarantined"],
        bytes_moved=int(account["bytes_moved"]),
        bytes_stored=int(account["bytes_stored"]),
        server_s=account["server_s"],
        staleness=max(released["version"] - before["version"], 0) if released and before else None,
        updates_after=found["after_per_client"] if latency is not None else None,
    )


def _spent(noted: Found) -> Spent:
    names = ("checkpoint_bytes",) if noted.get("resumed", True) else tuple(Spent.model_fields)
    return Spent(**{name: noted.get(name) for name in names})


def _values(phase: Found, config: Config) -> Values:
    """The measures of a phase, and accuracy at the hospital that asked and stays, and at the worst of those that stay."""
    if not phase:
        return {}
    first = config.requests[0]
    gone = {r.client for r in config.requests if r.patients is None}
    staying = [v for name, v in phase["hospitals"].items() if name not in gone and v is not None]
    own = None if first.patients is None else phase["hospitals"][first.client]
    return {m: phase[m] for m in MEASURES} | {"worst_hospital": min(staying, default=None), "own_hospital": own}


def _curve(points: Sequence[Found]) -> Curve | None:
    columns = {name: tuple(_rounded(p.get(name)) for p in points) for name in COLUMNS}
    return Curve.model_validate(columns) if points else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
