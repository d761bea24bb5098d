"""A hospital that is told to be slow rests between batches, and hears a word to stop while it does."""

from __future__ import annotations

from afuic.engines.hospital.pace import SLICE_S, Pace


class Time:
    """A clock that only moves when somebody works or sleeps."""

    def __init__(self) -> None:
        self.now, self.stop_at = 100.0, float("inf")

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def told(self) -> bool:
        return self.now >= self.stop_at


def test_a_batch_takes_so_many_times_as_long():
    time = Time()
    pace = Pace(10.0, time.told, time.clock, time.sleep)
    for batch in range(1, 4):
        time.now += 0.5
        assert pace() is False
        assert abs(time.now - (100 + batch * 10 * 0.5)) < 1e-9


def test_at_its_own_speed_it_does_not_rest():
    time = Time()
    pace = Pace(1.0, time.told, time.clock, time.sleep)
    time.now += 0.5
    assert pace() is False
    assert time.now == 100.5


def test_a_word_to_stop_ends_the_rest():
    time = Time()
    time.stop_at = 102.0
    pace = Pace(100.0, time.told, time.clock, time.sleep)
    time.now += 1.0
    assert pace() is True
    assert time.now <= 102.0 + SLICE_S
