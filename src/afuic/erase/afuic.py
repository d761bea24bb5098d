"""AFU-IC, our default: subtract what the client contributed, heal on the server, rebase, guard; nobody waits.

Design section 2. Removal needs no client, healing needs only unlabelled images at the server, and the result is added to the model
of the moment, so that no update of the others is lost. Where the client can be reached it refines the result afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from afuic.config import Section
from afuic.erase.calibrate import Calibration
from afuic.erase.carriers import Carriers
from afuic.erase.method import Ask, Guard, Method, Plan, Teacher
from afuic.erase.scrub import Scrub


class Options(Section):
    """Every alternative of design section 2 behind one switch each; the defaults are the method issue's to measure."""

    heal: Calibration | None = Field(Calibration(), description="none: leave healing to the next updates")
    teacher: Teacher = Field("snapshot", description="who teaches while healing")
    server_steps: Literal["remove", "keep"] = Field(
        "keep", description="what becomes of server steps whose teacher contained c"
    )
    untaught: Literal["omit", "imitate"] = Field(
        "omit", description="classes that nobody who stays ever taught, in the teacher's answers"
    )
    ahead: Calibration | None = Field(
        None, description="how to heal ahead of any request while the server is idle; none: do not"
    )
    guard: Guard = Guard()
    carriers: Carriers = Carriers()
    client: Scrub | None = Field(None, description="refinement at the client, where it is reachable")
    patients: Literal["remove", "scrub", "both"] = Field("remove", description="form of patient erasure: (a), (b), (c)")
    patients_client: Scrub = Scrub()
    deadline_s: float = Field(600.0, gt=0, description="seconds to wait for the client")
    oracle: bool = Field(False, description="give Φ the trigger, to show what that leak is worth; marked in every table")


def plan(options: Options, ask: Ask) -> Plan:
    """Remove, heal, rebase, guard; for patients in one of three forms."""
    refine = options.client if ask.whole and ask.reachable else None
    removal = Plan(
        merge="rebase",
        remove=True,
        answer=options.server_steps == "remove",
        heal=options.heal if ask.calibration else None,
        teacher=options.teacher,
        scrub=refine,
        deadline_s=options.deadline_s,
        guard=options.guard if ask.calibration else options.guard.model_copy(update={"calibration": None}),
        carriers=options.carriers,
        oracle=options.oracle,
        omit_untaught=options.untaught == "omit",
    )
    if ask.whole or options.patients == "remove":
        return removal
    if options.patients == "both":
        return replace(removal, scrub=options.patients_client)
    return replace(removal, remove=False, heal=None, scrub=options.patients_client, scrub_first=True, fallback=removal)


METHOD = Method(
    name="afuic",
    source="this project (shared design, section 2); seed: Cai & Zhang, arXiv 2604.26809",
    summary="Subtract the client's contributions, heal by distillation at the server, rebase onto the running model, guard.",
    needs_target=False,
    removes=True,
    options=Options,
    plan=plan,
)
