"""Every method in rounds can be calibrated as the paper calibrates its own, and is not unless it is asked to be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from afuic.erase import METHODS, Ask
from afuic.erase.consistency import ENDLESS, Consistency, Lasting, guarded
from afuic.erase.method import Guard, Plan
from afuic.erase.peers.calibrating import NeedsTarget
from afuic.erase.rounds import Procedure
from afuic.errors import ConfigError

ASK = Ask(whole=True, reachable=True, calibration=True, elapsed_s=60.0)
BOTH = {"consistency": {}, "lasting": {}}
ROUNDS = [name for name, method in METHODS.items() if issubclass(method.options, Procedure)]


def plan(name: str, ask: Ask = ASK, **options: object) -> Plan:
    return METHODS[name].configure(options).plan(ask)


def test_these_are_all_that_work_in_rounds() -> None:
    assert [name for name, method in METHODS.items() if method.pauses] == ROUNDS
    assert len(ROUNDS) == 12


@pytest.mark.parametrize("name", ROUNDS)
class TestInRounds:
    """Of a method in rounds, by its name."""

    def test_as_published_it_is_not_calibrated(self, name: str) -> None:
        found = plan(name)
        assert (found.heal, found.guard, found.oracle) == (None, Guard(versions=0, calibration=None), False)

    def test_its_calibration_is_that_of_the_papers_own_method(self, name: str) -> None:
        found, paper = plan(name, **BOTH, oracle=True), METHODS["afuic-paper"].configure({}).plan(ASK)
        assert (found.heal, found.guard) == (paper.heal, paper.guard)
        assert (found.merge, found.procedure, found.oracle) == (
            "replace",
            METHODS[name].configure({**BOTH, "oracle": True}).options,
            True,
        )

    def test_nothing_else_changes(self, name: str) -> None:
        found, published = plan(name, **BOTH), plan(name)
        own = {"procedure": published.procedure, "heal": None, "guard": published.guard}
        assert replace(found, **own) == published  # type: ignore[arg-type]

    def test_without_images_there_is_none(self, name: str) -> None:
        found = plan(name, replace(ASK, calibration=False), **BOTH)
        assert (found.heal, found.guard.calibration) == (None, None)

    def test_who_needs_the_target_waits_for_it(self, name: str) -> None:
        assert issubclass(METHODS[name].options, NeedsTarget) == METHODS[name].needs_target
        if METHODS[name].needs_target:
            assert plan(name, deadline_s=7.0).deadline_s == 7.0


def test_a_calibration_with_one_setting_changed_is_the_papers_for_the_rest() -> None:
    found = plan("not", consistency={"steps": 7})
    assert found.heal == Consistency(steps=7)
    assert (found.heal.distil, found.heal.invariance, found.heal.gain) == (0, 1, None)
    assert METHODS["afuic-paper"].configure({"calibration": {"steps": 7}}).plan(ASK).heal == found.heal


def test_the_guard_lasts_and_has_no_teacher() -> None:
    guard = guarded(Lasting(steps=2))
    assert (guard.versions, guard.teacher, guard.project, guard.server_step) == (ENDLESS, False, False, 1)
    assert guard.calibration is not None
    assert (guard.calibration.steps, guard.calibration.distil, guard.calibration.invariance) == (2, 0, 1)


def test_there_is_nothing_to_distil_beside_the_training() -> None:
    with pytest.raises(ConfigError, match=r"options\.not\.lasting\.distil: "):
        METHODS["not"].configure({"lasting": {"distil": 1.0}})


def test_what_merely_leaves_can_be_calibrated_beside_the_training() -> None:
    found = plan("continue", lasting={}, oracle=True)
    assert (found.merge, found.heal, found.guard, found.oracle) == ("none", None, guarded(Lasting()), True)
    assert plan("continue") == Plan(merge="none")
