"""Facts gathered from a real run of the protocol: one hospital of two is erased, healed and purged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from erased import FACTS

from afuic.certify.canonical import canonical
from afuic.certify.facts import Done, books, done, how, method
from afuic.certify.statement import parse, statement
from afuic.config import Aggregation
from afuic.erase import METHODS
from afuic.erase.method import Ask, Plan
from afuic.erase.rounds import Procedure
from afuic.params import digest
from afuic.protocol import Rules, State, events, initial, step

AGGREGATION = Aggregation(rule="fedasync", lr=0.5, clip=1e6)


def rules(name: str, **options: Any) -> Rules:
    return Rules(AGGREGATION, METHODS[name].configure(options), calibration=True)


def vector(*numbers: float) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor(numbers, dtype=torch.float32)}


def erased(law: Rules) -> State:
    """Two hospitals contribute once each, the first is erased and the rest healed."""
    state = initial(vector(0, 0))
    for event in (events.ClientJoined(1.0, "a"), events.ClientJoined(2.0, "b")):
        state, _ = step(law, state, event)
    for t, name, delta in ((3.0, "a", vector(3, 4)), (4.0, "b", vector(6, 2))):
        task = state.task_of(name)
        assert task is not None
        state, _ = step(law, state, events.UpdateArrived(t, task.id, name, delta))
    state, _ = step(law, state, events.EraseRequested(5.0, "r", "a", None))
    if state.heal is not None:
        state, _ = step(law, state, events.CalibrationDone(6.0, state.heal.id, vector(1, 1), 7, (0.5, 0.25)))
    return state


def test_what_the_protocol_did() -> None:
    state = erased(rules("afuic", guard={"versions": 0}))
    found = done(state.requests["r"])
    # C_a = lr·[3, 4] with lr = 1/2, so its norm is 5/2; C_b is what b's update added
    ledger = state.ledger.clients["b@0"]["w"]
    cosine = round(float(ledger @ torch.tensor([3.0, 4.0])) / (5 * float(ledger.norm())), 3)
    own = Done("subtracted", ("a@0",), 2.5, False, (7, 0.5, 0.25), None, ())
    assert found == replace(own, median=round(float(ledger.norm()), 6), cosine=cosine)


def test_the_books_hold_every_model_of_the_ledger_and_nothing_of_the_erased() -> None:
    ledger = erased(rules("afuic", guard={"versions": 0})).ledger
    found = books(ledger, 3)
    assert [(e.kind, e.names) for e in found.entries] == [("origin", ()), ("contributor", ("b@0",)), ("server", ("a@0", "b@0"))]
    assert found.entries[1].digest == digest(ledger.clients["b@0"])


@pytest.mark.parametrize(("name", "options"), [("afuic", {"guard": {"versions": 0}}), ("continue", {})])
def test_it_makes_a_certificate(name: str, options: dict[str, Any]) -> None:
    law = rules(name, **options)
    state = erased(law)
    ledger = state.ledger
    facts = replace(
        FACTS,
        request=replace(FACTS.request, client="a", who="operator:o"),  # type: ignore[type-var]
        before=replace(FACTS.before, contributors=("a@0", "b@0")),  # type: ignore[type-var]
        after=replace(FACTS.after, contributors=ledger.contributors(), taught_by=ledger.taught_by()),  # type: ignore[type-var]
        books=books(ledger, FACTS.after.version),
        done=done(state.requests["r"]),
        verification=None,
    )
    called, source, every = method(law.method)
    made = parse(canonical(statement(replace(facts, method=called, source=source, options=every)))).predicate
    assert set(options) <= set(made.method.options)
    assert made.evidence.procedural.removal.contributors == ("a@0",)
    assert (made.evidence.procedural.removal.how == "nothing") == (name == "continue")


WAYS = {
    "afuic": "subtracted",
    "afuic-paper": "overwritten",
    "retrain": "restarted",
    "continue": "nothing",
    "sifu": "overwritten",
    "federaser": "overwritten",
    "knot": "restarted",
}


@pytest.mark.parametrize("name", WAYS)
def test_how_each_method_takes_influence_out(name: str) -> None:
    assert how(METHODS[name].configure({}).plan(Ask(True, True, True, 0.0))) == WAYS[name]


def test_scrubbing_is_unlearning_at_the_hospital() -> None:
    scrub = METHODS["afuic"].configure({"patients": "scrub"}).plan(Ask(False, True, True, 0.0))
    assert how(scrub) == "unlearned at the hospital"


def test_only_sifu_claims_a_guarantee_and_only_when_it_was_carried_out() -> None:
    record = erased(rules("afuic", guard={"versions": 0})).requests["r"]
    plan = METHODS["sifu"].configure({}).plan(Ask(True, True, True, 0.0))
    found = done(replace(record, plan=plan)).guarantee
    assert found is not None
    assert (found.epsilon, found.delta, found.sigma) == (1.0, 0.01, 0.025)
    assert found.rests_on[0].startswith("losses with a positive semi-definite")
    assert "every hospital knows" in found.rests_on[-1]
    assert done(replace(record, plan=replace(plan, oracle=True))).guarantee is None
    assert done(replace(record, plan=Plan(merge="replace", procedure=Procedure()))).guarantee is None
