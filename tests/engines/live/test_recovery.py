"""A store that is set back to an older copy hands out no work and says why, until each erasure that it lost is applied again or waived."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
import tomli_w
from sqlalchemy import text, update
from typer.testing import CliRunner

from afuic.certify.canonical import canonical
from afuic.certify.facts import Books, Line
from afuic.cli import app
from afuic.engines.live import building
from afuic.engines.live.certifying import disowned
from afuic.engines.live.messages import unpack_task
from afuic.engines.live.open import classes
from afuic.engines.live.starting import book_of, serve
from afuic.errors import ConfigError, Halted, StoreError
from afuic.protocol.effects import Train
from afuic.store import chain, codec, schema
from afuic.store.book import Book
from tests.engines.live.conftest import Live, Make


class Silent:
    """A transport that notes what is sent and brings nothing."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def present(self) -> frozenset[str]:
        return frozenset(f"hospital-{n}" for n in range(3))

    def send(self, client: str, task: str, document: bytes, tensors: bytes) -> None:
        self.sent.append(task)

    def receive(self) -> list[object]:
        return []

    def forget(self, client: str, task: str) -> None:
        pass

    def traces(self, pieces: object) -> tuple[str, ...]:
        return ()


def trained(live: Make) -> Live:
    found = live()
    found.until(lambda: len({row.client for row in found.book.contributions()}) == 3)
    return found


def certified(found: Live, request: str) -> Callable[[], bool]:
    return lambda: found.book.certificate(request) is not None


def backed_up(found: Live, *what: str) -> Callable[[], None]:
    """A backup of these folders, taken with the server stopped; what restores it."""
    found.stop()
    for name in what:
        shutil.copytree(found.folder / name, found.folder / "backup" / name)
    found.start()

    def restore() -> None:
        with suppress(Exception):
            found.stop()
        for name in what:
            shutil.rmtree(found.folder / name)
            shutil.copytree(found.folder / "backup" / name, found.folder / name)

    return restore


def opened(found: Live) -> Book:
    settings = found.trial.settings
    return Book.open(settings.database, settings.store, write=True, witness=settings.witness, tidy=False)


def reconcile(found: Live, waived: dict[str, str] | None = None) -> list[str]:
    with closing(opened(found)) as book:
        return book.reconcile(waived or {}, None, False, found.hands.wall)


def served(found: Live, monkeypatch: pytest.MonkeyPatch) -> tuple[Silent, str | None]:
    """The server for a while, as it starts by itself; what it sent and why it stood still."""
    transport, turns = Silent(), iter(range(3))
    monkeypatch.setattr("afuic.engines.live.starting.time.sleep", lambda _: None)
    serve(found.trial.settings, transport, lambda: next(turns, None) is None)  # type: ignore[arg-type]
    with closing(Book.open(None, found.trial.settings.store)) as book:
        return transport, book.status().halted


def test_a_restored_backup_hands_out_nothing_and_says_why(
    live: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = trained(live)
    restore = backed_up(found, "store")
    request = found.ask("hospital-1")
    found.until(certified(found, request))
    restore()
    transport, halted = served(found, monkeypatch)
    assert transport.sent == []
    assert halted is not None
    assert f"request {request}, for the whole of hospital-1, is not in the store" in halted
    assert "afuic deploy reconcile" in halted
    assert "no work is handed out" in caplog.text


def test_reconciling_erases_again_before_anybody_trains(live: Make) -> None:
    found = trained(live)
    restore = backed_up(found, "store")
    request = found.ask("hospital-1")
    found.until(certified(found, request))
    restore()
    assert reconcile(found) == [f"{request}: asked for again", "the store counts as restored from here on"]
    assert reconcile(found) == []
    driver, sent = found.start(), list[tuple[str, bool]]()
    send = driver.transport.send

    def noting(client: str, task: str, document: bytes, tensors: bytes) -> None:
        if isinstance(unpack_task(document, tensors).assignment, Train):
            released = found.book.request(request).released_version is not None  # type: ignore[union-attr]
            sent.append((client, released))
        send(client, task, document, tensors)

    driver.transport.send = noting  # type: ignore[method-assign]
    found.turns(3)
    status = found.book.status()
    assert status.halted is None or request in status.halted
    found.until(certified(found, request))
    found.until(lambda: len(sent) > 2)
    assert all(released and client != "hospital-1" for client, released in sent)
    newest = found.book.version(found.book.status().version)
    assert newest is not None
    assert "hospital-1@0" not in newest.contributors
    found.turns(30)
    assert found.book.status().halted is None
    assert any(row.action == "reconcile" and request in row.outcome for row in found.book.audited(1000))
    assert found.book.faults() == []


def test_an_erasure_is_waived_only_by_name_and_with_a_record(live: Make) -> None:
    found = trained(live)
    restore = backed_up(found, "store")
    request = found.ask("hospital-1")
    found.until(certified(found, request))
    restore()
    with pytest.raises(ConfigError, match="the store lacks no such request"):
        reconcile(found, {"request-9": "why"})
    assert reconcile(found, {request: "asked for by mistake"})[0] == f"{request}: left, asked for by mistake"
    found.start()
    row = found.book.request(request)
    assert row is not None
    assert (row.phase, row.client) == ("refused", "hospital-1")
    assert "asked for by mistake" in row.notes[0]
    assert any("asked for by mistake" in row.outcome for row in found.book.audited(1000))


def test_lost_events_alone_are_seen(live: Make) -> None:
    found = trained(live)
    restore = backed_up(found, "store")
    found.turns(60)
    found.book.testify()
    restore()
    with pytest.raises(Halted, match=r"its record has .* links, and not the one that was link"):
        found.start()
    assert reconcile(found) == ["the store counts as restored from here on"]
    found.start()
    found.turns(20)
    assert found.book.faults() == []


def test_hospitals_show_it_where_the_servers_own_witness_was_set_back_as_well(live: Make) -> None:
    found = trained(live)
    restore = backed_up(found, "store", "witness")
    request = found.ask("hospital-1")
    found.until(certified(found, request))
    found.until(lambda: found.state.clients["hospital-0"].applied > 6)
    restore()
    found.start()
    with pytest.raises(
        Halted, match=f"the store is behind what hospital-. was told of it: .*{request}, of which a hospital knows"
    ):
        found.until(lambda: False)
    found.stop()
    with pytest.raises(Halted, match=f"request {request}, of which a hospital knows, is not in the store"):
        found.start()
    with pytest.raises(StoreError, match="ask for that erasure again in the same words"):
        reconcile(found)
    with closing(opened(found)) as book:
        found.driver.book = book
        assert found.ask("hospital-1", request=request) == request
    assert reconcile(found) == ["the store counts as restored from here on"]
    found.start()
    found.until(certified(found, request))
    found.until(lambda: found.state.clients["hospital-0"].applied > 6)


def test_a_hospital_cannot_stop_the_server_by_making_things_up(live: Make) -> None:
    from dataclasses import replace

    found = trained(live)
    real = found.book.watermark()
    for lie in (replace(real, links=real.links + 1000), replace(real, requests=("r-none",)), replace(real, seal="")):
        assert found.book.contradiction("hospital-1", lie) is None
    assert found.book.contradiction("hospital-1", real) is None
    assert found.book.set_back() == []


def test_an_edited_record_hands_out_nothing_until_it_is_accepted_by_name(live: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(live)
    found.stop()
    with closing(sqlite3.connect(found.trial.settings.store / "afuic.db")) as connection:
        connection.execute("UPDATE contributions SET norm = norm * 2 WHERE client = 'hospital-2'")
        connection.commit()
    transport, halted = served(found, monkeypatch)
    assert transport.sent == []
    assert halted is not None
    assert 'the row of contributions ["hospital-2/0"] was changed' in halted
    with closing(opened(found)) as book:
        with pytest.raises(StoreError, match="accept them by name"):
            book.reconcile({}, None, False, 1.0)
        assert book.reconcile({}, "the clinic's own mistake", False, 1.0)[0].startswith("accepted: the row of contributions")
        assert book.faults() == []
        assert any("the clinic's own mistake" in row.outcome for row in book.audited())
    found.start()
    found.turns(5)


def test_a_record_that_was_rewritten_whole_does_not_fit_what_was_signed(live: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who knows the chain edits a row and makes all links anew; there is no witness."""
    found = trained(live)
    request = found.ask("hospital-1")
    found.until(certified(found, request))
    assert disowned(found.book) is None
    with found.book._database._writing(None) as connection:
        connection.execute(text("UPDATE requests SET reason = 'another'"))
        connection.execute(text("DELETE FROM chain"))
        chain.anew(connection, "as if from the beginning")
    assert found.book.faults() == []
    found.stop()
    shutil.rmtree(found.folder / "witness")
    transport, halted = served(found, monkeypatch)
    assert transport.sent == []
    assert f"certificate 0 of request {request} was issued when link" in str(halted)


def test_a_store_that_is_gone_is_not_begun_anew_beside_its_witness(live: Make) -> None:
    found = trained(live)
    found.stop()
    shutil.move(found.folder / "store", found.folder / "away")
    settings = found.trial.settings
    with pytest.raises(StoreError, match="knows of a store that is not in"):
        book_of(settings, building.worker(settings))
    assert not (found.folder / "store").exists()
    shutil.move(found.folder / "away", found.folder / "store")
    found.start()


def test_another_stores_witness_is_refused(live: Make, tmp_path: Path) -> None:
    found = trained(live)
    found.stop()
    lines = (found.folder / "witness" / "witness.jsonl").read_text()
    (found.folder / "witness" / "witness.jsonl").write_text(lines.replace(found.book._mark, "0" * 32))
    with pytest.raises(StoreError, match="is the witness of another store"):
        found.start()
    (found.folder / "witness" / "witness.jsonl").write_text(lines)
    found.start()


def test_what_is_acknowledged_is_witnessed_first(live: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(live)
    monkeypatch.setattr("afuic.store.witness.Witness.note", _full)
    with pytest.raises(StoreError, match="full"):
        found.ask("hospital-1", request="r")
    monkeypatch.undo()
    found.asked -= 1
    assert found.ask("hospital-1", request="r") == "r"
    assert '"request": "r"' in (found.folder / "witness" / "witness.jsonl").read_text()


def _full(*_: object) -> None:
    raise StoreError("witness.jsonl: cannot be written (the disk is full)")


def test_a_line_that_was_cut_short_counts_nothing_and_one_that_was_edited_is_refused(live: Make) -> None:
    found = trained(live)
    path = found.folder / "witness" / "witness.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"what": "asked", "requ')
    found.book.testify()
    assert path.read_bytes().startswith(whole)
    assert b"requ" not in path.read_bytes()
    path.write_bytes(b"{}\n" + whole)
    with pytest.raises(StoreError, match=r"witness\.jsonl, line 1: no line of a witness"):
        found.book.testify()
    path.write_bytes(whole)


def test_the_command_reconciles_a_stopped_server(live: Make) -> None:
    found = trained(live)
    restore = backed_up(found, "store")
    request = found.ask("hospital-1")
    found.until(certified(found, request))
    restore()
    values = found.trial.settings.model_dump(mode="json", exclude_none=True)
    (found.folder / "federation.toml").write_text(tomli_w.dumps(values))
    run = CliRunner().invoke
    refused = run(app, ["deploy", "reconcile", str(found.folder), "--waive", request])
    assert "need a --reason" in str(refused.output) + str(refused.exception)
    done = run(app, ["deploy", "reconcile", str(found.folder)])
    assert (done.exit_code, f"{request}: asked for again" in done.output) == (0, True), done.output
    assert "nothing to put right" in run(app, ["deploy", "reconcile", str(found.folder)]).output
    found.start()
    busy = run(app, ["deploy", "reconcile", str(found.folder)])
    assert busy.exit_code != 0
    found.until(certified(found, request))


def test_a_certificate_of_the_earlier_form_names_no_record(live: Make) -> None:
    """It was signed before there was one; the federation goes on."""
    found = trained(live)
    request = found.ask("hospital-1")
    found.until(certified(found, request))
    row = found.book.certificates()[0]
    envelope = json.loads(row.envelope)
    payload = json.loads(base64.b64decode(envelope["payload"])) | {"predicateType": "urn:afuic:erasure:v1"}
    earlier = envelope | {"payload": base64.b64encode(canonical(payload)).decode()}
    with found.book._database._writing(None) as connection:
        connection.execute(update(schema.certificates).values(envelope=canonical(earlier).decode()))
    assert disowned(found.book) is None


def test_the_books_of_an_earlier_snapshot_come_back() -> None:
    """As written before a line of the ledger had a class of its own: the server starts with such a snapshot."""
    entry = {"kind": "contributor", "names": ["hospital-2@0"], "digest": "sha256:" + "2" * 64}
    written = {"$tuple": [{"$model": ["afuic.certify.form.Entry", entry]}]}
    tree = {"$": "afuic.certify.facts.Books", "fields": {"version": 42, "entries": written}}
    found = codec.decode(tree, lambda name: {}, classes())
    assert found == Books(42, (Line("contributor", ("hospital-2@0",), "sha256:" + "2" * 64),))
