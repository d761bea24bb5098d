"""The floor: the client merely leaves. Nothing of it enters any more, nothing is removed."""

from __future__ import annotations

from afuic.config import Section
from afuic.erase.method import Ask, Method, Plan


class Options(Section):
    """No options."""


def plan(options: Options, ask: Ask) -> Plan:
    """Fence and go on."""
    return Plan(merge="none")


METHOD = Method(
    name="continue",
    source="the usual floor, for example in FedEraser (arXiv 2012.13891)",
    summary="The client leaves and training goes on; nothing is removed.",
    needs_target=False,
    removes=False,
    options=Options,
    plan=plan,
)
