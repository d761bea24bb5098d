"""What the server is charged for: the work it has done, not what it was given and then told to leave."""

from __future__ import annotations

import pytest

from afuic.engines.laboratory import Laboratory, prepare
from afuic.engines.simulator import Simulator, World
from afuic.protocol import initial
from afuic.protocol.events import EraseRequested
from tests.engines.conftest import small

HEAL = {"steps": 10, "batch": 64, "gain": "none", "turned": False}
HEAL_S = (10 * 40 + 40 / 3) * 0.03 / 10
"""Ten steps on all 40 images, which the teacher sees once, forward; 0.03 s an image, ten times as fast."""


@pytest.fixture(scope="module")
def lab() -> Laboratory:
    guard = {"versions": 0, "calibration": "none"}
    return prepare(small(methods=["afuic"], options={"afuic": {"heal": HEAL, "guard": guard}}))


@pytest.mark.parametrize("second_t", [1.0, 1.5])
def test_healing_that_begins_anew_is_charged_for_what_it_had_done(lab: Laboratory, second_t: float) -> None:
    worker = lab.worker()
    sim = Simulator(lab.rules("afuic"), lab.fleet, worker, World(initial(worker.initial()), 0.0), lambda *_: None)
    sim.join(lab.federation.clients)
    sim.schedule(EraseRequested(1.0, "r", "hospital-0"))
    sim.schedule(EraseRequested(second_t, "s", "hospital-1"))
    sim.run_until(20.0)
    released = {r.id: r.released_t for r in sim.world.state.requests.values()}
    # both are healed together, from the second on
    assert released == {"r": pytest.approx(second_t + HEAL_S), "s": pytest.approx(second_t + HEAL_S)}
    assert sim.world.account.server_s == pytest.approx(second_t - 1.0 + HEAL_S)
