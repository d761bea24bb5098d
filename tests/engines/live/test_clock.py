"""Time never goes back, whatever the machine's clocks do."""

from __future__ import annotations

from afuic.engines.live.clock import Clock, Patience


def test_time_counts_from_the_stores_last_event() -> None:
    ticks = [100.0]
    clock = Clock(lambda: ticks[0])
    clock.start(40.0)
    ticks[0] = 102.5
    assert clock.now() == 42.5  # 40 + (102.5 - 100)


def test_ticks_that_jump_back_are_lost_time_and_never_negative() -> None:
    ticks = [100.0]
    clock = Clock(lambda: ticks[0])
    ticks[0] = 5.0
    assert clock.now() == 0.0
    ticks[0] = 6.0
    assert clock.now() == 1.0  # counted from where the ticks went on


def test_the_wall_clock_does_not_move_it() -> None:
    wall = [1e9]
    clock = Clock(lambda: 0.0, lambda: wall[0])
    wall[0] = 0.0
    assert (clock.now(), clock.at()) == (0.0, 0.0)


def test_starting_never_goes_back() -> None:
    ticks = [0.0]
    clock = Clock(lambda: ticks[0])
    ticks[0] = 10.0
    assert clock.now() == 10.0
    clock.start(3.0)
    assert clock.now() == 10.0


def test_patience_doubles_up_to_a_minute_and_starts_over() -> None:
    patience = Patience()
    assert [patience.failed("a") for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    patience.succeeded("a")
    assert (patience.failed("a"), patience.failed("b")) == (1, 1)
