"""A disk that takes nothing more: the server says so, believes nothing that is not written, and goes on when there is space."""

from __future__ import annotations

import logging
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from afuic.errors import StoreError
from afuic.params import digest
from tests.engines.live.conftest import SCRUB, Live, Make
from tests.engines.live.test_driver import same


@contextmanager
def full(free: int = 0) -> Iterator[None]:
    """Within the block no file may grow beyond ``free`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def standing(found: Live) -> tuple[str, int, int]:
    return digest(found.state.model), found.state.version, found.driver.standing.seq


@pytest.mark.parametrize("free", [0, 200_000])
def test_nothing_that_is_not_written_is_believed_and_nothing_acknowledged_is_lost(live: Make, free: int) -> None:
    found = live(SCRUB)
    found.turns(20)
    request = found.ask("hospital-0")
    before = standing(found)
    with full(free), pytest.raises(StoreError):
        found.turns(50)
    tip = found.book.tip()
    found.driver.standing.load()
    assert standing(found)[1:] == (tip.version, tip.seq)
    assert tip.seq >= before[2]
    found.until(lambda: found.ended([request]) and bool(found.book.certificates()))
    assert found.phases() == {request: "completed"}
    same(found)


def test_the_loop_says_so_and_goes_on_by_itself(live: Make, caplog: pytest.LogCaptureFixture) -> None:
    found = live()
    found.turns(10)
    request = found.ask("hospital-0")
    turns = 0

    def stop() -> bool:
        nonlocal turns
        turns += 1
        found.hands.move(0.1)
        return turns > 3

    with caplog.at_level(logging.ERROR, "afuic.live"), full():
        found.driver.run(stop, pause_s=0.01)
    assert "nothing acknowledged is lost, trying again" in caplog.text
    assert found.phases() == {request: "asked"}
    turns = -40
    found.driver.run(stop, pause_s=0.0)
    found.until(lambda: found.ended([request]))
    same(found)
