"""The virtual clock's traces, by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from afuic.config import Clock
from afuic.engines.fleet import Fleet, build

NAMES = ("a", "b", "c")


def plain(absences: tuple[tuple[float, float], ...] = ()) -> Fleet:
    clock = Clock(sample_s=0.1, jitter=0.0, link_mb_s=2.0, latency_s=0.5, server_speed=4.0)
    return Fleet(clock, 0, {"a": 3.0}, {"a": absences})


def test_times_by_hand() -> None:
    fleet = plain()
    assert fleet.work_s("a", 0, 20) == pytest.approx(20 * 0.1 * 3.0)
    assert fleet.link_s(4_000_000) == pytest.approx(0.5 + 4 / 2)
    assert fleet.server_s(20) == pytest.approx(20 * 0.1 / 4)


@pytest.mark.parametrize(
    ("start", "work", "end"),
    [
        (0, 5, 5),  # done before the absence at 10
        (0, 12, 19),  # 10 s of work, away from 10 to 17, 2 s more
        (12, 3, 20),  # asked while away: starts at 17
        (18, 4, 22),  # after it
        (5, 5, 10),  # done in the very moment it leaves
    ],
)
def test_work_rests_while_a_client_is_away(start: float, work: float, end: float) -> None:
    assert plain(((10, 17),)).finish("a", start, work) == pytest.approx(end)


def test_switched_off_for_good_never_finishes() -> None:
    fleet = plain(((10, math.inf),))
    assert fleet.finish("a", 8, 3) == math.inf
    assert fleet.online("a", 9.9)
    assert not fleet.online("a", 10)


def test_traces_follow_the_seed_and_name_alone() -> None:
    clock = Clock(online=0.7, offline_mean_s=20, stragglers=1, straggler_factor=5)
    one, two = build(clock, 4, NAMES, {}), build(clock, 4, NAMES, {})
    assert one == two
    assert build(clock, 5, NAMES, {}).slowness != one.slowness
    more = build(clock.model_copy(update={"stragglers": 0}), 4, (*NAMES, "d"), {})
    slowed = [n for n in NAMES if one.slowness[n] != more.slowness[n]]
    assert len(slowed) == 1
    assert one.slowness[slowed[0]] == pytest.approx(5 * more.slowness[slowed[0]])


def test_absences_take_the_share_asked_for() -> None:
    clock = Clock(online=0.75, offline_mean_s=50, horizon_s=100_000)
    absences = build(clock, 0, NAMES, {}).absences["a"]
    away = sum(end - begin for begin, end in absences)
    assert away / absences[-1][1] == pytest.approx(0.25, abs=0.03)
    assert all(a[1] < b[0] for a, b in pairwise(absences))


def test_failures_come_as_often_as_asked_for() -> None:
    fleet = build(Clock(failure=0.2), 0, NAMES, {})
    shares = [fleet.fails("a", n) for n in range(1000)]
    assert sum(s is not None for s in shares) / 1000 == pytest.approx(0.2, abs=0.04)
    assert all(s is None or 0 <= s < 1 for s in shares)
