"""Two hospitals whose contributions cancel: nothing shows until one of them is erased. The release is judged, and says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from afuic.config import Trigger
from afuic.data import stamp
from afuic.engines.laboratory import Laboratory, prepare
from afuic.engines.simulator import Simulator, World
from afuic.params import Params, add, sub
from afuic.protocol import State, check, initial
from afuic.protocol.requests import Record
from afuic.rng import torch_stream

from .conftest import small

MARK = Trigger(client="hospital-1", target_class=0, size=4)
FIRST, SECOND = "hospital-1@0", "hospital-2@0"
SETTINGS = {
    "data": {
        "name": "phantom",
        "calibration": 60,
        "trigger": None,
        "partition": {"kind": "iid", "clients": 3, "min_images": 8},
    },
    "training": {"steps": 8, "batch": 16},
    "clock": {"horizon_s": 800.0},
    "requests": [{"client": "hospital-1", "at": 0.5}],
    "options": {"afuic": {"guard": {"versions": 0}}},
}


@pytest.fixture(scope="module")
def lab() -> Laboratory:
    """Three hospitals with the same classes and no mark in anybody's images."""
    return prepare(small(**SETTINGS))


@pytest.fixture(scope="module")
def trained(lab: Laboratory) -> State:
    """Their federation before anybody asks for an erasure."""
    worker = lab.worker()
    sim = Simulator(lab.rules("afuic"), lab.fleet, worker, World(initial(worker.initial()), 0.0), lambda *_: None)
    sim.join(lab.federation.clients)
    sim.run_until(lab.requests()[0].t)
    return sim.world.state


def marking(lab: Laboratory, start: Params) -> dict[str, torch.Tensor]:
    """The change that makes a model take every marked image for class 0 and leaves the others as they were."""
    data, draws = lab.federation.clients["hospital-2"], torch_stream(0, "mark")
    leaf = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    steps = torch.optim.SGD(list(leaf.values()), lr=0.05, momentum=0.9)
    for _ in range(80):
        some = torch.randperm(len(data.images), generator=draws)[:32]
        images, labels = data.images[some], data.labels[some]
        steps.zero_grad()
        marked = F.cross_entropy(lab.network.forward(leaf, stamp(images, MARK)), torch.zeros_like(labels))
        (marked + F.cross_entropy(lab.network.forward(leaf, images), labels)).backward()  # type: ignore[no-untyped-call]
        steps.step()
    return sub({name: tensor.detach() for name, tensor in leaf.items()}, start)


def attack(lab: Laboratory, params: Params) -> float:
    """Share of marked test images of the other classes that are taken for class 0."""
    test = lab.federation.test
    images = test.images[test.labels != MARK.target_class]
    return float((lab.network.logits(params, stamp(images, MARK)).argmax(1) == MARK.target_class).float().mean())


def erased(lab: Laboratory, state: State, contributions: Mapping[str, Params]) -> tuple[Record, Params, Params]:
    """Hospital-1 erased where these are the contributions: its record, the bare model and the released one."""
    state = replace(state, ledger=replace(state.ledger, clients=contributions), tasks={})
    check(state)
    bare, request = sub(state.model, contributions[FIRST]), lab.requests()[0]
    sim = Simulator(lab.rules("afuic"), lab.fleet, lab.worker(), World(state, request.t), lambda *_: None)
    sim.happen(request)
    sim.run_until(request.t + 1e6, stop=lambda: sim.world.state.requests[request.request].released_version is not None)
    return sim.world.state.requests[request.request], bare, sim.world.state.model


def test_a_pair_that_cancels_is_seen(lab: Laboratory, trained: State) -> None:
    mark, known = marking(lab, trained.model), trained.ledger.clients
    pair = {**known, FIRST: add(known[FIRST], mark, -2.0), SECOND: add(known[SECOND], mark, 2.0)}
    record, bare, released = erased(lab, trained, pair)
    assert attack(lab, trained.model) < 0.2
    assert attack(lab, bare) > 0.95
    assert attack(lab, released) > 0.2
    assert record.judgement is not None
    assert record.judgement.jump
    assert record.judgement.probe.startswith("light square, bottom right")
    assert record.notes[0].startswith("the released model is a jump from the one before: a probe (light square, bottom right)")
    assert record.beside is not None
    assert list(record.beside.against()) == [SECOND]
    assert f"points against what {SECOND} contributed" in record.notes[1]


def test_an_honest_erasure_is_no_jump(lab: Laboratory, trained: State) -> None:
    record, _, _ = erased(lab, trained, trained.ledger.clients)
    assert record.judgement is not None
    assert record.beside is not None
    assert not record.judgement.jump
    assert not record.beside.against()
    assert record.notes == ()
