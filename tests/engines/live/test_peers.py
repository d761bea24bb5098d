"""Bad peers among good ones: what they send is held under its own reason, and the others train as if nothing were."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from sqlalchemy import insert

from afuic.certify import envelope
from afuic.certify.keys import load_public, public_path
from afuic.cli import telling
from afuic.engines.live.certifying import UNSCORED
from afuic.engines.live.ending import MOST
from afuic.engines.live.messages import Answer, pack_answer
from afuic.engines.live.open import closed
from afuic.engines.live.transport import Reply
from afuic.params import Params, scale
from afuic.protocol import invariants
from afuic.store import codec, schema
from afuic.text import hidden
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
    ended = found.book.verification(request)
    assert ended is not None
    assert (ended.numbers, "not in the format" in ended.why) == ({}, True)
    assert ("hospital-0", f"verify/{request}") in {(row.client, row.task) for row in found.book.quarantined()}
    assert found.driver.clock.now() < found.trial.settings.verify_deadline_s


SCORES = {
    "name": {"Forget Loss": 1.0},
    "endless": {"forget_loss": 10**400},
    "negative": {"forget_loss": -1.0},
    "share": {"forget_accuracy": 7},
    "none": {},
    "hidden": {"forget_loss\u202e\x9b": 1.0},
}


@pytest.mark.parametrize("name", SCORES)
def test_the_erased_does_not_decide_whether_its_certificate_exists(live: Make, name: str) -> None:
    document = json.dumps(
        {"format": "afuic-reply/1", "task": "verify/request-1", "numbers": SCORES[name], "failed": None}
    ).encode()
    found = live(spoil=lambda reply: replace(reply, document=document) if reply.task.startswith("verify/") else reply)
    found.turns(5)
    request = found.ask("hospital-0")
    found.until(lambda: bool(found.book.certificates()))
    made = envelope.verify(found.book.certificates()[0].envelope, load_public(public_path(found.trial.settings.signing_key)))
    assert made.predicate.evidence.empirical.scores == "none"
    assert UNSCORED in made.predicate.evidence.procedural.notes
    row = found.book.request(request)
    assert row is not None
    assert row.uncertified is None
    assert any(note.startswith("no scores from hospital-0: ") for note in row.notes)
    assert not any(map(hidden, row.notes))


def test_scores_that_an_older_store_kept_do_not_prevent_it_either(live: Make) -> None:
    found = live(spoil=lambda reply: replace(reply, task="verify/other") if reply.task.startswith("verify/") else reply)
    found.turns(5)
    request = found.ask("hospital-0")
    found.until(lambda: found.phases() == {request: "completed"})
    with found.book._database.owning() as connection:
        row = {"request": request, "client": "hospital-0", "numbers": {"Forget Loss": 1}, "at": 1.0, "why": ""}
        connection.execute(insert(schema.verifications).values(**row))
    found.driver.standing.open = closed(found.driver.standing.open, request)
    found.until(lambda: bool(found.book.certificates()))


def test_what_cannot_be_certified_says_so_and_is_tried_more_and_more_rarely(live: Make) -> None:
    found = live()
    found.turns(5)
    found.trial.settings.signing_key.chmod(0o644)
    request = found.ask("hospital-0")
    found.until(lambda: bool(found.book.uncertified()))
    row = found.book.request(request)
    assert row is not None
    assert "others may read this" in (row.uncertified or "")
    assert "not certified" in str(telling.requests([row]).columns[5]._cells)
    assert any("could not be certified" in line for line in telling.request(row))
    status = found.book.status()
    assert status.uncertified == {request: row.uncertified}
    assert any("could not be certified: " + request in line for line in telling.overview(status))
    for _ in range(40):
        found.turns(1)
        found.hands.move(86_400.0)
    assert found.book.uncertified()[0].tries == MOST
    found.stop()
    found.start()
    found.turns(3)
    assert found.book.uncertified()[0].tries == MOST + 1
    found.trial.settings.signing_key.chmod(0o600)
    found.stop()
    found.start()
    found.until(lambda: bool(found.book.certificates()))
    assert found.book.uncertified() == []
    assert found.book.status().uncertified == {}


def test_a_fault_in_certifying_is_told_and_the_federation_goes_on(live: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("never thought of")

    monkeypatch.setattr("afuic.engines.live.ending.facts_of", fails)
    found = live()
    found.turns(5)
    request = found.ask("hospital-0")
    found.until(lambda: bool(found.book.uncertified()))
    assert "a fault in afuic (RuntimeError)" in found.book.status().uncertified[request]
    before = found.state.applied
    found.turns(10)
    assert found.state.applied > before
