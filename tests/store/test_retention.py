"""What is kept and what goes: retention bounds the store, a purge leaves no model with the erased data, and a scan shows it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afuic.errors import StoreError
from afuic.params import digest
from afuic.protocol import events as ev
from afuic.settings import Retention
from afuic.store.book import Book
from afuic.store.retention import wanted

from .conftest import Place
from .little import CLASSES, Little, named, rules, vector

POLICY = Retention(versions=3, every=5)


def kept(book: Book) -> list[int]:
    return [row.version for row in book.versions() if row.kept]


def files(folder: Path) -> set[str]:
    return {"sha256:" + path.stem for path in (folder / "blobs").rglob("*") if path.is_file()}


def released(little: Little, request: str = "r-1", client: str = "a") -> None:
    """Erase ``client`` and heal what remains."""
    little.happen(ev.EraseRequested, request, client)
    little.calibrate(0.25, 0.5)


def guarded(little: Little) -> None:
    """Train on until the guard's window has closed and a purge is asked for."""
    while not little.opened.purges:
        little.train(little.state.active()[0].name, 1, 1)


def test_newest_landmarks_released_and_pinned_are_wanted() -> None:
    # the newest 3 of 0…20 are 20, 19, 18; of the multiples of 5: 20, 15, 10; of the released 2, 4, 6, 7: 7, 6, 4; pinned is 1
    assert wanted(range(21), [2, 4, 6, 7], [1, 99], POLICY) == {20, 19, 18, 15, 10, 7, 6, 4, 1}


@given(st.sets(st.integers(0, 500)), st.sets(st.integers(0, 500)), st.integers(1, 9), st.integers(1, 9))
def test_no_more_is_wanted_than_the_policy_allows(versions: set[int], given_out: set[int], newest: int, every: int) -> None:
    found = wanted(versions, given_out, [], Retention(versions=newest, every=every))
    assert len(found) <= 3 * newest
    assert found <= versions
    assert set(sorted(versions)[-newest:]) <= found


def test_the_store_stays_bounded(tmp_path: Path) -> None:
    """200 events with models of 4000 bytes each: with everything kept there would be some 400 of them."""
    book, sizes = Book.create(None, tmp_path, "f", "x", vector(*[0.0] * 1000)), []
    little, draws = Little(book, size=1000), random.Random(5)
    for number in range(200):
        little.live(draws, every=10)
        if number % 10 == 9:
            sizes.append(len(files(tmp_path)))
    # 3 × 3 versions, two snapshots of some 15 models each, the tensors of 20 events, θ_0
    assert max(sizes) <= 9 + 2 * 20 + 20 + 1
    assert max(sizes[-5:]) <= 1.5 * max(sizes[2:7])
    assert Little(book, size=1000).replayed <= 10
    assert book.check() < 1e-4
    book.close()


def test_a_version_that_goes_leaves_its_lineage(little: Little) -> None:
    for number in range(12):
        little.train("a", number, 1)
    little.keep(POLICY)
    assert kept(little.book) == [0, 5, 10, 11, 12]
    gone = little.book.version(7)
    assert gone is not None
    assert (gone.contributors, gone.kept) == (("a@0",), False)
    with pytest.raises(StoreError, match="version 7: its model is not kept any more"):
        little.book.model(7)


def test_event_tensors_stay_until_the_older_snapshot_covers_them(little: Little) -> None:
    for number in range(6):
        little.train("a", number, 1)
        if number % 2:
            little.keep(POLICY)
    first, _ = next(little.book.events(6, CLASSES))
    assert first == 7
    with pytest.raises(StoreError, match="no such model; it was removed by retention or by a purge"):
        list(little.book.events(0, CLASSES))
    names = [
        event.delta
        for _, event, _ in little.book.record(CLASSES, lambda name: {name: vector(0)["w"]})
        if hasattr(event, "delta")
    ]
    assert [next(iter(d)) for d in names[:2]] == [named(0, 1), named(1, 1)]


def test_a_damaged_snapshot_is_passed_over(place: Place, little: Little) -> None:
    for number in range(4):
        little.train("a", number, 1)
        little.keep(POLICY)
    before = files(place.folder)
    only_newest = before - {name for name in before if _needed(little, name)}
    path = place.folder / "blobs"
    victim = next(p for p in path.rglob("*.safetensors") if "sha256:" + p.stem in only_newest)
    victim.write_bytes(victim.read_bytes()[:-4] + b"\0\0\0\1")
    again = Little(little.book)
    assert (again.replayed, digest(again.state.model)) == (1, digest(little.state.model))
    assert "passed over" in little.book.audited()[0].outcome


def _needed(little: Little, name: str) -> bool:
    """Whether the older snapshot, the newest event or a version needs it as well."""
    from sqlalchemy import select

    from afuic.store import schema

    with little.book._database.reading() as connection:
        users = connection.execute(select(schema.uses.c.kind, schema.uses.c.number).where(schema.uses.c.digest == name)).all()
    return [tuple(u) for u in users] != [("snapshot", little.seq)]


def test_a_released_version_is_without_the_erased_though_a_teacher_knew_them(little: Little) -> None:
    little.train("a", 1, 2)
    little.train("b", 2, 1)
    released(little)
    row = little.book.versions()[-1]
    assert (row.why, row.contributors, row.taught_by) == ("release", ("b@0",), ("a@0", "b@0"))


def test_a_purge_takes_versions_that_only_a_teacher_had_brought_the_erased_into(place: Place, little: Little) -> None:
    little.train("a", 1, 2)
    little.happen(ev.EraseRequested, "r-0", "a", 1)
    little.calibrate(0.5, 0)
    little.train("b", 2, 1)
    only = next(row for row in little.book.versions() if "a@0" in row.taught_by and "a@0" not in row.contributors)
    little.happen(ev.EraseRequested, "r-1", "a", None)
    while little.state.heal is not None:
        little.calibrate(0.25, 0)
    guarded(little)
    assert little.purge().request == "r-0"
    guarded(little)
    report = little.purge()
    assert only.digest in report.removed
    assert not little.book.version(only.version).kept


def test_a_purge_leaves_nothing_with_the_erased_data(place: Place, little: Little) -> None:
    for number in range(3):
        little.train("a", number + 1, 2)
        little.train("b", 2, number)
    with_a = [row.digest for row in little.book.versions() if "a@0" in row.contributors]
    little.keep(POLICY)
    released(little)
    guarded(little)
    deltas = [named(number + 1, 2) for number in range(3)]
    assert set(little.book.scan([*with_a, *deltas])) & {*deltas}
    report = little.purge()
    assert (report.request, report.left, report.unreachable) == ("r-1", (), ())
    assert set(deltas) <= set(report.removed)
    assert report.removed_bytes > 0
    assert little.book.scan([*with_a, *deltas, *report.removed]) == []
    assert little.book.purge_report("r-1") == report
    row = little.book.request("r-1")
    assert row is not None
    assert (row.phase, row.completed_at) == ("completed", 1e9 + little.t)
    assert row.released_version in kept(little.book)
    before, after = little.book.version(row.version_before or -1), little.book.version(row.released_version or -1)
    assert before is not None
    assert after is not None
    assert (before.kept, after.kept, after.why) == (False, True, "release")
    assert digest(Little(little.book).state.model) == digest(little.state.model)


def test_what_a_purge_cannot_reach_is_named(little: Little) -> None:
    little.happen(ev.ClientJoined, "c")
    little.train("a", 1, 2)
    little.train("b", 4, 4)  # b's next task starts from version 2, which contains a
    held = digest(little.state.model)
    little.happen(ev.EraseRequested, "r-1", "a")
    little.calibrate(0.25, 0.5)
    while not little.opened.purges:
        little.train("c", 1, 1)
    report = little.purge()
    assert report.unreachable == ("tasks[b/1].base: the model of version 2; it goes when it is no longer needed there",)
    assert little.book.scan([held]) == [held]
    little.train("b", 1, 1)
    little.keep()
    little.keep()
    little.train("b", 1, 1)
    little.keep()
    assert little.book.scan([held]) == []


def test_a_purge_of_nothing_released_is_refused(little: Little) -> None:
    little.happen(ev.EraseRequested, "r-1", "a")
    with pytest.raises(StoreError, match="nothing has been released"):
        little.book.purge("r-1", ("a@0",), little.state, little.opened, little.seq)
    assert little.book.purge_report("r-1") is None


def test_a_purge_again_reports_what_both_removed(little: Little) -> None:
    little.train("a", 1, 2)
    released(little)
    guarded(little)
    args = ("r-1", ("a@0",), little.state, little.opened, little.seq)
    first = little.book.purge(*args)
    second = little.book.purge(*args)
    assert (second.removed, second.removed_bytes, second.left) == (first.removed, first.removed_bytes, ())


def test_versions_that_a_request_needs_stay(little: Little) -> None:
    for number in range(4):
        little.train("a", number, 1)
    little.happen(ev.EraseRequested, "r-1", "a")
    for number in range(12):
        little.train("b", number, 1)
    little.keep(Retention(versions=1, every=100))
    # version 4 is the one at the fence; 0 the only multiple of 100
    assert kept(little.book) == [0, 4, 16]
    row = little.book.version(4)
    assert row is not None
    assert row.pinned_by == ("r-1",)


def test_methods_that_leave_the_model_alone_purge_as_well(place: Place) -> None:
    from dataclasses import replace

    from afuic.config import Config
    from afuic.erase import configured

    plain = replace(rules(), method=configured(Config(), "continue"))
    little = Little(place.create(), plain)
    for name in "ab":
        little.happen(ev.ClientJoined, name)
    little.train("a", 1, 2)
    little.happen(ev.EraseRequested, "r-1", "a")
    guarded(little)
    report = little.purge()
    # version 1 and the released version 2 are the same model: it is kept, and named
    assert any("model of version 1" in place for place in report.unreachable)
    assert report.left == ()
    little.book.close()
