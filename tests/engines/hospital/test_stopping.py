"""A hospital is heard while it trains, and what it has withdrawn is trained on no more, whatever the server says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from afuic.config import parse
from afuic.engines.hospital import withdrawals
from afuic.engines.hospital.desk import Desk
from afuic.engines.hospital.inbox import Inbox
from afuic.engines.live.messages import Assignment, Verify
from afuic.erase.peers.fedosd import Descent
from afuic.erase.peers.local import Steps
from afuic.erase.rounds import LocalTraining
from afuic.params import Params
from afuic.store.files import write_bytes
from tests.engines.hospital.conftest import NAME, Clinic, order, train, unlearn, verify

Make = Callable[[Params], Assignment]
WORK: dict[str, Make] = {
    "training": lambda model: train(model, 1),
    "training for the centre of unlearning": lambda model: unlearn(model, 1),
    "unlearning": lambda model: unlearn(model, 1, own=model),
    "an order to train": lambda model: order(model, 1, LocalTraining(steps=6)),
    "an order to descend": lambda model: order(model, 1, Descent(loss="unlearning", steps=Steps(steps=6, batch=8))),
}


def at_batch(clinic: Clinic, number: int, happens: Callable[[], object]) -> list[int]:
    """Something happens while the network is shown its batch of this number, from 1; the batches shown since the task began."""
    seen: list[int] = []

    def hook(module: object, inputs: object) -> None:
        seen.append(1)
        if len(seen) == number:
            happens()

    clinic.desk.network.module.register_forward_pre_hook(hook)
    return seen


@pytest.mark.parametrize("kind", WORK)
def test_a_notice_stops_the_work_before_its_next_batch(clinic: Clinic, kind: str) -> None:
    withdrawn, work = clinic.withdraw(0), WORK[kind](clinic.model)
    seen = at_batch(clinic, 2, lambda: Inbox(clinic.site.state / "inbox").leave("somebody asks"))
    answer = clinic.ask(work, withdrawn=withdrawn)
    assert answer.delta is None
    assert answer.failed is not None
    assert "told to stop" in answer.failed
    assert len(seen) == 2
    # the notice has been heeded: the same task, asked for again, is done
    assert clinic.ask(work, withdrawn=withdrawn).delta is not None


def test_patients_who_withdraw_while_it_trains_are_in_no_batch_afterwards(clinic: Clinic) -> None:
    seen = at_batch(clinic, 1, lambda: clinic.withdraw(0))
    assert clinic.ask(train(clinic.model)).failed is not None
    assert len(seen) == 1
    assert "have withdrawn here" in str(clinic.ask(train(clinic.model)).failed)
    assert len(seen) == 1


def test_a_withdrawal_in_the_last_batch_leaves_no_result(clinic: Clinic) -> None:
    steps = clinic.lab.config.training.steps
    at_batch(clinic, steps, lambda: clinic.withdraw(0))
    answer = clinic.ask(train(clinic.model))
    assert answer.delta is None
    assert "an erasure was asked for" in str(answer.failed)
    assert list((clinic.site.state / "outbox").iterdir()) == []


def test_verification_goes_on(clinic: Clinic) -> None:
    at_batch(clinic, 1, lambda: clinic.withdraw(1))
    assert clinic.ask(verify(clinic.model), withdrawn=clinic.withdraw(0)).numbers is not None


@pytest.mark.parametrize(("withdrawn", "epoch"), [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)])
def test_withdrawn_patients_are_in_no_batch_though_the_server_says_so(clinic: Clinic, withdrawn: int, epoch: int) -> None:
    digests = clinic.withdraw(0, 1)
    gone = clinic.of(*clinic.group(0), *clinic.group(1))
    for work in (train(clinic.model, epoch), order(clinic.model, epoch, target=False)):
        answer = clinic.ask(work, withdrawn=digests[:withdrawn])
        assert answer.failed is not None
    assert not clinic.digests() & gone
    assert clinic.ask(train(clinic.model, 2), withdrawn=digests).delta is not None
    assert clinic.digests()
    assert not clinic.digests() & gone


def test_long_training_sees_everybody_but_those_who_withdrew(clinic: Clinic) -> None:
    digests = clinic.withdraw(0)
    work = order(clinic.model, 1, LocalTraining(steps=60), target=False)
    assert clinic.ask(work, withdrawn=digests).delta is not None
    held = clinic.lab.federation.clients[NAME]
    assert clinic.digests() == clinic.of(*set(held.patients) - set(clinic.group(0)))


def test_images_deleted_after_their_erasure_change_nothing(clinic: Clinic) -> None:
    from afuic.data.npz import read_dataset, write_dataset

    digests, work = clinic.withdraw(0), train(clinic.model, 1)
    dataset = read_dataset(clinic.site.data)
    assert dataset.patient is not None
    left = ~_isin(dataset.patient, clinic.group(0))
    columns = {key: getattr(dataset, key)[left] for key in ("images", "labels", "split", "patient")}
    write_dataset(type(dataset)(**{**vars(dataset), **columns}), clinic.site.data)
    answer = clinic.ask(work, withdrawn=digests)
    expected = clinic.lab.worker().train(work)
    assert answer.delta is not None
    assert all((answer.delta[name] == expected[name]).all() for name in expected)
    for gone in (verify(clinic.model), unlearn(clinic.model), order(clinic.model)):
        assert "are not at the hospital any more" in str(clinic.ask(gone, withdrawn=digests).failed)


def _isin(patients: Any, group: tuple[str, ...]) -> Any:
    import numpy as np

    return np.isin(patients, group)


def test_a_hospital_that_has_left_does_its_own_erasure_only(clinic: Clinic) -> None:
    digests = clinic.withdraw(0)
    withdrawals.withdraw_all(clinic.site, 1.0)
    for work in (train(clinic.model, 1), order(clinic.model, 1, target=False), order(clinic.model), unlearn(clinic.model)):
        assert "has left the federation" in str(clinic.ask(work, withdrawn=digests).failed)
    assert clinic.shown == []
    assert clinic.ask(unlearn(clinic.model, 1, whole=True), withdrawn=digests).delta is not None
    assert clinic.ask(order(clinic.model, 1, whole=True), withdrawn=digests).delta is not None
    assert clinic.ask(verify(clinic.model, 1, whole=True), withdrawn=digests).numbers is not None
    withdrawals.take_all_back(clinic.site)
    assert clinic.ask(train(clinic.model, 1), withdrawn=digests).delta is not None


@contextmanager
def server(says: Any, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """An erasure API of which only the inbox is there; its address, and the headers by which it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['Authorization']}")
            body = json.dumps(says).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", asked
        finally:
            http.shutdown()
            thread.join()


def listening(clinic: Clinic, api: str, steps: int) -> Desk:
    """A desk that trains for long and asks at this address every few milliseconds."""
    config = parse({**clinic.lab.config.model_dump(mode="json"), "training": {"steps": steps, "batch": 8}})
    write_bytes(clinic.site.token, b"secret\n", 0o600)
    site = clinic.site.model_copy(update={"api": api, "federation": config})
    return Desk(site, listen_s=0.01)


@pytest.mark.parametrize("says", [{"cancelled": [f"{NAME}/3"], "fenced": False}, {"cancelled": [], "fenced": True}])
def test_the_servers_word_stops_it(clinic: Clinic, says: dict[str, Any]) -> None:
    with server(says) as (api, asked):
        clinic.desk = desk = listening(clinic, api, 200_000)
        clinic.site = desk.site
        answer = clinic.ask(train(clinic.model))
    assert "told to stop" in str(answer.failed)
    assert asked[0] == "/v1/inbox Bearer secret"


@pytest.mark.parametrize(("says", "status"), [
    ({"cancelled": [f"{NAME}/2"], "fenced": False}, 200),
    ({"cancelled": "all", "fenced": True}, 200),
    (["fenced"], 200),
    ({"cancelled": [], "fenced": True}, 401),
    ({"cancelled": [], "fenced": True, "filler": "x" * (1 << 20)}, 200),
])  # fmt: skip
def test_other_words_do_not(clinic: Clinic, says: Any, status: int) -> None:
    with server(says, status) as (api, asked):
        clinic.desk = desk = listening(clinic, api, 20)
        clinic.site = desk.site
        asked_while: list[int] = []
        _wait_at_the_end(clinic, 20, asked, asked_while)
        assert clinic.ask(train(clinic.model)).delta is not None
    assert asked_while


def _wait_at_the_end(clinic: Clinic, steps: int, asked: list[str], out: list[int]) -> None:
    """Before the last batch, wait until the server has been asked."""

    def wait() -> None:
        pause = threading.Event()
        while not asked:
            pause.wait(0.005)
        out.append(len(asked))

    at_batch(clinic, steps, wait)


def test_a_fence_does_not_stop_the_erasure_itself(clinic: Clinic) -> None:
    with server({"cancelled": [], "fenced": True}) as (api, asked):
        clinic.desk = desk = listening(clinic, api, 3)
        clinic.site = desk.site
        _wait_at_the_end(clinic, 2, asked, [])
        assert clinic.ask(unlearn(clinic.model, 0, whole=True)).delta is not None
    assert asked


def test_nothing_of_a_verification_is_an_erasure_of_all() -> None:
    from afuic.engines.hospital.checking import erases_all

    assert erases_all(Verify("t", "r", NAME, {}, True, 0))
    assert not erases_all(Verify("t", "r", NAME, {}, False, 1))
