"""Who may do what: one table over every address and every kind of caller."""

from __future__ import annotations

from dataclasses import replace

import pytest

from afuic.protocol.events import CalibrationDone, CalibrationFailed
from afuic.scores import Judgement
from tests.service.conftest import SALTED, Service

WHO = (None, "operator", "auditor", "hospital-1", "hospital-2")
WHOLE, PATIENTS = {}, {"patients": 3, "salted": SALTED}

READS = {
    "status": (401, 200, 200, 200, 200),
    "requests": (401, 200, 200, 200, 200),
    "requests/r-none": (401, 404, 404, 404, 404),
    "models": (401, 200, 200, 200, 200),
    "models/3": (401, 200, 200, 200, 200),
    "models/3/file": (401, 200, 403, 200, 200),
    "network": (401, 200, 200, 200, 200),
    "certificates": (401, 200, 200, 200, 200),
    "certificates/r-none": (401, 404, 404, 404, 404),
    "audit": (401, 200, 200, 403, 403),
    "inbox": (401, 403, 403, 200, 200),
    "openapi.json": (401, 200, 200, 200, 200),
    "nothing-here": (401, 404, 404, 404, 404),
}


@pytest.mark.parametrize("path", READS)
def test_who_reads_what(trained: Service, path):
    assert tuple(trained.get(who, path).status_code for who in WHO) == READS[path]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (WHOLE, (401, 202, 403, 202, 403)),
        (PATIENTS, (401, 403, 403, 202, 403)),
        ({"client": "nobody"}, (401, 404, 403, 403, 403)),
    ],
)
@pytest.mark.parametrize("place", range(5))
def test_who_asks_for_what(service: Service, body, expected, place):
    answer = service.ask(WHO[place], **body)
    assert answer.status_code == expected[place]
    assert len(service.driver.book.commands()) == (expected[place] == 202)


@pytest.mark.parametrize(
    ("asker", "expected"), [("operator", (401, 202, 403, 403, 404)), ("hospital-1", (401, 403, 403, 202, 404))]
)
@pytest.mark.parametrize("place", range(5))
def test_only_who_asked_takes_back(service: Service, asker, expected, place):
    request = service.ask(asker).json()["id"]
    assert service.call(WHO[place], "POST", f"/v1/requests/{request}/withdraw").status_code == expected[place]
    assert len(service.driver.book.commands()) == 1 + (expected[place] == 202)


def test_a_hospital_sees_its_own_and_nothing_of_others(trained: Service):
    own, other = trained.ask("hospital-1").json()["id"], trained.ask("hospital-2", client="hospital-2").json()["id"]
    assert [row["id"] for row in trained.get("hospital-1", "requests").json()] == [own]
    assert [row["id"] for row in trained.get("auditor", "requests").json()] == [own, other]
    assert trained.get("hospital-1", f"requests/{other}").status_code == 404
    status = trained.get("hospital-1", "status").json()
    assert [row["name"] for row in status["clients"]] == ["hospital-1"]
    assert status["pending"] == [own]
    assert len(trained.get("operator", "status").json()["clients"]) == 3


def test_a_hospital_sees_who_else_is_in_a_model_only_as_a_number(trained: Service):
    seen = trained.get("hospital-1", "models/3").json()
    assert (seen["contributors"], seen["other_contributors"]) == (["hospital-1@0"], 2)
    assert trained.get("auditor", "models/3").json()["contributors"] == ["hospital-1@0", "hospital-2@0", "hospital-3@0"]
    other = trained.ask("hospital-2", client="hospital-2").json()["id"]
    trained.driver.take_back()
    assert any(row["pinned_by"] == [other] for row in trained.get("operator", "models").json())
    for path in ("models", "models/3", "status", "requests", "inbox", "certificates"):
        assert "hospital-2" not in trained.get("hospital-1", path).text
        assert other not in trained.get("hospital-1", path).text


def test_a_note_names_no_other_hospital_to_a_hospital(trained: Service):
    own = trained.ask("hospital-1").json()["id"]
    trained.driver.take_back()
    record = trained.driver.state.requests[own]
    note = "the order for 'hospital-2' failed 10 times: no memory on hospital-2"
    trained.driver.state = replace(trained.driver.state, requests={own: replace(record, notes=(note,))})
    trained.driver.train("hospital-3", 1.0, 0.0)
    trained.driver.feed(CalibrationFailed(99.0, trained.driver.state.heal.id, "no memory"))
    assert note in trained.get("operator", f"requests/{own}").json()["notes"]
    for path in ("requests", f"requests/{own}"):
        assert "another hospital" in trained.get("hospital-1", path).text
        assert "hospital-2" not in trained.get("hospital-1", path).text


def test_a_reason_names_no_other_hospital_to_a_hospital(trained: Service):
    own = trained.ask("operator", reason="hospital-2 and HOSPITAL-3 left as well").json()["id"]
    assert trained.get("auditor", f"requests/{own}").json()["reason"] == "hospital-2 and HOSPITAL-3 left as well"
    trained.app.state.hospitals = frozenset({"hospital-1"})
    for path in ("requests", f"requests/{own}"):
        assert "another hospital and another hospital left as well" in trained.get("hospital-1", path).text


def test_why_there_is_no_certificate_is_for_the_operators(trained: Service):
    own = trained.ask("hospital-1").json()["id"]
    trained.driver.take_back()
    trained.driver.book.put_off(own, "server/certificate.key: no such key file", 1.0)
    assert trained.get("operator", "status").json()["uncertified"] == {own: "server/certificate.key: no such key file"}
    for path in ("requests", f"requests/{own}", "status"):
        assert "certificate.key" in trained.get("operator", path).text
        assert "certificate.key" not in trained.get("hospital-1", path).text
        assert "could not make its certificate" in trained.get("hospital-1", path).text
    assert trained.get("hospital-2", "status").json()["uncertified"] == {}


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Basic b3BlcmF0b3I6",
        "Bearer forged",
        "Bearer {half}",
        "bearer {other case}",
        "{bare}",
        "Bearer {twice}",
    ],
)
def test_a_refused_token_says_nothing_about_why(service: Service, header):
    secret = service.secrets["operator"]
    forms = {"{half}": secret[:20], "{other case}": secret.swapcase(), "{bare}": secret, "{twice}": f"{secret} {secret}"}
    for form, value in forms.items():
        header = header.replace(form, value)
    without = service.call(None, "GET", "/v1/status")
    answer = service.call(None, "GET", "/v1/status", headers={"Authorization": header})
    assert answer.status_code == without.status_code == 401
    assert answer.content == without.content
    assert answer.headers["www-authenticate"] == "Bearer"


def test_health_needs_no_token_and_tells_nothing(service: Service):
    assert service.call(None, "GET", "/healthz").json() == {"ok": True}


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/openapi.json", "/v1/", "/healthz/", "//healthz"])
def test_nothing_else_is_open(service: Service, path):
    assert service.call(None, "GET", path).status_code == 401


def test_any_token_of_a_hospital_acts_for_it(service: Service, tmp_path):
    from afuic.service import tokens

    secret, entry = tokens.issue("second", "hospital", "hospital-1")
    tokens.write(tmp_path / "tokens.json", [*tokens.read(tmp_path / "tokens.json"), entry])
    service.secrets["second"] = secret
    first = service.ask("hospital-1")
    again = service.ask("second")
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json() == again.json()


@pytest.mark.parametrize(
    "address", ["status?token=x", "status?access_token=", "status?limit={}", "status?{}", "requests/{}", "{}"]
)
def test_a_token_in_an_address_is_refused_and_told_nowhere(service: Service, address, caplog):
    """Whoever sent it has to learn it, even with the right token in the header."""
    secret = service.secrets["operator"]
    with caplog.at_level("INFO"):
        answer = service.get("operator", address.format(secret))
    assert answer.status_code == 400
    assert "never in the address" in answer.json()["error"]
    assert not [record for record in caplog.records if record.name.startswith("afuic") and secret in record.getMessage()]
    assert secret not in str(service.audit())


@pytest.mark.parametrize("path", ["status/", "requests/", "models/"])
def test_nobody_is_redirected_to_a_host_that_a_caller_named(service: Service, path):
    answer = service.call("operator", "GET", f"/v1/{path}", headers={"Host": "evil.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_an_operator_is_shown_a_doubtful_release_and_its_hospital_no_names(trained: Service):
    own = trained.ask("hospital-1").json()["id"]
    trained.driver.take_back()
    heal = trained.driver.state.heal
    jump = Judgement(0.5, "light square, top left", 0.0, 0.75)
    trained.driver.feed(CalibrationDone(99.0, heal.id, dict(heal.base), 1, (0.5, 0.25), jump))
    seen = trained.get("operator", f"requests/{own}").json()
    assert seen["judgement"] == {"divergence": 0.5, "probe": jump.probe, "before": 0.0, "after": 0.75, "jump": True}
    assert seen["beside"] == {"norm": 0.5, "median": 1.5, "cosines": {"hospital-2@0": 1.0, "hospital-3@0": 1.0}, "against": []}
    assert [trained.get(who, "status").json()["doubtful"] for who in ("operator", "hospital-1", "hospital-2")] == [
        [own],
        [own],
        [],
    ]
    assert trained.get("hospital-1", f"requests/{own}").json()["beside"] == {"norm": 0.5, "median": 1.5}


def test_why_the_server_stands_still_names_no_other_hospital_to_a_hospital(trained: Service):
    said = "the erasure r-1 of hospital-2 is missing, and that of hospital-1"
    trained.driver.book.heartbeat(5.0, said)
    assert trained.get("operator", "status").json()["halted"] == said
    expected = "the erasure r-1 of another hospital is missing, and that of hospital-1"
    assert trained.get("hospital-1", "status").json()["halted"] == expected
