"""What is left is estimated from finished arms: of the same row first, side by side in as many processes as there are."""

from __future__ import annotations

import pytest

from afuic.bench.remaining import Remaining
from afuic.bench.task import Task
from afuic.engines.arm import Progress


def task(case: str, seed: int, local: str, past: str | None = "p") -> Task:
    folder = f"{case}/{seed}"
    return Task(f"{folder}/{local}", local, past, folder=folder, local=local)


A0, A1, B0, B1 = task("x", 0, "a"), task("x", 1, "a"), task("x", 0, "b"), task("x", 1, "b")


def test_nothing_is_claimed_before_anything_is_finished() -> None:
    assert Remaining([(A0, None), (B0, None)], 1, lambda: 0.0).seconds() is None


def test_rows_are_expected_to_take_as_long_as_before() -> None:
    # a took 10 s, b 30 s; one more of each is left: 40 s, or 20 s in two processes
    known = [(A0, 10.0), (B0, 30.0), (A1, None), (B1, None)]
    assert Remaining(known, 1, lambda: 0.0).seconds() == pytest.approx(40.0)
    assert Remaining(known, 2, lambda: 0.0).seconds() == pytest.approx(20.0)


def test_an_unknown_row_is_taken_for_one_of_its_case() -> None:
    # x took 10 s, y 30 s on average of any row: another row of y is expected to take 30 s
    known = [(A0, 10.0), (task("y", 0, "a"), 30.0), (task("y", 0, "b"), None)]
    assert Remaining(known, 1, lambda: 0.0).seconds() == pytest.approx(30.0)


def test_what_is_under_way_counts_less_and_what_is_done_teaches() -> None:
    now = [0.0]
    left = Remaining([(A0, 10.0), (A1, None), (B1, None)], 1, lambda: now[0])
    left.update(Progress(A1.name, 0.0, 1.0, 0, "", "running"))
    now[0] = 4.0
    # 6 s of a are left, and b is expected to take 10 s
    assert left.seconds() == pytest.approx(16.0)
    now[0] = 20.0
    left.update(Progress(A1.name, 1.0, 1.0, 0, "", "done"))
    # a took 10 and 20 s; b is expected to take their mean
    assert (left.done, left.all) == (2, 3)
    assert left.seconds() == pytest.approx(15.0)
