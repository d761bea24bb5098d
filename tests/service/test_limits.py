"""Buckets and bodies, with a clock that the test moves."""

from __future__ import annotations

import asyncio

import pytest

from afuic.service import limits
from afuic.service.limits import Hourly, Limiter


class Clock:
    t = 0.0

    def __call__(self) -> float:
        return self.t


def test_a_bucket_holds_a_minutes_worth_and_fills_again():
    clock = Clock()
    limiter = Limiter(4, clock)
    assert [limiter.take("a") for _ in range(6)] == [0, 0, 0, 0, 15, 15]  # 4 a minute: one in 15 s
    assert limiter.take("b") == 0
    clock.t = 10.0
    assert limiter.take("a") == 5
    clock.t = 15.0
    assert [limiter.take("a"), limiter.take("a")] == [0, 15]
    clock.t = 1000.0
    assert [limiter.take("a") for _ in range(5)] == [0, 0, 0, 0, 15]


def test_keys_used_longest_ago_are_dropped():
    limiter = Limiter(1, Clock(), most=2)
    assert [limiter.take(key) for key in "abcab"] == [0, 0, 0, 0, 0]


def test_a_key_is_new_once_an_hour():
    clock = Clock()
    hourly = Hourly(clock, most=2)
    assert [hourly.new("a"), hourly.new("a")] == [True, False]
    clock.t = 3600.0
    assert [hourly.new("a"), hourly.new("b"), hourly.new("c"), hourly.new("a")] == [True, True, True, True]


def read(messages, declared=None, most=10, within_s=30.0):
    async def receive():
        if not messages:
            await asyncio.sleep(3600)
        return messages.pop(0)

    return asyncio.run(limits.body(receive, declared, most, within_s))


def part(content, more):
    return {"type": "http.request", "body": content, "more_body": more}


def test_a_body_is_read_whole():
    assert read([part(b"abc", True), part(b"", True), part(b"de", False)]) == b"abcde"


@pytest.mark.parametrize("declared", ["11", "99999999999999999999", "-1", "many"])
def test_a_declared_size_is_believed_before_anything_is_read(declared):
    with pytest.raises(limits.TooLarge):
        read([], declared)


def test_a_body_larger_than_declared_is_noticed_on_the_way():
    messages = [part(b"123456", True)] * 100
    with pytest.raises(limits.TooLarge):
        read(messages, "3")
    assert len(messages) == 98


def test_a_caller_that_sends_nothing_or_goes_is_not_waited_for():
    with pytest.raises(TimeoutError):
        read([part(b"1", True)], within_s=0.01)
    with pytest.raises(ConnectionError):
        read([part(b"1", True), {"type": "http.disconnect"}])
