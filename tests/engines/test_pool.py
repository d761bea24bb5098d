"""The order in which arms are begun."""

from __future__ import annotations

from afuic.config import Config
from afuic.engines import pool
from afuic.engines.arm import Arm


def test_an_arm_begins_as_soon_as_what_it_waits_for_has_ended(tmp_path) -> None:
    begun = []
    arms = [
        Arm("branch", "afuic", "past"),
        Arm("elsewhere", "afuic", "not among them"),
        Arm("past", "afuic", None),
        Arm("last", "afuic", None),
    ]
    pool.run(lambda _, __, arm, ___: begun.append(arm.name), Config(), tmp_path, arms, 1, print)
    assert begun == ["elsewhere", "past", "branch", "last"]
