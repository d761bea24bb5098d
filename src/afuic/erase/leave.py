"""The floor: the client merely leaves. Nothing of it enters any more, nothing is removed.

With ``lasting`` it is the control of every comparison of calibrations: what a calibration does on its own, where nothing was erased.
"""

from __future__ import annotations

from pydantic import Field

from afuic.config import Section
from afuic.erase.consistency import Lasting, guarded
from afuic.erase.method import Ask, Method, Plan


class Options(Section):
    """None is needed: by default nothing is done."""

    lasting: Lasting | None = Field(None, description="calibration beside the training from then on; none: not any")
    oracle: bool = Field(False, description="Φ stamps the trigger in this calibration; marked in every table")


def plan(options: Options, ask: Ask) -> Plan:
    """Fence and go on."""
    return Plan(merge="none", guard=guarded(options.lasting if ask.calibration else None), oracle=options.oracle)


METHOD = Method(
    name="continue",
    source="the usual floor, for example in FedEraser (arXiv 2012.13891)",
    summary="Not erased: the client leaves and training goes on; nothing is removed.",
    needs_target=False,
    removes=False,
    options=Options,
    plan=plan,
)
