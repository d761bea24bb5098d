"""The commands that ask a federation, against a real service over TLS; and what they say when something is wrong."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tomli_w
import torch
from safetensors import safe_open

from afuic.cli import asking, finding, telling
from afuic.config import Config
from afuic.data.dataset import TRAIN, VAL, Dataset
from afuic.data.npz import write_dataset
from afuic.deploy import kernel
from afuic.engines.hospital import withdrawals
from afuic.errors import ConfigError, ServiceError
from afuic.params import digest
from afuic.settings import Images, Site, load
from afuic.store.rows import RequestRow
from tests.service.process import Running, authority, running

pytestmark = pytest.mark.deployment
REASON = ("--reason", "left the study")


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(asking, "PAUSE_S", 0.2)
    monkeypatch.chdir(tmp_path)
    for name in (finding.URL_VARIABLE, finding.TOKEN_VARIABLE, finding.CA_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "server").mkdir()
    with running(tmp_path / "server") as found:
        for who in ("operator", "auditor"):
            _write(_home(found, who) / "client.toml", {"api": found.url})
        for who in ("hospital-1", "hospital-2"):
            _hospital(found, who)
        yield found


def _home(service: Running, who: str) -> Path:
    folder = service.folder.parent / who
    folder.mkdir()
    (folder / "token").touch(0o600)
    (folder / "token").write_text(service.secrets[who] + "\n")
    (folder / "ca.pem").write_bytes((service.folder / "ca.pem").read_bytes())
    return folder


def _hospital(service: Running, who: str) -> None:
    folder = _home(service, who)
    site = Site(name=who, federation=Config(), images=Images(channels=1, size=8, class_names=("a", "b")), api=service.url)
    _write(folder / "hospital.toml", site.model_dump(mode="json", exclude_none=True))
    count = 12
    images = np.random.default_rng(len(who)).integers(0, 255, (count, 8, 8), dtype=np.uint8)
    patients = np.array([*(f"P-{number:04d}" for number in range(10)), "", ""])
    split = np.array([TRAIN] * 10 + [VAL] * 2, dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % 2
    write_dataset(Dataset(who, images, labels, split, None, patients, ("a", "b"), "own", "phantoms"), folder / "data.npz")


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(tomli_w.dumps(values))


def _ids(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_an_operator_asks_follows_and_gets_what_there_is(service: Running, afuic_cli, tmp_path):
    home = ("--home", tmp_path / "operator")
    code, said = afuic_cli("erase", "--client", "hospital-1", *REASON, *home)
    assert code == 0
    assert "key erase-" in said
    assert "hospital-1, whole hospital, asked" in said
    request = service.driver.book.requests()[0].id
    code, said = afuic_cli("erase", "--client", "hospital-1", *REASON, *home)
    assert code == 0
    assert f"{request} was asked for on an earlier call" in said
    assert len(service.driver.book.requests()) == 1

    code, said = afuic_cli("certificate", request, *home)
    assert (code, "has no certificate yet" in said) == (2, True)
    service.driver.take_up()
    code, said = afuic_cli("requests", request, *home)
    assert code == 0
    assert "without these data" in said
    code, said = afuic_cli("requests", "--home", tmp_path / "auditor")
    assert (code, request in said, "operator:operator" in said) == (0, True, True)
    code, said = afuic_cli("requests", "--home", tmp_path / "hospital-2")
    assert (code, request in said) == (0, False)

    service.driver.book.certify(request, '{"payload": "x"}', "sha256:" + "1" * 64, 5.0)
    code, said = afuic_cli("certificate", request, "--out", tmp_path / "certificate.json", *home)
    assert code == 0
    assert (tmp_path / "certificate.json").read_text() == '{"payload": "x"}'
    assert afuic_cli("certificate", request, *home)[1].strip() == '{"payload": "x"}'


def test_status_tells_of_the_processes_of_the_server_and_of_a_hospital_s_own_machine(service: Running, afuic_cli, tmp_path):
    """The server's are for operators; a hospital sees its own, even while nobody answers."""
    life = {"stage": "silent", "since": time.monotonic() - 400, "starts": 3, "failures": 2, "why": "nothing heard"}
    server, own = service.settings.store.parent / "run", tmp_path / "hospital-1" / "run"
    for run, name in ((server, "superlink"), (own, "supernode")):
        run.mkdir(parents=True)
        (run / "processes.json").write_text(json.dumps({name: life}))
    (own / "supervisor.pid").write_text(json.dumps({"pid": os.getpid(), "born": kernel.born(os.getpid())}))
    code, said = afuic_cli("status", "--home", tmp_path / "operator")
    assert code == 0
    assert all(word in said for word in ("superlink", "silent", "7 min", "nothing heard"))
    code, said = afuic_cli("status", "--home", tmp_path / "hospital-1")
    assert code == 0
    assert "supernode" in said
    assert "superlink" not in said
    service.kill()
    code, said = afuic_cli("status", "--home", tmp_path / "hospital-1")
    assert code == 2
    assert "supernode" in said
    assert "nobody answers" in said


def test_status_and_models(service: Running, afuic_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "operator")
    code, said = afuic_cli("status")
    assert code == 0
    assert "version 3, step 3" in said
    assert all(
        name in said for name in ("hospital-1", "hospital-2", "hospital-3", "ledger: model and contributions differ by 0")
    )
    code, said = afuic_cli("models", "list", "--limit", 2)
    assert code == 0
    assert "hospital-1, hospital-2, hospital-3" in said
    out = tmp_path / "model.safetensors"
    code, said = afuic_cli("models", "export", 2, "--out", out)
    assert code == 0
    with safe_open(out, "pt") as file:
        assert '"contributors": ["hospital-1@0", "hospital-2@0"], "taught_by": []' in file.metadata()["afuic.lineage"]
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
    assert torch.equal(found["w"], torch.tensor([1.5, 0.0]))  # η = 1/2: 0.5 · 1 + 0.5 · 2
    assert digest(found) == service.driver.book.version(2).digest
    assert afuic_cli("models", "export", 77, "--out", out)[0] == 2
    code, said = afuic_cli("models", "export", 2, "--out", out, "--home", tmp_path / "auditor")
    assert (code, "not the model" in said) == (2, True)


def test_a_hospital_erases_patients_and_no_id_leaves_it(service: Running, afuic_cli, tmp_path):
    home = ("--home", tmp_path / "hospital-1")
    ids = _ids(tmp_path / "ids.csv", "patient,consent\nP-0003,no\nP-0007,no\n")
    code, said = afuic_cli("erase", "--patients", ids, *REASON, *home)
    assert code == 0
    assert "hospital-1, 2 patients, asked" in said
    row = service.driver.book.requests()[0]
    assert (row.client, row.patients, row.who) == ("hospital-1", 2, "hospital:hospital-1")
    assert afuic_cli("erase", "--patients", ids, *REASON, *home)[0] == 0
    assert len(service.driver.book.requests()) == 1
    everything = b"".join(path.read_bytes() for path in service.folder.rglob("*") if path.is_file())
    assert b"P-0003" not in everything
    assert b"P-0007" not in everything


def test_ids_that_do_not_exist_are_named_and_nothing_is_sent(service: Running, afuic_cli, tmp_path):
    home = ("--home", tmp_path / "hospital-1")
    code, said = afuic_cli("erase", "--patients", _ids(tmp_path / "ids.csv", "P-0003\nQ-1\nQ-2\n"), *REASON, *home)
    assert code == 2
    assert "'Q-1', 'Q-2'" in said
    assert "P-0003" not in said
    assert service.driver.book.requests() == []
    assert list((tmp_path / "hospital-1" / "state").rglob("*.json")) == []


def test_an_id_that_is_spelt_otherwise_is_hinted_at_and_nothing_is_sent(service: Running, afuic_cli, tmp_path):
    home = ("--home", tmp_path / "hospital-1")
    for wrong in ("p-0003", "P-3", "P-0003.", "P-\uff103"):
        code, said = afuic_cli("erase", "--patients", _ids(tmp_path / "ids.csv", f"{wrong}\n"), *REASON, *home)
        assert (code, "(did you mean 'P-0003'?)" in said) == (2, wrong != "P-0003."), wrong
    assert service.driver.book.requests() == []


def test_a_list_that_cannot_be_read_is_named_and_nothing_is_sent(service: Running, afuic_cli, tmp_path):
    for content in (
        b"",
        b"patient\n",
        b"a,b\n1,2\n",
        b"patient,x\n,1\n",
        b"\xff",
        b"Patient\nP-0003\n",
        b"None\n",
        b'"P-0003\nP-0004"\n',
    ):
        (tmp_path / "ids.csv").write_bytes(content)
        code, said = afuic_cli("erase", "--patients", tmp_path / "ids.csv", *REASON, "--home", tmp_path / "hospital-1")
        assert code == 2, content
        assert "ids.csv" in said, content
    assert service.driver.book.requests() == []


def test_a_key_that_cannot_be_is_refused_before_anything_is_in_force(service: Running, afuic_cli, tmp_path):
    code, said = afuic_cli("erase", "--key", "bad key!", *REASON, "--home", tmp_path / "hospital-1")
    assert code == 2
    assert "'bad key!': not an idempotency key" in said
    assert list((tmp_path / "hospital-1" / "state").rglob("*.json")) == []
    assert service.driver.book.requests() == []


def test_what_the_server_refuses_is_in_force_at_the_hospital_and_said_to_be(service: Running, afuic_cli, tmp_path):
    (tmp_path / "wrong").touch(0o600)
    (tmp_path / "wrong").write_text("not-the-token\n")
    code, said = afuic_cli("erase", "--token", tmp_path / "wrong", *REASON, "--home", tmp_path / "hospital-1")
    assert code == 2
    assert "is not valid here" in said
    assert "in force already" in said
    assert list((tmp_path / "hospital-1" / "state").rglob("*.json"))


def test_what_the_server_cannot_hear_is_in_force_at_the_hospital_and_asked_for_once(service: Running, afuic_cli, tmp_path):
    home = ("--home", tmp_path / "hospital-1")
    ids = _ids(tmp_path / "ids.csv", "P-0003\n")
    service.kill()
    code, said = afuic_cli("erase", "--patients", ids, *REASON, *home)
    assert code == 2
    assert "nobody answers" in said
    assert "in force already" in said
    service.start()
    keys = {afuic_cli("erase", "--patients", ids, *REASON, *home)[1].split()[1] for _ in range(2)}
    assert keys == {said.split()[1]}
    assert [row.patients for row in service.driver.book.requests()] == [1]


def test_a_watch_goes_on_through_a_restart_and_tells_the_end(service: Running, afuic_cli, tmp_path):
    home = ("--home", tmp_path / "hospital-1")
    assert afuic_cli("erase", *REASON, *home)[0] == 0
    request = service.driver.book.requests()[0].id

    def world() -> None:
        time.sleep(1)
        service.kill(signal.SIGTERM)
        service.driver.book.refuse(service.driver.book.commands()[0].id, "not today")
        time.sleep(1)
        service.start()

    thread = threading.Thread(target=world)
    thread.start()
    code, said = afuic_cli("requests", request, "--watch", *home)
    thread.join()
    assert code == 1
    assert "still trying" in said
    assert f"{request}: hospital-1, whole hospital, refused" in said
    assert "note: not today" in said
    assert afuic_cli("requests", "--watch", *home)[0] == 1


def test_a_request_taken_back_is_lifted_at_the_hospital_once_the_server_has_done_so(service: Running, afuic_cli, tmp_path):
    site = load(tmp_path / "hospital-1" / "hospital.toml", Site)
    home = ("--home", tmp_path / "hospital-1")
    assert afuic_cli("erase", "--patients", _ids(tmp_path / "ids.csv", "P-0003\n"), *REASON, *home)[0] == 0
    request = service.driver.book.requests()[0].id
    assert len(withdrawals.standing(site).required) == 1
    thread = threading.Thread(target=lambda: (time.sleep(1), service.driver.take_back()))
    thread.start()
    code, said = afuic_cli("requests", request, "--withdraw", *home)
    thread.join()
    assert (code, "withdrawn" in said) == (0, True)
    assert withdrawals.standing(site).required == frozenset()
    assert afuic_cli("requests", request, "--withdraw", *home)[0] == 0


def test_what_is_wrong_is_one_sentence(service: Running, afuic_cli, tmp_path, monkeypatch):
    operator, hospital = ("--home", tmp_path / "operator"), ("--home", tmp_path / "hospital-1")
    authority(tmp_path, "other")
    (tmp_path / "forged").touch(0o600)
    (tmp_path / "forged").write_text("forged-but-secret")
    (tmp_path / "empty").touch(0o600)
    cases = [
        (("status",), "nothing says which federation is meant"),
        (("status", "--home", tmp_path / "nowhere"), "nothing says which federation is meant"),
        (("status", *operator, "--ca", tmp_path / "other.pem"), "is not trusted by"),
        (("status", *operator, "--ca", tmp_path / "none.pem"), "not a readable CA certificate"),
        (("status", *operator, "--token", tmp_path / "forged"), "ask the operator for a new one"),
        (("status", *operator, "--token", tmp_path / "empty"), "not a token"),
        (("status", *operator, "--token", tmp_path / "none"), "the token cannot be read"),
        (("status", *operator, "--server", "http://example.org"), "is not encrypted"),
        (("status", *operator, "--server", "https://localhost:1"), "nobody answers"),
        (("status", "--server", service.url), "needs a token as well"),
        (("erase", "--client", "hospital-2", *REASON, *hospital), "can ask only for itself"),
        (("erase", "--client", "hospital-9", *REASON, *operator), "no hospital of this federation has that name"),
        (("erase", "--client", "Nobody!", *REASON, *operator), "--client"),
        (("erase", *REASON, *operator), "name the hospital"),
        (("erase", "--client", "hospital-1", *REASON, "--patients", "x.csv", *operator), "run this at hospital-1"),
        (("erase", "--client", "hospital-1", *REASON, "--key", "two words", *operator), "not an idempotency key"),
        (("requests", "../status", *operator), "not a request's id"),
        (("requests", "r-none", *operator), "there is no request r-none"),
        (("requests", "--withdraw", *operator), "name the request"),
        (("models", "export", 1, "--out", tmp_path / "no" / "such", *operator), None),
    ]
    for arguments, sentence in cases:
        code, said = afuic_cli(*arguments)
        if sentence is not None:
            assert (code, said.count("\n")) == (2, 1 + said.startswith("key ")), (arguments, said)
            assert sentence in said, (arguments, said)
        assert "forged-but-secret" not in said
        assert service.secrets["operator"] not in said
    assert afuic_cli("erase", "--client", "hospital-2", *REASON, "--key", "k", *operator)[0] == 0
    code, said = afuic_cli("erase", "--client", "hospital-2", "--reason", "other", "--key", "k", *operator)
    assert (code, "answer 409" in said) == (2, True)

    monkeypatch.setenv(finding.URL_VARIABLE, service.url)
    monkeypatch.setenv(finding.TOKEN_VARIABLE, str(tmp_path / "auditor" / "token"))
    monkeypatch.setenv(finding.CA_VARIABLE, str(tmp_path / "auditor" / "ca.pem"))
    monkeypatch.chdir(tmp_path / "hospital-1")
    assert "hospital-3" in afuic_cli("status")[1]
    assert "hospital-3" not in afuic_cli("status", *hospital)[1]


def test_too_many_calls_are_told_how_long_to_wait(tmp_path, afuic_cli):
    with running(tmp_path, requests_per_minute=1) as service:
        (tmp_path / "token").touch(0o600)
        (tmp_path / "token").write_text(service.secrets["operator"])
        _write(tmp_path / "client.toml", {"api": service.url})
        assert afuic_cli("status", "--home", tmp_path)[0] == 0
        code, said = afuic_cli("status", "--home", tmp_path)
        assert code == 2
        assert "answer 429" in said
        assert "then repeat the command" in said


def test_something_else_at_the_address_is_noticed(service: Running, tmp_path, monkeypatch):
    with finding.client(None, None, None, tmp_path / "operator") as connection:
        monkeypatch.setattr(connection, "_call", lambda *_, **__: httpx.Response(200, json={"hello": "world"}))
        with pytest.raises(ServiceError, match="no answer of afuic"):
            connection.status()


def test_without_httpx_the_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "afuic.service.client", raising=False)
    with pytest.raises(ConfigError, match=r"pip install '\.\[client\]'"):
        finding.client(None, None, None, tmp_path)


def test_the_audit_is_told_and_exported_whole(service: Running, afuic_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_ROWS", 2)
    for _ in range(3):
        afuic_cli("erase", "--client", "hospital-1", "--home", "operator", *REASON)
    assert "POST /v1/requests" in afuic_cli("audit", "--home", "auditor", "--limit", "5")[1]
    _, told = afuic_cli("audit", "--home", "auditor", "--export", "audit.jsonl")
    rows = [json.loads(line) for line in Path("audit.jsonl").read_text().splitlines()]
    assert f"{len(rows)} rows" in told
    assert len(rows) >= 4
    assert [row["id"] for row in rows] == sorted({row["id"] for row in rows})
    assert {"at", "who", "role", "action", "subject", "outcome"} <= set(rows[0])


def test_what_the_version_before_is_changes_with_the_release() -> None:
    row = RequestRow("r-1", "hospital-1", None, None, "why", "operator:o", 1.0, "healing", version_before=3)
    assert "asked at version 3 of the model" in telling.request(row)
    released = replace(row, version_before=6, released_version=7, released_at=2.0)
    assert "the last before its release was version 6 of the model" in telling.request(released)
