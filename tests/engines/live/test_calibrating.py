"""The server's own training in a process of its own gives what it gives in this one, bit for bit, and outlives what is thrown at it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afuic.engines.live.building import worker
from afuic.engines.live.calibrating import Process
from afuic.engines.simulator import computed
from afuic.engines.trial import Trial, trial
from afuic.erase.calibrate import Calibration
from afuic.params import digest
from afuic.protocol.effects import Calibrate
from afuic.protocol.events import CalibrationDone, CalibrationFailed, Event
from tests.engines.live.conftest import config

PATIENCE_S = 1800.0


@pytest.fixture
def made(tmp_path: Path) -> Trial:
    return trial(config(), tmp_path)


@pytest.fixture
def process(made: Trial) -> Iterator[Process]:
    found = Process(made.settings)
    yield found
    found.close()


def job(made: Trial, name: str, steps: int = 4) -> Calibrate:
    model = made.worker.initial()
    return Calibrate(name, name.partition("/")[0], model, (model,), Calibration(steps=steps, gain=None), False)


def wait(turn: Callable[[], list[Event]]) -> list[Event]:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if found := turn():
            return found
        time.sleep(0.02)
    raise AssertionError("nothing came")


def child(process: Process) -> int:
    assert process._child is not None
    return process._child._process.pid


def test_it_gives_the_same_bits_as_this_process_and_as_the_simulators_worker(made: Trial, process: Process) -> None:
    asked = job(made, "heal/0")
    (event,) = wait(lambda: process.turn([asked], 7.0))
    here, simulated = computed(worker(made.settings), 7.0, asked), computed(made.worker, 7.0, asked)
    assert isinstance(event, CalibrationDone)
    assert isinstance(here, CalibrationDone)
    assert isinstance(simulated, CalibrationDone)
    assert (event.t, event.job, event.steps) == (7.0, "heal/0", here.steps)
    assert digest(event.model) == digest(here.model) == digest(simulated.model)


def test_one_job_after_the_other_and_none_twice(made: Trial, process: Process) -> None:
    first, second = job(made, "heal/0"), job(made, "guard/1")
    (one,) = wait(lambda: process.turn([first, second], 1.0))
    (two,) = wait(lambda: process.turn([second], 2.0))
    assert [getattr(event, "job", None) for event in (one, two)] == ["heal/0", "guard/1"]
    assert process.turn([], 3.0) == []


def test_a_process_that_is_killed_begins_the_job_anew_and_gives_up_the_third_time(made: Trial, process: Process) -> None:
    asked, kills = job(made, "heal/0", steps=10_000), 0

    def turn() -> list[Event]:
        nonlocal kills
        found = process.turn([asked], 1.0)
        if not found and process._child is not None:
            os.kill(child(process), signal.SIGKILL)
            process._child._process.wait()
            kills += 1
        return found

    (event,) = wait(turn)
    assert isinstance(event, CalibrationFailed)
    assert "died" in event.reason
    assert kills >= 3


def test_a_job_that_is_not_wanted_any_more_makes_way(made: Trial, process: Process) -> None:
    assert process.turn([job(made, "ahead/0", steps=100_000)], 0.0) == []
    (event,) = wait(lambda: process.turn([job(made, "heal/1")], 1.0))
    assert getattr(event, "job", None) == "heal/1"


def test_closing_leaves_no_process(made: Trial) -> None:
    process = Process(made.settings)
    process.turn([job(made, "heal/0", steps=100_000)], 0.0)
    pid = child(process)
    process.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
