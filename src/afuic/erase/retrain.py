"""The reference: start over without the data and train for as long as the model had been trained.

Nothing is inherited from the erased client: a fresh initial model, an empty ledger. Until it is done there is no model that can
be released, so its latency is the whole training time before the request.
"""

from __future__ import annotations

from afuic.config import Section
from afuic.erase.method import Ask, Method, Plan


class Options(Section):
    """No options."""


def plan(options: Options, ask: Ask) -> Plan:
    """Restart; release when as much time has passed as before the request."""
    return Plan(merge="restart", restart_s=ask.elapsed_s)


METHOD = Method(
    name="retrain",
    source="exact unlearning by definition",
    summary="Stop, start over without the data, train for as long as before: the reference.",
    needs_target=False,
    removes=False,
    options=Options,
    plan=plan,
)
