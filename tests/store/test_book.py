"""The book's contract, over both databases: what is written is there after a reopening, once, with everything derived from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from afuic.errors import Conflict, StoreError
from afuic.params import digest
from afuic.protocol import events as ev
from afuic.settings import Retention
from afuic.store.book import Book
from afuic.store.rows import Command, Tip, VerificationRow

from .conftest import Place
from .little import CLASSES, Little, named, rules, vector

ERASE = Command(0, "erase", "r-1", "a", None, None, "the contract ended", "operator", "key-1", 50.0)


def test_a_new_store_holds_the_initial_model(book: Book) -> None:
    assert (book.federation, book.agreed) == ("tests", "sha256:agreed")
    assert digest(book.theta0()) == named(0, 0) == digest(book.model(0))
    first = book.version(0)
    assert first is not None
    assert (first.why, first.contributors, first.taught_by, first.kept) == ("initial", (), (), True)
    assert book.tip() == Tip(0, 0.0, 0, named(0, 0))
    assert book.resume(CLASSES) == (0, None, None)


def test_a_store_is_made_once(place: Place) -> None:
    assert not Book.exists(place.url, place.folder)
    place.create().close()
    assert Book.exists(place.url, place.folder)
    with pytest.raises(StoreError, match="there is a store already"):
        place.create()
    place.open(write=True).close()


def test_nothing_is_opened_where_nothing_is(place: Place) -> None:
    with pytest.raises(StoreError, match="there is no store; start the server once"):
        place.open()
    assert not (place.folder / "afuic.db").exists()


def test_events_come_back_with_their_tensors(little: Little) -> None:
    little.train("a", 2, 4)
    found = list(little.book.events(0, CLASSES))
    assert [seq for seq, _ in found] == [1, 2, 3]
    assert found[0][1] == ev.ClientJoined(1.0, "a")
    update = found[2][1]
    assert isinstance(update, ev.UpdateArrived)
    assert (update.task, update.client, update.delta["w"].tolist()) == ("a/0", "a", [2.0, 4.0])
    assert [seq for seq, _ in little.book.events(2, CLASSES)] == [3]


def test_an_update_is_a_contribution_and_a_version(little: Little) -> None:
    little.train("a", 2, 4)  # model = 0 + 1/2 · [2, 4] = [1, 2]
    little.train("b", 3, 4)  # norm 5; trained from version 0, one step ago; model = [1, 2] + [1.5, 2] = [2.5, 4]
    book = little.book
    assert book.tip() == Tip(4, 4.0, 2, named(2.5, 4))
    row, older = book.contributions()
    assert (row.task, row.client, row.epoch, row.staleness, row.norm, row.version) == ("b/0", "b", 0, 1, 5.0, 2)
    assert (row.base_version, row.carrier) == (0, False)
    assert older.version == 1
    assert [r.task for r in book.contributions("a")] == ["a/0"]
    version = book.version(2)
    assert version is not None
    assert (version.digest, version.contributors, version.why, version.step) == (named(2.5, 4), ("a@0", "b@0"), "update", 2)
    assert book.model(1)["w"].tolist() == [1.0, 2.0]
    assert book.model_path(1).is_file()


def test_a_buffered_update_gets_its_version_when_it_is_applied(place: Place) -> None:
    with_buffer = Little(place.create(), rules(buffer=2))
    for name in "ab":
        with_buffer.happen(ev.ClientJoined, name)
    with_buffer.train("a", 2, 2)
    assert with_buffer.book.contributions()[0].version is None
    with_buffer.train("b", 2, 2)
    assert [r.version for r in with_buffer.book.contributions()] == [1, 1]
    with_buffer.book.close()


def test_what_is_fenced_in_the_buffer_is_no_contribution(place: Place) -> None:
    with_buffer = Little(place.create(), rules(buffer=2))
    for name in "ab":
        with_buffer.happen(ev.ClientJoined, name)
    with_buffer.train("a", 2, 2)
    with_buffer.happen(ev.EraseRequested, "r", "a")
    assert with_buffer.book.contributions() == []
    assert [(q.task, q.event) for q in with_buffer.book.quarantined()] == [("a/0", 4)]
    with_buffer.book.close()


def test_status_says_where_the_federation_stands(little: Little) -> None:
    little.train("a", 2, 4)
    little.book.heartbeat(123.0)
    status = little.book.status()
    assert (status.federation, status.version, status.step, status.events, status.applied) == ("tests", 1, 1, 3, 1)
    assert (status.heartbeat_at, status.quarantined, status.lost, status.pending) == (123.0, 0, 0, ())
    assert status.store_bytes > 0
    assert status.free_bytes > 0
    a, b = status.clients
    assert (a.name, a.online, a.applied, a.task, a.staleness, a.last_at) == ("a", True, 1, "a/1", 0.0, 1e9 + 3)
    assert (b.name, b.applied, b.task, b.staleness, b.last_at) == ("b", 0, "b/0", None, None)


def test_a_command_becomes_an_event_once(little: Little) -> None:
    asked, new = little.book.ask(ERASE)
    assert new
    row = little.book.request("r-1")
    assert row is not None
    assert (row.phase, row.reason, row.who, row.asked_at) == ("asked", "the contract ended", "operator", 50.0)
    assert little.book.status().pending == ("r-1",)
    assert little.book.commands() == [asked]
    little.happen(ev.EraseRequested, "r-1", "a", command=asked.id)
    assert little.book.commands() == []
    row = little.book.request("r-1")
    assert row is not None
    assert (row.phase, row.reason, row.version_before) == ("healing", "the contract ended", 0)
    assert [(m["before"], m["after"], m["seq"]) for m in row.history] == [("asked", "healing", 3)]


def test_asking_twice_is_asking_once(book: Book) -> None:
    first, _ = book.ask(ERASE)
    again, new = book.ask(replace(ERASE, request="r-2", asked_at=60.0))
    assert (again, new) == (first, False)
    with pytest.raises(Conflict, match="key 'key-1' was used before for something else"):
        book.ask(replace(ERASE, client="b"))
    with pytest.raises(Conflict, match="request 'r-1' exists already"):
        book.ask(replace(ERASE, key="key-2"))
    other, new = book.ask(replace(ERASE, who="hospital b", request="r-3"))
    assert new
    assert [c.id for c in book.commands()] == [first.id, other.id]


def test_taking_a_request_back_is_a_command_of_its_own(book: Book) -> None:
    book.ask(ERASE)
    back = replace(ERASE, kind="withdraw", key="key-2")
    assert book.ask(back)[1]
    assert not book.ask(back)[1]
    with pytest.raises(Conflict):
        book.ask(replace(back, request="r-9"))
    assert len(book.requests()) == 1


def test_a_refused_command_says_why(book: Book) -> None:
    asked, _ = book.ask(ERASE)
    book.refuse(asked.id, "client 'a' does not exist")
    assert book.commands() == []
    row = book.request("r-1")
    assert row is not None
    assert (row.phase, row.notes) == ("refused", ("client 'a' does not exist",))
    assert book.status().pending == ()
    assert not book.ask(ERASE)[1]


def test_text_that_a_database_would_refuse_is_made_fit(book: Book) -> None:
    asked, new = book.ask(replace(ERASE, reason="a\0b\ud800c"))
    assert new
    assert asked.reason == "a\ufffdb?c"
    assert not book.ask(replace(ERASE, reason="a\0b\ud800c"))[1]
    book.audit(1.0, "who\0", "operator", "ask", "r-1", "\udfff")
    assert book.audited()[0].who == "who\ufffd"


def test_a_result_is_seen_once_it_is_durable(little: Little) -> None:
    assert not little.book.seen("a/0")
    little.train("a", 1, 1)
    assert little.book.seen("a/0")
    little.book.hold("b/0", "b", "its norm is 10⁶ times the usual", named(9, 9), 1e6, 70.0)
    little.book.hold("b/0", "b", "its norm is 10⁶ times the usual", named(9, 9), 1e6, 71.0)
    assert not little.book.seen("b/0"), "it may have been killed before the task was declared failed"
    little.happen(ev.TaskFailed, "b/0", "b", "held")
    assert little.book.seen("b/0")
    (held,) = little.book.quarantined()
    assert (held.task, held.digest, held.norm, held.event, held.at) == ("b/0", named(9, 9), 1e6, None, 70.0)
    assert little.book.status().quarantined == 1


def test_a_quarantined_result_leaves_no_tensors(little: Little) -> None:
    little.happen(ev.UpdateArrived, "a/7", "a", vector(3, 4))
    (row,) = little.book.quarantined()
    assert (row.task, row.client, row.digest, row.norm, row.event) == ("a/7", "a", named(3, 4), 5.0, 3)
    assert little.book.scan([named(3, 4)]) == []
    assert Little(little.book).state.quarantined == 1


def test_a_quarantined_result_without_a_norm_has_none(little: Little) -> None:
    little.happen(ev.UpdateArrived, "a/0", "a", vector(float("nan"), 4))
    assert little.book.quarantined()[0].norm is None
    assert Little(little.book).state.quarantined == 1


def test_a_start_goes_on_from_the_snapshot(little: Little) -> None:
    for number in range(4):
        little.train("a", number, 1)
    little.book.snapshot(little.seq, little.state, little.opened)
    little.train("b", 1, 1)
    again = Little(little.book)
    assert (again.replayed, again.seq, digest(again.state.model)) == (1, little.seq, digest(little.state.model))
    assert again.state.tasks.keys() == little.state.tasks.keys()
    base = again.state.tasks["a/4"].base
    assert torch.equal(base["w"], little.state.tasks["a/4"].base["w"])


def test_a_snapshot_again_replaces_the_first(little: Little) -> None:
    little.book.snapshot(little.seq, little.state, little.opened)
    little.book.snapshot(little.seq, little.state, ("other",))
    assert little.book.resume(CLASSES)[2] == ("other",)


def test_certificates_form_a_chain_and_a_request_has_one(little: Little) -> None:
    for name in ("r-1", "r-2"):
        little.book.ask(replace(ERASE, request=name, key=name))
    first = little.book.certify("r-1", "{}", "sha256:1", 5.0)
    assert little.book.certify("r-1", "{other}", "sha256:x", 9.0) == first
    second = little.book.certify("r-2", "{}", "sha256:2", 6.0)
    assert little.book.certificates() == [first, second]
    assert (first.number, second.number) == (0, 1)
    assert little.book.certificate("r-2") == second
    assert little.book.certificate("r-3") is None


def test_verification_is_kept_with_who_measured_it(book: Book) -> None:
    book.ask(ERASE)
    assert book.verification("r-1") is None
    book.record_verification("r-1", "a", {"forget_loss": 2.5}, 7.0)
    assert book.verification("r-1") == VerificationRow("a", {"forget_loss": 2.5}, 7.0)


def test_an_unknown_request_is_certified_or_verified_by_nobody(book: Book) -> None:
    with pytest.raises(StoreError):
        book.certify("r-9", "{}", "sha256:1", 5.0)
    with pytest.raises(StoreError):
        book.record_verification("r-9", "a", {"forget_loss": 1.0}, 5.0)
    assert book.certificates() == []


def test_notices_are_there_until_cleared(book: Book) -> None:
    for task in ("a/1", "a/0", "a/1"):
        book.notice("a", task)
    book.notice("b", "b/0")
    assert book.notices("a") == ["a/0", "a/1"]
    book.clear("a", "a/0")
    assert book.notices("a") == ["a/1"]
    book.clear("b")
    assert book.notices("b") == []


def test_the_audit_is_newest_first(book: Book) -> None:
    for number in range(3):
        book.audit(float(number), "ops", "operator", "erase", f"r-{number}", "202")
    assert [row.subject for row in book.audited(2)] == ["r-2", "r-1"]


def test_a_reader_sees_what_the_writer_has_acknowledged_and_writes_nothing_of_its(place: Place, little: Little) -> None:
    little.train("a", 2, 4)
    reader = place.open()
    assert reader.tip() == little.book.tip()
    assert reader.model(1)["w"].tolist() == [1.0, 2.0]
    asked, new = reader.ask(ERASE)
    assert (little.book.commands(), new) == ([asked], True)
    with pytest.raises(StoreError, match="is open for reading; only the server writes there"):
        reader.append(ev.ClientLeft(9.0, "a"), little.state, little.state, (), at=1.0)
    with pytest.raises(StoreError, match="open for reading"):
        reader.sweep(Retention())
    reader.close()


def test_what_is_not_there_is_none_and_its_model_an_error(book: Book) -> None:
    assert (book.request("r-9"), book.version(9), book.purge_report("r-9")) == (None, None, None)
    with pytest.raises(StoreError, match="version 9: there is none"):
        book.model(9)
