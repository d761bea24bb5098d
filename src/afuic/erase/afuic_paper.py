"""AFU-IC as its paper describes it (Cai & Zhang, arXiv 2604.26809), so that it can be measured.

The target client unlearns from a stored snapshot by projected gradient ascent inside a ball around θ_ref (Halimi et al., arXiv
2207.05521); the calibration is consistency alone (Eq. 4), after unlearning and after every later aggregation; the result
overwrites the current model (Algorithm 1), so what was applied in between is lost. Of the paper only the abstract and introduction
and a reader's notes were at hand: step counts and rates are ours. Φ here is trigger-blind unless ``oracle`` is set.
"""

from __future__ import annotations

from pydantic import Field

from afuic.config import Section
from afuic.erase.consistency import Consistency, Lasting, guarded
from afuic.erase.method import Ask, Guard, Method, Plan
from afuic.erase.scrub import Scrub

ASCENT = Scrub(objective="ascent", steps=100, lr=0.005, retain=0.0, distil=0.0, stop_accuracy=0.25, bound=100.0, passes=1.0)
"""Chosen by benchmarks/ascent.py on validation images and seeds that are not reported."""


class Options(Section):
    """The paper's parts with this project's settings."""

    ascent: Scrub = ASCENT
    calibration: Consistency | None = Consistency()
    guard: Guard = guarded(Lasting())
    deadline_s: float = Field(600.0, gt=0, description="seconds to wait for the client; then the request fails")
    oracle: bool = Field(False, description="Φ stamps the trigger, as in a public prototype; marked in every table")


def plan(options: Options, ask: Ask) -> Plan:
    """Ascent at the client, consistency at the server, overwrite. Without the client there is nothing it can do."""
    calibrated = ask.calibration
    return Plan(
        merge="replace",
        heal=options.calibration if calibrated else None,
        scrub=options.ascent,
        scrub_first=True,
        deadline_s=options.deadline_s,
        guard=options.guard if calibrated else options.guard.model_copy(update={"calibration": None}),
        oracle=options.oracle,
    )


METHOD = Method(
    name="afuic-paper",
    source="Cai & Zhang, arXiv 2604.26809; ascent: Halimi et al., arXiv 2207.05521",
    summary="Projected gradient ascent at the client from a snapshot, consistency calibration, overwrite the model.",
    needs_target=True,
    removes=False,
    options=Options,
    plan=plan,
)
