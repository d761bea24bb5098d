"""The journal: appended in order, cut back to what a checkpoint refers to, and a broken line is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afuic.errors import StoreError
from afuic.store.journal import Journal, merge, read


def written(path: Path, *lines: dict[str, Any], keep: int = 0) -> Path:
    with Journal(path, keep) as journal:
        for line in lines:
            journal.append(line)
    return path


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    lines = [{"seq": 0, "who": "Köln"}, {"seq": 1, "t": 0.1}, {"seq": 2, "nothing": None}]
    assert list(read(written(tmp_path / "deep" / "events.jsonl", *lines))) == lines


def test_sync_counts_and_makes_visible(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with Journal(path) as journal:
        assert journal.sync() == 0
        journal.append({"seq": 0})
        journal.append({"seq": 1})
        assert (journal.sync(), len(list(read(path)))) == (2, 2)


@pytest.mark.parametrize("keep", [0, 1, 2, 3])
def test_resuming_cuts_off_what_came_after_the_checkpoint(tmp_path: Path, keep: int) -> None:
    path = written(tmp_path / "events.jsonl", *({"seq": i} for i in range(3)))
    with Journal(path, keep) as journal:
        assert journal.count == keep
        journal.append({"seq": "new"})
        assert journal.sync() == keep + 1
    assert [line["seq"] for line in read(path)] == [*range(keep), "new"]


def test_half_a_line_after_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    path = written(tmp_path / "events.jsonl", {"seq": 0}, {"seq": 1})
    with path.open("a") as file:
        file.write('{"seq": 2, "t"')
    written(path, {"seq": "new"}, keep=2)
    assert [line["seq"] for line in read(path)] == [0, 1, "new"]


def test_a_fresh_journal_forgets_what_a_run_without_checkpoint_left(tmp_path: Path) -> None:
    path = written(tmp_path / "events.jsonl", {"seq": 0})
    assert list(read(written(path, {"seq": "new"}))) == [{"seq": "new"}]


def test_a_journal_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"events\.jsonl: gone, although a checkpoint refers to 4 lines of it"):
        Journal(tmp_path / "events.jsonl", keep=4)


@pytest.mark.parametrize("rest", ['{"seq": 0}\n', '{"seq": 0}\n{"seq": 1}'])
def test_a_journal_shorter_than_its_checkpoint_is_an_error(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(rest)
    with pytest.raises(StoreError, match=r"events\.jsonl: holds 1 whole lines, although a checkpoint refers to 2"):
        Journal(path, keep=2)
    assert path.read_text() == rest


@pytest.mark.parametrize(
    ("third", "message"),
    [('{"seq": 2, "t"', r"line 3: not JSON .*; the file was cut off or edited"), ("[1, 2]\n", "line 3: not a JSON object")],
)
def test_a_broken_line_is_named_and_those_before_it_are_given(tmp_path: Path, third: str, message: str) -> None:
    path = written(tmp_path / "events.jsonl", {"seq": 0}, {"seq": 1})
    with path.open("a") as file:
        file.write(third)
    lines = read(path)
    assert [next(lines)["seq"], next(lines)["seq"]] == [0, 1]
    with pytest.raises(StoreError, match=message):
        next(lines)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(StoreError, match=r"events\.jsonl"):
        list(read(path))


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent\.jsonl: not readable"):
        list(read(tmp_path / "absent.jsonl"))


def test_journals_are_merged_in_the_order_given(tmp_path: Path) -> None:
    first, second = (written(tmp_path / name, {"arm": name}) for name in ("a", "b"))
    assert merge([second, first]) == b'{"arm": "b"}\n{"arm": "a"}\n'


def test_a_full_disk_is_said_and_the_rest_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "events.jsonl", {"seq": 0})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with Journal(path, keep=1) as journal, pytest.raises(StoreError, match=r"events\.jsonl: cannot be written \(No space left"):
        journal.sync()
    assert list(read(path)) == [{"seq": 0}]
