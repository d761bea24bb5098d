"""Bad peers among good ones: what they send is held under its own reason, and the others train as if nothing were."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from afuic.engines.live.messages import Answer, pack_answer
from afuic.engines.live.transport import Reply
from afuic.params import Params, scale
from afuic.protocol import invariants
from afuic.store import codec
from tests.engines.live.conftest import SCRUB, Live, Make

Tensors = Callable[[Params], Params]


def changed(change: Tensors) -> Callable[[Reply], Reply]:
    """A hospital that sends something else than what it computed."""

    def spoil(reply: Reply) -> Reply:
        if reply.client != "hospital-1" or not reply.tensors or reply.task.startswith("hospital-1/0"):
            return reply
        return replace(reply, tensors=pack_answer(Answer(reply.task, change(codec._read(reply.tensors))))[1])

    return spoil


def declared(reply: Reply) -> Reply:
    """10 GB in the header of a small file."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [2_500_000_000], "data_offsets": [0, 10_000_000_000]}}).encode()
    bad = struct.pack("<Q", len(header)) + header
    return replace(reply, tensors=bad) if reply.client == "hospital-1" else reply


def reasons(found: Live) -> str:
    return " | ".join(row.reason for row in found.book.quarantined() if row.client == "hospital-1")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (changed(lambda delta: {name: t.flatten()[:1] for name, t in delta.items()}), "the model has"),
        (changed(lambda delta: {name: torch.full_like(t, float("nan")) for name, t in delta.items()}), "NaN or infinite"),
        (changed(lambda delta: scale(delta, 1e6)), "is above the bound of"),
        (declared, "not safetensors"),
        (lambda reply: replace(reply, document=b"{}") if reply.client == "hospital-1" else reply, "not in the format"),
        (lambda reply: replace(reply, task="hospital-0/1") if reply.client == "hospital-1" else reply, "never given"),
        (lambda reply: replace(reply, task="hospital-1/99") if reply.client == "hospital-1" else reply, "never given"),
    ],
)
def test_it_is_held_and_the_others_train_on(live: Make, spoil: Callable[[Reply], Reply], why: str) -> None:
    found = live(spoil=spoil)
    found.turns(60)
    clients = found.state.clients
    assert why in reasons(found)
    assert clients["hospital-1"].applied <= 1
    assert clients["hospital-0"].applied > 20
    assert clients["hospital-2"].applied > 5
    invariants.check(found.state)


def test_unlearning_that_would_wreck_the_model_is_held_and_the_erasure_goes_on_without_it(live: Make) -> None:
    wrecks = changed(lambda delta: {name: 30.0 * torch.sign(t) + 1.0 for name, t in delta.items()})
    found = live({**SCRUB, "deadline_s": 5.0, "patients_client": {**SCRUB["patients_client"], "bound": 50.0}})
    found.turns(20)
    found.driver.transport.spoil = wrecks  # type: ignore[attr-defined]
    found.driver.gate.limits = found.driver.gate.limits.model_copy(update={"norm_factor": 1e9})
    request = found.ask_patients("hospital-1")
    found.until(lambda: found.ended([request]))
    assert "nats, more than 1" in reasons(found)
    assert found.phases() == {request: "completed"}
    invariants.check(found.state)


def test_a_hospital_that_keeps_failing_is_asked_more_and_more_rarely(live: Make) -> None:
    found = live(spoil=declared)
    found.turns(100, step_s=0.1)
    # 10 s: fails at about 0.4 s, then after pauses of 1, 2, 4 s and 0.4 s of work each
    assert 3 <= found.state.clients["hospital-1"].tasks <= 5


def test_a_verification_that_fails_keeps_nobody_waiting(live: Make) -> None:
    found = live(spoil=lambda reply: replace(reply, document=b"{}") if reply.task.startswith("verify/") else reply)
    found.turns(20)
    request = found.ask("hospital-0")
    found.until(lambda: bool(found.book.certificates()))
    assert found.book.verification(request) is None
    assert found.driver.clock.now() < found.trial.settings.verify_deadline_s
