"""Methods that work in rounds, simulated: what they cost by hand, that they resume and replay, what the server's own orders take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from afuic.config import Section
from afuic.engines import experiment
from afuic.engines.laboratory import Laboratory, prepare
from afuic.engines.replay import replay
from afuic.engines.simulator import Simulator, World, passes
from afuic.erase.method import Configured, Method, Plan
from afuic.erase.peers.halimi import Ascending, ProjectedAscent
from afuic.erase.rounds import SERVER, Job, LocalTraining, Order, Procedure, Round, Site, View
from afuic.errors import RunInterrupted
from afuic.evaluate.results import Results
from afuic.params import Params, add, digest, nbytes
from afuic.protocol import Rules, initial
from afuic.protocol.effects import Perform
from afuic.protocol.events import EraseRequested
from tests.engines.conftest import SMALL, small
from tests.engines.test_experiment import _stop

EVEN = {"horizon_s": 30.0, "spread": 0.0, "stragglers": 0, "jitter": 0.0}
OPTIONS = {"not": {"rounds": 2}, "halimi": {"rounds": 2, "ascent": {"steps": 3, "batch": 8}, "deadline_s": 20.0}}
TASK_S = 3 * 8 * 0.03


def config(**changes: Any) -> Any:
    return small(**{"methods": ["not", "halimi", "continue"], "clock": EVEN, "options": OPTIONS, **changes})


@pytest.fixture(scope="module")
def lab() -> Laboratory:
    return prepare(config())


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    out = tmp_path_factory.mktemp("rounds") / "run"
    return out, experiment.run(config(), out)


def test_what_the_rounds_cost(ran: tuple[Path, Results], lab: Laboratory) -> None:
    model = nbytes(lab.worker().initial())
    link = 0.5 + model / 1e6
    not_, halimi, leave = (ran[1].methods[n] for n in ("not", "halimi", "continue"))
    # two rounds, each there, 3 steps of 8 images, and back
    assert not_.erasure_latency_s == pytest.approx(2 * (2 * link + TASK_S))
    # before them an ascent of as many images, for which the target's own model is sent along
    sent = 0.5 + 2 * model / 1e6
    assert halimi.erasure_latency_s == pytest.approx(sent + TASK_S + link + 2 * (2 * link + TASK_S))
    # two clients, two rounds, two models each; the ascent three
    assert (not_.bytes_moved, halimi.bytes_moved) == (8 * model, 11 * model)
    # what two clients were doing when training paused
    assert (not_.updates_lost, halimi.updates_lost) == (2, 2)
    # nobody idles in rounds of equals; during the ascent both others do
    assert not_.stall_client_s == pytest.approx(0, abs=1e-6)
    assert halimi.stall_client_s == pytest.approx(2 * (sent + TASK_S + link))
    assert (leave.stall_client_s, leave.updates_lost, leave.bytes_moved) == (0, 0, 0)
    # while a round is answered, its model and one answer: the second ends it. One of them wants the last models of three clients as well
    assert (leave.bytes_stored, not_.bytes_stored, halimi.bytes_stored) == (0, 2 * model, 5 * model)
    assert all(m.failed is None and m.updates_after_release_per_client > 0 for m in (not_, halimi))


def test_calibrated_rounds_take_the_servers_time_and_are_guarded_ever_after(tmp_path: Path) -> None:
    def ran(name: str, *, oracle: bool) -> Results:
        calibrated = {"not": {"rounds": 1, "consistency": {"steps": 2}}, "continue": {}}
        options = {method: {**own, "lasting": {"steps": 1}, "oracle": oracle} for method, own in calibrated.items()}
        return experiment.run(config(methods=["not", "continue"], options=options), tmp_path / name)

    blind, oracle = ran("blind", oracle=False), ran("oracle", oracle=True)
    not_, leave = blind.methods["not"], blind.methods["continue"]
    link = 0.5 + nbytes(prepare(config()).worker().initial()) / 1e6
    # one round, then 2 steps on all 40 images, twice each for Φ, at 0.03 s / 10
    assert not_.erasure_latency_s == pytest.approx(2 * link + TASK_S + 2 * 40 * 2 * 0.03 / 10)
    assert [healed.steps for healed in not_.healing] == [2]
    assert leave.erasure_latency_s == 0
    # further steps of 40 images for the guard, 0.24 s each
    assert not_.server_s > 0.48 + 0.24
    assert leave.server_s > 0.24
    for name in ("not", "continue"):
        assert (blind.methods[name].oracle, oracle.methods[name].oracle) == (False, True)
        assert blind.methods[name].digest != oracle.methods[name].digest
    assert all(arm.same for run in ("blind", "oracle") for arm in replay(tmp_path / run))


def test_rounds_replay(ran: tuple[Path, Results]) -> None:
    assert all(arm.same for arm in replay(ran[0]))
    kinds = [json.loads(line)["event"] for line in (ran[0] / "events.jsonl").read_text().splitlines()]
    # two clients in two rounds under each method, and one ascent
    assert kinds.count("AnswerArrived") == 9


@pytest.mark.parametrize("name", ["not", "halimi"])
def test_a_run_stopped_between_rounds_resumes_to_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afuic.engines.arm.CHECKPOINT_TICKS", 1)
    often, clock = {**SMALL["evaluation"], "every_s": 1.0}, {**EVEN, "horizon_s": 12.0}
    settings = config(methods=[name], evaluation=often, clock=clock)
    whole = experiment.run(settings, tmp_path / "whole")
    assert whole.methods[name].erasure_latency_s > 3
    with pytest.raises(RunInterrupted):
        # asked at 6 s, released after 9 s, the last checkpoint is of 8 s
        experiment.run(settings, tmp_path / "stopped", progress=_stop(name, 9.0))
    assert experiment.run(settings, tmp_path / "stopped", resume=True) == whole
    for file in ("results.json", "events.jsonl"):
        assert (tmp_path / "stopped" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_without_the_target_one_goes_on_and_the_other_fails(tmp_path: Path) -> None:
    gone = config(requests=[{"client": "hospital-0", "at": 0.5, "target_online": False}])
    results = experiment.run(gone, tmp_path / "gone")
    assert results.methods["not"].failed is None
    failed = "request-0: a client whose answer is needed did not return before the deadline"
    assert results.methods["halimi"].failed == failed
    assert results.methods["halimi"].updates_after_release_per_client == 0
    assert all(arm.same for arm in replay(tmp_path / "gone"))


@pytest.mark.parametrize(
    "changes",
    [
        {"requests": [{"client": "hospital-0", "at": 0.5, "patients": 4}]},
        {"requests": [{"client": "hospital-0", "at": 0.5}, {"client": "hospital-1", "at": 0.5, "patients": 3}]},
        {
            "aggregation": {"rule": "fedbuff", "buffer": 2},
            "clock": {"horizon_s": 30.0, "online": 0.7, "offline_mean_s": 8.0, "failure": 0.2},
            "options": {"halimi": {"rounds": 2, "ascent": {"steps": 3, "batch": 8}}, "not": {"rounds": 2}},
        },
    ],
    ids=["patients", "two at once", "fedbuff+absences"],
)
def test_other_requests_and_clocks(changes: dict[str, Any], tmp_path: Path) -> None:
    results = experiment.run(config(**changes), tmp_path / "run")
    assert all(method.failed is None for method in results.methods.values())
    assert all(arm.same for arm in replay(tmp_path / "run"))


# -- the worker's and the server's side --------------------------------------------------------------------------------


class Noise(Job):
    """The server's order of this test."""

    def passes(self, forget: int, retain: int) -> float:
        """One for each calibration image."""
        return float(forget + retain)

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> Params:
        """The generator's first numbers, as large as the model."""
        return {name: torch.randn(tensor.shape, generator=generator) for name, tensor in start.items()}


class Disturb(Procedure):
    """One order to the server."""

    def begin(self, view: View) -> Round:
        """Order it."""
        return Round(view.model, (Order(SERVER, view.model, Noise()),), view.model)

    def proceed(self, view: View, memory: Params, answers: Mapping[str, Params]) -> Round:
        """Add it."""
        return Round(add(memory, answers[SERVER]))


def order(client: str, **changes: Any) -> Perform:
    values = {"models": (), "job": LocalTraining(), "target": False, "whole": False, "epoch": 0, "start": {}} | changes
    return Perform(f"{client}/7", "r", client, **values)


def test_the_servers_order_takes_its_time_and_its_seed_comes_from_its_name(lab: Laboratory) -> None:
    method = Method("disturb", "test", "Disturbs.", False, False, Section, lambda o, ask: Plan("replace", procedure=Disturb()))
    worker, rules = lab.worker(), Rules(lab.config.aggregation, Configured(method, Section()), True)
    sim = Simulator(rules, lab.fleet, worker, World(initial(worker.initial()), 0.0), lambda *_: None)
    sim.join(lab.federation.clients)
    sim.schedule(EraseRequested(0.25, "r", "hospital-0"))
    sim.run_until(0.5)
    record = sim.world.state.requests["r"]
    # 40 calibration images at 0.03 s, ten times as fast
    assert record.released_t == 0.25 + 40 * 0.03 / 10
    assert sim.world.account.server_s == pytest.approx(0.12)
    assert sim.world.account.bytes_moved == 0
    # both retained clients sat idle; they had been stopped
    assert sim.world.account.stall_client_s == pytest.approx(2 * 0.12)
    first = Perform("/0", "r", SERVER, worker.initial(), (), Noise(), False, False, 0)
    assert digest(add(worker.initial(), worker.perform(first))) == digest(sim.world.state.model)


def test_what_an_executor_has(lab: Laboratory) -> None:
    worker = lab.worker()
    images = len(lab.federation.clients["hospital-0"])
    server = worker.site(order(SERVER))
    assert (server.forget, server.retain) == (None, None)
    assert server.calibration is lab.federation.calibration
    other = worker.site(order("hospital-0"))
    assert (other.forget, other.calibration, len(other.retain[0])) == (None, None, images)
    whole = worker.site(order("hospital-0", target=True, whole=True))
    assert (whole.retain, len(whole.forget[0])) == (None, images)


def test_of_patients_the_hospital_has_both_kinds_of_images() -> None:
    lab = prepare(config(requests=[{"client": "hospital-0", "at": 0.5, "patients": 4}]))
    site = lab.worker().site(order("hospital-0", target=True, epoch=1))
    images = len(lab.federation.clients["hospital-0"])
    assert len(site.forget[0]) == 4
    assert len(site.retain[0]) == images - 4
    assert lab.worker().site(order("hospital-0", epoch=1)).forget is None


def test_a_sites_training_is_the_federations_own(lab: Laboratory) -> None:
    worker = lab.worker()
    start, pair = worker.initial(), worker.site(order("hospital-1")).retain
    twice = [worker.site(order("hospital-1")).train(start, pair, None, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert digest(twice[0]) == digest(twice[1])
    longer = worker.site(order("hospital-1")).train(start, pair, 9, torch.Generator().manual_seed(3))
    assert digest(longer) != digest(twice[0])


def test_local_training_is_charged_at_the_federations_settings(lab: Laboratory) -> None:
    # 3 steps of 8 images here, whatever the job's own idea of a task; 5 steps where it says so
    assert passes(lab.worker(), order("hospital-0")) == 24
    assert passes(lab.worker(), order("hospital-0", job=LocalTraining(steps=5))) == 40
    assert passes(lab.worker(), order(SERVER, job=Noise())) == 40


def test_work_that_ends_by_itself_is_charged_for_what_it_took(lab: Laboratory) -> None:
    # an ascent that may stop as soon as a batch is less than perfect, at random θ_0: one step of 8 images instead of at most 50
    job = ProjectedAscent(ascent=Ascending(steps=50, batch=8, stop_accuracy=0.99), clients=3)
    start = lab.worker().initial()
    own = order("hospital-0", target=True, whole=True, job=job, start=start, models=(start,))
    assert passes(lab.worker(), own) == 8
    assert job.passes(100, 0) == 400
