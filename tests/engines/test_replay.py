"""A run is proved by its record, and a changed record is found out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afuic.engines.replay import replay
from afuic.errors import StoreError
from afuic.evaluate.results import Results

Line = dict[str, Any]


def test_every_arm_replays_to_its_digest(finished: tuple[Path, Results]) -> None:
    out, results = finished
    arms = {a.arm: a for a in replay(out)}
    assert set(arms) == {"prefix", "afuic", "afuic-paper", "continue", "retrain/0", "retrain/1"}
    assert all(a.same for a in arms.values())
    assert arms["afuic"].digest == results.methods["afuic"].digest


def test_one_method_alone(finished: tuple[Path, Results]) -> None:
    assert [a.arm for a in replay(finished[0], methods=("continue",))] == ["prefix", "continue"]
    with pytest.raises(StoreError, match="has no method 'magic'"):
        replay(finished[0], methods=("magic",))


def _swap(lines: list[Line]) -> None:
    found = [i for i, line in enumerate(lines) if line["arm"] == "continue" and line["event"] == "UpdateArrived"]
    lines[found[0]], lines[found[1]] = lines[found[1]], lines[found[0]]


def _drop(lines: list[Line]) -> None:
    lines.remove(next(line for line in lines if line["arm"] == "continue" and line["event"] == "UpdateArrived"))


def _forge(lines: list[Line]) -> None:
    next(line for line in lines if line["arm"] == "continue" and "digest" in line)["digest"] = "sha256:0"


@pytest.mark.parametrize("tamper", [_swap, _drop, _forge])
def test_a_changed_record_is_found_out(
    finished: tuple[Path, Results], tmp_path: Path, tamper: Callable[[list[Line]], None]
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished[0], out)
    lines = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    tamper(lines)
    (out / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    arms = {a.arm: a for a in replay(out, methods=("continue",))}
    assert arms["prefix"].same
    assert not arms["continue"].same


def test_an_arm_whose_record_is_gone_is_not_the_same(finished: tuple[Path, Results], tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished[0], out)
    lines = [line for line in (out / "events.jsonl").read_text().splitlines() if json.loads(line)["arm"] != "retrain/1"]
    (out / "events.jsonl").write_text("".join(line + "\n" for line in lines))
    found = {a.arm: a for a in replay(out, methods=("retrain",))}
    assert found["retrain/0"].same
    assert not found["retrain/1"].same
    assert found["retrain/1"].problem == "no event of it is recorded"


def test_a_cut_off_record_is_refused(finished: tuple[Path, Results], tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished[0], out)
    text = (out / "events.jsonl").read_text()
    (out / "events.jsonl").write_text(text[: len(text) // 2])
    with pytest.raises(StoreError, match="cut off or edited"):
        replay(out, methods=("retrain",))


@pytest.mark.parametrize("change", [{"seq": None}, {"t": "soon"}, {"event": "Nothing"}, {"event": "EraseRequested"}])
def test_a_line_that_no_run_records_is_named(finished: tuple[Path, Results], tmp_path: Path, change: Line) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished[0], out)
    lines = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    number = next(i for i, line in enumerate(lines, 1) if line["arm"] == "continue" and line["event"] == "UpdateArrived")
    lines[number - 1] |= change
    (out / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(StoreError, match=rf"events\.jsonl, line {number}: not an event that a run records"):
        replay(out, methods=("continue",))
