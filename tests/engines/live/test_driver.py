"""The server's loop with real training at its hospitals: erasures from the first word to the certificate, stops, bad peers, clocks."""

from __future__ import annotations

from afuic.engines.live import building
from afuic.engines.live.replaying import replay
from afuic.params import digest
from afuic.protocol import invariants
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
