"""When a process is started again: arithmetic on values."""

from __future__ import annotations

import pytest

from afuic.deploy import processes
from afuic.deploy.processes import Life, Process
from afuic.errors import ConfigError

SERVICE = Process("service", ("true",))
JOB = Process("job", ("true",), alive=lambda: True, hands_over=True)


def test_waits_double_up_to_a_minute():
    assert [processes.back_off(n) for n in (1, 2, 3, 6, 7, 8, 10_000)] == [1, 2, 4, 32, 60, 60, 60]


def test_a_failure_waits_and_a_minute_of_service_is_forgiven():
    life = processes.ready(processes.started(Life(failures=5), 77, 100.0), 110.0)
    soon = processes.ended(life, SERVICE, 1, 169.0)
    assert (soon.stage, soon.failures, soon.due, soon.pid) == ("failed", 6, 169 + 32, None)
    late = processes.ended(life, SERVICE, 1, 170.0)
    assert (late.failures, late.due) == (1, 171.0)


def test_a_service_that_ends_without_error_has_failed_and_a_job_is_done():
    life = processes.started(Life(), 77, 100.0)
    assert processes.ended(life, SERVICE, 0, 101.0).stage == "failed"
    done = processes.ended(life, JOB, 0, 101.0)
    assert (done.stage, done.served, done.pid) == ("done", True, None)
    assert processes.ended(life, JOB, 1, 101.0).stage == "failed"


def test_what_is_gone_is_handed_over_again_later_each_time():
    done = Life(stage="done", since=100.0)
    first = processes.gone(done, 110.0)
    assert (first.stage, first.failures, first.due) == ("failed", 1, 111.0)
    again = processes.gone(processes.ended(processes.started(first, 78, 111.0), JOB, 0, 112.0), 120.0)
    assert (again.failures, again.due) == (2, 122.0)


@pytest.mark.parametrize(
    "listed",
    [(SERVICE, SERVICE), (Process("a", ("x",), depends=("b",)), Process("b", ("x",))), (Process("a", ("x",), depends=("a",)),)],
)
def test_a_list_that_cannot_be_started_is_refused(listed):
    with pytest.raises(ConfigError, match="listed twice, or before"):
        processes.check(listed)
