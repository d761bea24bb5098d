"""Requests that repeat, overlap or contradict each other end in one defined way, and none is forgotten."""

from __future__ import annotations

import pytest
from rule_sets import rules
from world import World, values

from afuic.errors import IllegalEvent
from afuic.protocol import effects, events
from afuic.protocol.requests import PENDING, TABLE, TERMINAL, Phase, allowed

PLAIN = {"heal": {"steps": 1}, "guard": {"versions": 0}}


def world(clients: str = "abc", **options: object) -> World:
    """θ = 0.5·a[2, 4] + 0.5·b[6, 2] = [4, 3]."""
    out = World(rules("afuic", PLAIN | options), clients)
    out.train("a", 2, 4)
    out.train("b", 6, 2)
    return out


def test_the_same_request_twice_is_one_request() -> None:
    w = world()
    w.erase("r", "a")
    assert w.erase("r", "a") == ()
    w.calibrate(0, 0)
    assert w.erase("r", "a") == ()
    with pytest.raises(IllegalEvent, match="another client or other patients"):
        w.erase("r", "b")


def test_a_whole_client_covers_its_patients_before_and_after() -> None:
    w = world()
    w.erase("patients-before", "a", patients=1)
    w.erase("whole", "a")
    w.erase("patients-after", "a", patients=2)
    w.erase("whole-again", "a")
    for request in ("patients-before", "patients-after", "whole-again"):
        assert (w.phase(request), w.record(request).covered_by) == ("superseded", "whole")
    w.calibrate(0, 0)
    assert w.model == [3, 1]
    assert [w.phase(r) for r in w.state.requests] == ["superseded", "purging", "superseded", "superseded"]


def test_nobody_is_healed_who_is_covered_in_the_same_event() -> None:
    w = world()
    w.erase("patients", "a", patients=1)
    w.erase("more", "a", patients=1)
    began = [e for e in w.erase("whole", "a") if isinstance(e, effects.Calibrate)]
    # one order, for the whole client, and it is the one that is waited for
    assert [e.job for e in began] == [w.state.heal.id]
    assert w.state.heal.requests == ("whole",)


def test_patients_of_one_client_one_after_the_other() -> None:
    w = world()
    w.erase("r1", "a", patients=1)
    w.train("a", 2, 0)
    w.erase("r2", "a", patients=1)
    w.erase("r3", "a", patients=1)
    w.calibrate(0, 0)
    # r2 joined r1, r3 came too late for that: [4, 3] + [1, 0] − C_{a@0} [1, 2] − C_{a@1} [1, 0], each once
    assert w.model == [3, 1]
    assert [r.id for r in w.state.in_phase(*PENDING)] == ["r3"]
    w.calibrate(0, 0)
    assert w.model == [3, 1]
    assert w.state.clients["a"].epoch == 3


def test_withdrawing_lifts_the_fence() -> None:
    w = world()
    w.erase("r", "a")
    w.withdraw("r")
    assert w.phase("r") == "withdrawn"
    w.train("a", 2, 0)
    assert w.model == [5, 3]
    assert values(w.state.ledger.clients["a@0"]) == [2, 2]
    assert w.go(events.CalibrationDone, "heal/0", w.state.model) == ()


def test_withdrawing_patients_joins_the_accounts_again() -> None:
    w = world()
    w.erase("r", "a", patients=1)
    w.withdraw("r")
    assert values(w.state.ledger.clients["a@1"]) == [1, 2]
    assert "a@0" not in w.state.ledger.clients


def test_withdrawing_one_of_two_patient_requests_leaves_the_other_its_contributions() -> None:
    w = world()
    w.erase("r1", "a", patients=1)
    w.erase("r2", "a", patients=1)
    w.withdraw("r2")
    w.calibrate(0, 0)
    # r1 is still owed C_{a@0} [1, 2]
    assert w.model == [3, 1]


def test_withdrawing_a_cover_starts_what_it_had_covered_again() -> None:
    w = world()
    w.erase("patients", "a", patients=1)
    w.erase("whole", "a")
    w.withdraw("whole")
    assert w.phase("patients") == "healing"
    assert w.record("patients").covered_by is None
    assert effects.Moved("patients", "superseded", "healing", "cover withdrawn") in w.effects
    w.calibrate(0, 0)
    assert w.model == [3, 1]
    assert w.state.clients["a"].fenced_by is None
    assert not w.state.clients["a"].erased


def test_of_several_covered_requests_the_whole_one_covers_the_rest() -> None:
    w = world()
    w.erase("whole", "a")
    w.erase("patients", "a", patients=1)
    w.erase("whole-again", "a")
    w.withdraw("whole")
    assert (w.phase("whole-again"), w.phase("patients")) == ("healing", "superseded")
    assert w.record("patients").covered_by == "whole-again"
    assert w.state.clients["a"].fenced_by == "whole-again"


def test_a_released_request_cannot_be_withdrawn() -> None:
    w = world()
    w.erase("r", "a")
    w.calibrate(0, 0)
    with pytest.raises(IllegalEvent, match="purging cannot become withdrawn"):
        w.withdraw("r")


def test_a_restart_cannot_be_withdrawn() -> None:
    w = World(rules("retrain"))
    w.erase("r", "a")
    with pytest.raises(IllegalEvent, match="rebuilding cannot become withdrawn"):
        w.withdraw("r")


def test_the_purge_completes_a_request_once() -> None:
    w = world()
    w.erase("r", "a")
    with pytest.raises(IllegalEvent, match="healing cannot become completed"):
        w.go(events.Purged, "r")
    w.calibrate(0, 0)
    assert w.last(effects.Purge) == effects.Purge("r", "a", True)
    w.go(events.Purged, "r")
    assert w.phase("r") == "completed"
    with pytest.raises(IllegalEvent):
        w.go(events.Purged, "r")


def test_erasing_everybody_ends_every_window() -> None:
    w = world("ab", guard={"versions": 1000})
    w.erase("r1", "a")
    w.calibrate(0, 0)
    w.erase("r2", "b")
    w.calibrate(0, 0)
    # nobody is left to take a step
    assert w.model == [0, 0]
    assert [w.phase(r) for r in ("r1", "r2")] == ["purging", "purging"]


def test_a_completed_request_holds_no_model() -> None:
    w = world(guard={"versions": 0, "project": True}, client={"bound": 1.0})
    w.erase("r", "a")
    w.calibrate(0, 0)
    w.unlearn("a", 0, 0)
    w.go(events.Purged, "r")
    record = w.record("r")
    assert [record.snapshot, record.scrubbed, record.direction, record.teachers] == [None, None, None, ()]
    assert w.state.clients["a"].last is None


def test_a_client_that_withdrew_patients_leaves_no_old_model_behind() -> None:
    w = world()
    assert w.state.clients["a"].last is not None
    w.erase("r", "a", patients=1)
    w.calibrate(0, 0)
    assert w.state.clients["a"].last is None


def test_the_table_ends() -> None:
    leaving = {before for before, _ in TABLE}
    assert set(Phase) - leaving == TERMINAL - {Phase.SUPERSEDED}
    assert {p for p in Phase if p.pending} & TERMINAL == set()


@pytest.mark.parametrize("phase", Phase)
def test_the_table_refuses_what_it_does_not_list(phase: Phase) -> None:
    with pytest.raises(IllegalEvent, match=phase.value):
        allowed(phase, "magic", Phase.COMPLETED)
