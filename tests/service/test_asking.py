"""Asking for erasures: durable, once, within limits, recorded; and what is refused."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from pydantic import ValidationError

from afuic.errors import StoreError
from afuic.protocol.events import CalibrationDone, ScrubArrived
from afuic.service.app import create_app
from afuic.service.schemas import Ask
from afuic.store.book import Book
from afuic.store.rows import Head
from tests.protocol.rule_sets import SETS
from tests.service.conftest import SALTED, Service, request

PATIENTS = {"patients": 3, "salted": SALTED}


def test_what_is_asked_is_durable_and_comes_back(service: Service):
    answer = service.ask("hospital-1", **PATIENTS)
    row = answer.json()
    assert answer.status_code == 202
    assert row["phase"] == "asked"
    assert (row["client"], row["patients"], row["salted"], row["who"]) == ("hospital-1", 3, SALTED, "hospital:hospital-1")
    with_another = Book.open(None, service.settings.store)
    assert [command.request for command in with_another.commands()] == [row["id"]]
    with_another.close()
    assert service.get("hospital-1", f"requests/{row['id']}").json() == row


def test_asking_twice_is_asking_once(service: Service):
    answers = [service.ask("operator") for _ in range(3)]
    assert [a.status_code for a in answers] == [202, 200, 200]
    assert answers[0].json() == answers[2].json()
    assert len(service.driver.book.commands()) == 1


def test_the_same_key_for_something_else_is_a_conflict(service: Service):
    service.ask("operator")
    for other in ({"client": "hospital-2"}, {"reason": "another"}):
        answer = service.ask("operator", **other)
        assert answer.status_code == 409
        assert "key" in answer.json()["error"]
    assert len(service.driver.book.commands()) == 1


def test_a_key_is_its_askers_own(service: Service):
    first, second = service.ask("operator"), service.ask("hospital-2", client="hospital-2")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] != second.json()["id"]


def test_a_replayed_digest_is_refused_even_under_a_new_key(service: Service):
    first = service.ask("hospital-1", **PATIENTS).json()["id"]
    answer = service.ask("hospital-1", key="key-2", **PATIENTS)
    assert answer.status_code == 409
    assert first in answer.json()["error"]
    assert service.ask("hospital-1", **PATIENTS).status_code == 200


def test_an_erased_hospital_cannot_be_erased_again(trained: Service):
    first = trained.ask("operator").json()["id"]
    trained.driver.take_up()
    assert trained.get("operator", f"requests/{first}").json()["phase"] in {"guarding", "purging"}
    answer = trained.ask("operator", key="key-2")
    assert answer.status_code == 409
    assert first in answer.json()["error"]
    assert trained.ask("hospital-1", key="key-3", **PATIENTS).status_code == 409
    assert trained.ask("operator").status_code == 200


def test_a_request_is_taken_back_once(trained: Service):
    first = trained.ask("operator").json()["id"]
    withdraw = [trained.call("operator", "POST", f"/v1/requests/{first}/withdraw").status_code for _ in range(2)]
    assert withdraw == [202, 200]
    kinds = [(command.kind, command.request) for command in trained.driver.book.commands()]
    assert kinds == [("erase", first), ("withdraw", first)]


def test_a_request_that_is_released_stays(trained: Service):
    asked = trained.ask("operator").json()["id"]
    trained.driver.take_up()
    answer = trained.call("operator", "POST", f"/v1/requests/{asked}/withdraw")
    assert answer.status_code == 409
    assert "no longer" in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        {"patients": 3},
        {"salted": SALTED},
        {"patients": 0, "salted": SALTED},
        {"patients": True, "salted": SALTED},
        {"patients": "3", "salted": SALTED},
        {"patients": 3.5, "salted": SALTED},
        {"patients": 10**30, "salted": SALTED},
        {"patients": 3, "salted": SALTED.upper()},
        {"patients": 3, "salted": SALTED, "ids": ["P-0007"]},
        {"client": "Hospital 1"},
        {"client": "../hospital-1"},
        {"reason": ""},
        {"reason": "x" * 501},
        {"reason": "a\x00b"},
        {"reason": "two\nlines"},
        {"reason": None},
    ],
)
def test_what_is_malformed_is_named_and_not_repeated(service: Service, body):
    answer = service.ask("hospital-1", **body)
    assert answer.status_code == 422
    assert set(answer.json()) == {"error"}
    assert "P-0007" not in answer.text
    assert service.driver.book.commands() == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"[" * 60000, b'{"reason": "\\ud800", "client": "hospital-1"}', b"\xff\xfe"]
)
def test_what_is_no_json_is_refused(service: Service, content):
    headers = {"Idempotency-Key": "key", "Content-Type": "application/json"}
    answer = service.call("operator", "POST", "/v1/requests", content=content, headers=headers)
    assert answer.status_code in {400, 422}
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"reason": "r", "client": "hospital-1"}'.encode("utf-16"), "not UTF-8"),
        ('{"reason": "r", "client": "hospital-1"}'.encode("utf-16-le"), "not JSON"),
        ('{"reason": "r", "client": "hospital-1"}'.encode("utf-8-sig"), "byte order mark"),
        (b'{"reason": "r", "client": "hospital-1", "client": "hospital-2"}', "a key twice"),
        (b'{"reason": "r", "client": "hospital-1", "patients": 1e999}', "infinity"),
        (b'{"reason": "r", "client": "hospital-1", "patients": ' + b"9" * 5000 + b"}", "more than 64 digits"),
        (b'{"reason": ' + b"[" * 60000, "nested deeper"),
    ],
)
def test_there_is_one_way_to_write_what_is_asked(service: Service, content, why):
    headers = {"Idempotency-Key": "key", "Content-Type": "application/json"}
    answer = service.call("operator", "POST", "/v1/requests", content=content, headers=headers)
    assert answer.status_code == 400
    assert why in answer.json()["error"]
    assert service.driver.book.commands() == []


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": ""}, {"Idempotency-Key": "a b"}, {"Idempotency-Key": "x" * 129}])
def test_a_key_is_needed(service: Service, headers):
    body = {"client": "hospital-1", "reason": "left"}
    answer = service.call("operator", "POST", "/v1/requests", json=body, headers=headers)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["error"]


def test_a_body_too_large_is_not_read(make):
    service = make(max_body_bytes=1024)
    assert service.ask("operator", reason="x" * 2000).status_code == 413

    async def parts():
        for _ in range(1000):
            yield b" " * 100

    answer = service.call("operator", "POST", "/v1/requests", content=parts(), headers={"Idempotency-Key": "key"})
    assert answer.status_code == 413


def test_callers_are_slowed_down_each_by_itself_and_asking_apart_from_looking(make):
    service = make(requests_per_minute=2)
    looked = [service.get("hospital-1", "status") for _ in range(4)]
    assert [a.status_code for a in looked] == [200, 200, 429, 429]
    assert 1 <= int(looked[3].headers["retry-after"]) <= 30
    assert service.get("hospital-2", "status").status_code == 200
    assert service.ask("hospital-1").status_code == 202
    assert [service.get(None, "status").status_code for _ in range(3)] == [401, 401, 429]
    assert service.get("operator", "status").status_code == 200


def test_everything_is_in_the_audit(trained: Service):
    trained.ask("operator", reason="because of Mrs. Smith")
    trained.ask("operator", reason="because of Mrs. Smith")
    trained.ask("hospital-2")
    trained.ask("auditor")
    for _ in range(3):
        trained.get("hospital-1", "status")
        trained.get("operator", "models/2/file")
    trained.get(None, "requests/r-1")
    trained.call(None, "GET", "/v1/<script>", headers={"Authorization": "Bearer forged"})
    rows = trained.audit()
    assert [(who, action, subject) for who, action, subject, _ in rows] == [
        ("operator:operator", "POST /v1/requests", "hospital-1"),
        ("operator:operator", "POST /v1/requests", "hospital-1"),
        ("hospital:hospital-2", "POST /v1/requests", "hospital-1"),
        ("auditor:auditor", "POST /v1/requests", "hospital-1"),
        ("hospital:hospital-1", "GET /v1/status", ""),
        *[("operator:operator", "GET /v1/models/2/file", "")] * 3,
        ("unknown", "GET /v1/requests/r-1", "127.0.0.1"),
    ]
    outcomes = [outcome for *_, outcome in rows]
    assert outcomes[:2] == ["202", "200"]
    assert outcomes[2].startswith("403: a hospital can ask only for itself")
    assert trained.get("auditor", "audit").json()[0]["who"] == "unknown"
    assert "Smith" not in str(rows)


def test_no_secret_and_no_reason_is_logged(trained: Service, caplog):
    caplog.set_level(logging.DEBUG)
    trained.ask("operator", reason="because of Mrs. Smith")
    trained.ask("hospital-1", key="secret-key", **PATIENTS)
    trained.ask("hospital-1", patients="wrong", reason="because of Mrs. Smith")
    trained.call(None, "GET", "/v1/status", headers={"Authorization": "Bearer forged-but-secret"})
    trained.get("operator", "audit")
    logged = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    own = [record for record in caplog.records if record.name.startswith("afuic")]
    assert len(own) == 5
    for secret in (*trained.secrets.values(), "forged-but-secret", "Smith", SALTED, "secret-key"):
        assert secret not in logged


def test_the_inbox_tells_of_an_erasure_the_moment_it_is_asked_for(trained: Service):
    assert trained.get("hospital-1", "inbox").json() == {"cancelled": [], "fenced": False}
    task = trained.driver.state.task_of("hospital-1").id
    trained.ask("operator")
    assert trained.get("hospital-1", "inbox").json()["fenced"] is True
    trained.driver.book.notice("hospital-1", task)
    assert trained.get("hospital-1", "inbox").json() == {"cancelled": [task], "fenced": True}
    assert trained.get("hospital-2", "inbox").json() == {"cancelled": [], "fenced": False}


def test_a_method_that_is_not_taken_is_told_which_are(service: Service):
    answer = service.call("operator", "DELETE", "/v1/requests")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"
    assert set(answer.json()) == {"error"}


def test_before_the_server_has_made_its_store_the_api_says_so_and_then_goes_on(service: Service, tmp_path):
    there = []

    def books():
        if not there:
            raise StoreError("postgresql://hospital@db/afuic: no such database")
        return Book.open(None, service.settings.store)

    app = create_app(service.settings, books)
    headers = {"Authorization": f"Bearer {service.secrets['operator']}"}
    answer = request(app, "GET", "/v1/status", headers=headers)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "postgresql" not in answer.text
    there.append(True)
    assert request(app, "GET", "/v1/status", headers=headers).status_code == 200
    app.state.shelf.close()


def test_a_fault_is_one_sentence_and_in_the_audit(service: Service, monkeypatch):
    monkeypatch.setattr(Book, "status", lambda self: 1 / 0)
    answer = service.get("operator", "status")
    assert answer.status_code == 500
    assert answer.json() == {"error": "a fault in the server; its operator finds it in the log"}


def test_unusable_tokens_let_nobody_in(service: Service, tmp_path):
    (tmp_path / "tokens.json").write_text("[]broken")
    answer = service.get("operator", "status")
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def test_what_can_be_read_back(trained: Service):
    import torch
    from safetensors.torch import load

    lineage = trained.get("auditor", "models/2").json()
    assert (lineage["contributors"], lineage["taught_by"]) == (["hospital-1@0", "hospital-2@0"], [])
    tensors = load(trained.get("hospital-3", "models/2/file").content)
    assert torch.equal(tensors["w"], torch.tensor([1.5, 0.0]))  # η = 1/2: 0.5 · 1 + 0.5 · 2
    listed = trained.get("auditor", "models?limit=2").json()
    assert [row["version"] for row in listed] == [3, 2]
    assert trained.get("auditor", "models/77").status_code == 404
    asked = trained.ask("operator").json()["id"]
    answer = trained.get("operator", f"certificates/{asked}")
    assert answer.status_code == 404
    assert "no certificate yet" in answer.json()["error"]
    trained.driver.take_up()
    envelope = json.dumps({"payload": "x"})
    trained.driver.book.certify(asked, envelope, "sha256:" + "1" * 64, 5.0)
    assert trained.get("hospital-1", f"certificates/{asked}").json()["envelope"] == envelope
    assert trained.get("hospital-2", f"certificates/{asked}").status_code == 404
    assert [row["request"] for row in trained.get("hospital-1", "certificates").json()] == [asked]
    assert trained.get("hospital-2", "certificates").json() == []


@pytest.mark.parametrize("reason", ["a\u202eb", "a\x9bb", "two\u2028lines", "zero\u200bwidth", "a\tb", " \u00a0 ", ""])
def test_a_reason_that_hides_something_or_says_nothing_is_refused(reason: str) -> None:
    with pytest.raises(ValidationError):
        Ask(client="hospital-1", reason=reason)


def test_a_reason_is_kept_in_one_spelling() -> None:
    assert Ask(client="hospital-1", reason=" Zoe\u0308 left ").reason == "Zo\u00eb left"


def test_the_audit_is_read_page_by_page(trained: Service):
    for number in range(7):
        trained.driver.book.audit(100.0 + number, "operator", "operator", f"act {number}", "", "200")
    first = trained.get("auditor", "audit?limit=3").json()
    assert [row["action"] for row in first] == ["act 6", "act 5", "act 4"]
    then = trained.get("auditor", f"audit?limit=3&before={first[-1]['id']}").json()
    assert [row["action"] for row in then] == ["act 3", "act 2", "act 1"]
    assert trained.get("auditor", "audit?before=0").status_code == 422


def test_the_status_has_the_records_head(trained: Service):
    before = trained.driver.book.head()
    found = trained.get("operator", "status").json()["record"]
    assert found["links"] >= before.links
    assert trained.driver.book.holds(Head(**found))


def test_who_refined_the_model_after_its_erasure_can_be_erased_again(trained: Service):
    trained.driver.rules = SETS["afuic-client"]
    trained.ask("hospital-1")
    trained.driver.take_up()
    driver = trained.driver
    driver.feed(CalibrationDone(50.0, driver.state.heal.id, dict(driver.state.heal.base)))
    assert trained.ask("hospital-1", key="again").status_code == 409
    task = driver.state.task_of("hospital-1")
    driver.feed(ScrubArrived(51.0, task.id, "hospital-1", {"w": torch.tensor([0.5, 0.0])}))
    assert trained.get("operator", f"models/{driver.state.version}").json()["contributors"][0] == "hospital-1@1"
    asked = trained.ask("hospital-1", key="again")
    assert asked.status_code == 202
    driver.take_up()
    driver.feed(CalibrationDone(53.0, driver.state.heal.id, dict(driver.state.heal.base)))
    assert trained.get("operator", f"models/{driver.state.version}").json()["contributors"] == ["hospital-2@0", "hospital-3@0"]
