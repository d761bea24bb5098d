"""The server's loop with real training at its hospitals: erasures from the first word to the certificate, stops, bad peers, clocks."""

from __future__ import annotations

import shutil

import pytest
import torch

from afuic.engines.live import building
from afuic.engines.live.open import classes
from afuic.engines.live.replaying import replay
from afuic.engines.standin import Habits
from afuic.params import digest
from afuic.protocol import invariants
from afuic.protocol.requests import Phase
from afuic.rng import stream
from afuic.settings import Engine, Retention
from tests.engines.live.conftest import SCRUB, Live, Make


def same(found: Live) -> None:
    """The store's events, computed again by the simulator's worker, give the driver's model bit for bit."""
    trial = found.trial
    replayed = replay(found.book, building.rules(trial.settings), trial.worker, trial.groups)
    assert replayed.problem is None
    assert replayed.digest == digest(found.state.model) == replayed.recorded
    assert replayed.computed > 0
    invariants.check(found.state)


def test_a_whole_hospital_leaves_and_the_others_train_on(live: Make) -> None:
    found = live()
    found.turns(20)
    request = found.ask("hospital-0")
    found.until(lambda: found.ended([request]) and bool(found.book.certificates()))
    assert found.phases() == {request: "completed"}
    assert found.state.clients["hospital-0"].erased
    assert found.book.verification(request) is not None
    report = found.book.purge_report(request)
    assert report is not None
    assert report.removed
    assert not report.left
    before = found.state.applied
    found.turns(20)
    assert found.state.applied > before
    same(found)


def test_patients_leave_by_unlearning_at_their_hospital(live: Make) -> None:
    found = live(SCRUB)
    found.turns(20)
    request = found.ask_patients("hospital-1")
    found.until(lambda: found.ended([request]) and bool(found.book.certificates()))
    assert found.phases() == {request: "completed"}
    assert found.state.clients["hospital-1"].epoch == 1
    same(found)


def test_two_requests_at_once_and_one_covered_by_the_other(live: Make) -> None:
    found = live()
    found.turns(20)
    part, whole, other = found.ask_patients("hospital-0"), found.ask("hospital-0"), found.ask_patients("hospital-1")
    found.until(lambda: found.ended([part, whole, other]) and len(found.book.certificates()) == 2)
    assert found.phases() == {part: "superseded", whole: "completed", other: "completed"}
    same(found)


def test_a_hospital_away_at_its_erasure_returns_a_day_later_with_an_old_update(live: Make) -> None:
    day = 86_400.0
    away = Habits(work_s=0.5, away=((1.2, day),))
    found = live(SCRUB, {"engine": Engine(task_deadline_s=10 * day)}, {"hospital-2": away})
    found.until(lambda: "hospital-2" in found.state.clients and not found.state.clients["hospital-2"].online)
    assert found.state.tasks["hospital-2/2"].kind == "train"
    request = found.ask("hospital-2")
    found.until(lambda: found.ended([request]))
    assert found.book.notices("hospital-2") == ["hospital-2/2"]
    quarantined = found.state.quarantined
    found.hands.move(day)
    found.turns(20)
    assert found.state.quarantined == quarantined + 1
    assert [row.task for row in found.book.quarantined() if row.client == "hospital-2"] == ["hospital-2/2"]
    assert found.book.notices("hospital-2") == []
    assert found.book.verification(request) is None
    same(found)


def test_an_old_update_of_a_hospital_that_stays_is_applied_once_when_it_is_back(live: Make) -> None:
    found = live(habits={"hospital-2": Habits(work_s=0.5, away=((1.2, 9.0),))})
    found.turns(60)
    assert not found.state.clients["hospital-2"].online
    found.turns(60)
    mine = found.book.contributions("hospital-2")
    assert found.state.clients["hospital-2"].online
    assert len({row.task for row in mine}) == len(mine) == found.state.clients["hospital-2"].applied
    assert max(row.staleness for row in mine) > 10
    same(found)


def test_a_request_is_withdrawn_and_an_impossible_one_refused(live: Make) -> None:
    found = live({**SCRUB, "deadline_s": 1000.0}, habits={"hospital-1": Habits(work_s=0.1, away=((1.5, 1e9),))})
    found.until(lambda: not found.state.clients["hospital-1"].online if "hospital-1" in found.state.clients else False)
    request = found.ask_patients("hospital-1")
    found.until(lambda: found.phases()[request] == "scrubbing")
    found.ask("hospital-1", kind="withdraw", request=request)
    unknown = found.ask("hospital-9")
    found.turns(2)
    assert found.phases() == {request: "withdrawn", unknown: "refused"}
    row = found.book.request(unknown)
    assert row is not None
    assert "does not exist" in row.notes[0]
    same(found)


@pytest.mark.parametrize("seed", range(4))
def test_a_server_that_stops_anywhere_goes_on_from_its_store(live: Make, seed: int) -> None:
    habits = {f"hospital-{n}": Habits(work_s=0.2 * (n + 1), twice=0.3, dies=0.1) for n in range(3)}
    found = live(SCRUB, {"retention": Retention(snapshot_events=20)}, habits, seed=seed)
    draws = stream(seed, "stops")
    asked: list[str] = []
    for number in range(12):
        found.turns(int(draws.integers(1, 12)))
        if number in {2, 4}:
            asked.append(found.ask("hospital-0") if number == 2 else found.ask_patients("hospital-1"))
        before = digest(found.state.model), found.state.version
        found.stop()
        found.start()
        assert (digest(found.state.model), found.state.version) == before
    found.until(lambda: found.ended(asked) and len(found.book.certificates()) == 2)
    assert found.phases() == dict.fromkeys(asked, "completed")
    tasks = [row.task for row in found.book.contributions(limit=10_000)]
    assert len(tasks) == len(set(tasks)) == found.state.applied
    same(found)


def test_everything_that_was_asked_of_the_world_is_open_until_an_event_closes_it(live: Make) -> None:
    found = live(SCRUB)
    found.turns(20)
    found.ask("hospital-0")
    found.ask_patients("hospital-1")
    for _ in range(60):
        found.turns(1)
        state, open_ = found.state, found.driver.standing.open
        assert set(open_.work) == set(state.tasks)
        assert {job.id for job in (state.heal, state.guard, state.ahead) if job is not None} == set(open_.jobs)
        assert set(open_.purges) == {r.id for r in state.in_phase(Phase.PURGING)}
        assert {name: len(groups) for name, groups in open_.withdrawn.items()} == {
            c.name: c.epoch for c in state.clients.values() if c.epoch
        }


def test_a_wall_clock_that_jumps_changes_dates_and_nothing_else(live: Make) -> None:
    plain, jumping = live(SCRUB), None
    record = _run_with_jumps(plain, jumps=())
    plain.stop()
    shutil.rmtree(plain.folder / "store")
    shutil.rmtree(plain.folder / "hospitals")
    shutil.rmtree(plain.folder / "witness")
    jumping = live(SCRUB)
    assert _run_with_jumps(jumping, jumps=(1e9, -2e9, 4e8)) == record
    same(jumping)


def _run_with_jumps(found: Live, jumps: tuple[float, ...]) -> list[tuple[str, str]]:
    found.turns(10)
    found.ask_patients("hospital-0")
    for jump in (*jumps, 0.0):
        found.hands.wall += jump
        found.turns(10)
    found.turns(40 - 10 * len(jumps))
    found.until(found.ended)
    return [(str(event), model) for _, event, model in found.book.record(classes(), lambda name: {name: torch.empty(0)})][:60]


def test_ticks_that_jump_forward_run_deadlines_and_back_do_not(live: Make) -> None:
    found = live(SCRUB, habits={"hospital-1": Habits(work_s=0.1, away=((1.5, 1e12),))})
    found.turns(30)
    request = found.ask_patients("hospital-1")
    found.turns(3)
    found.hands.ticks -= 1e6
    found.turns(3)
    assert found.phases()[request] == "scrubbing"  # 30 s have not passed
    found.hands.ticks += 1e6
    found.until(lambda: found.ended([request]))
    assert "did not answer before the deadline" in " ".join(found.state.requests[request].notes)
    times = [event.t for _, event, _ in found.book.record(classes(), lambda name: {name: torch.empty(0)})]
    assert times == sorted(times)
    same(found)
