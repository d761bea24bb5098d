"""What every method in rounds has in common: the calibration of Cai & Zhang may be added to it, and some wait for their target.

Without it a method is as published. With it the server calibrates the model that the rounds gave, before it is released
(``consistency``), and goes on beside the training (``lasting``), as ``afuic-paper`` does.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from afuic.erase.consistency import Consistency, Lasting, guarded
from afuic.erase.method import Ask, Plan
from afuic.erase.rounds import Procedure


class InRounds(Procedure):
    """Options of every method that works in rounds."""

    consistency: Consistency | None = Field(
        None, description="calibration of the rounds' model before its release; none: not any"
    )
    lasting: Lasting | None = Field(None, description="calibration beside the training afterwards; none: not any")
    oracle: bool = Field(False, description="Φ stamps the trigger in these calibrations; marked in every table")


class NeedsTarget(InRounds):
    """Options of one whose target has to answer."""

    deadline_s: float = Field(
        600.0, gt=0, description="seconds to wait for the target while it is away; then the request fails"
    )


def in_rounds(options: InRounds, ask: Ask) -> Plan:
    """Pause, the rounds, calibration where it is asked for and there are images, overwrite."""
    plan = Plan(
        merge="replace",
        procedure=options,
        heal=options.consistency if ask.calibration else None,
        guard=guarded(options.lasting if ask.calibration else None),
        oracle=options.oracle,
    )
    return replace(plan, deadline_s=options.deadline_s) if isinstance(options, NeedsTarget) else plan
