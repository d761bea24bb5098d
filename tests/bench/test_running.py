"""A small suite end to end: what is run once, what is kept, what a stop leaves behind, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from afuic.bench import document, page, room
from afuic.bench.fingerprint import fingerprint
from afuic.bench.planning import select, tasks
from afuic.bench.running import run
from afuic.bench.statistics import failures
from afuic.bench.suite import Variant
from afuic.bench.task import ARMS
from afuic.engines import origin
from afuic.erase import METHODS
from afuic.errors import DataError, RunInterrupted, StoreError
from afuic.learning import devices
from tests import elsewhere

ROWS = ["afuic", "paper", "continue"]


def comparable(place: Path) -> dict:
    """The document without what differs from machine to machine and run to run."""
    values = json.loads((place / document.FILE).read_text(encoding="utf-8"))
    for case in values["cases"].values():
        for seed in case["seeds"].values():
            for arm in seed["arms"].values():
                arm.pop("spent")
    return {key: value for key, value in values.items() if key != "digest"}


def test_every_row_of_every_seed_is_measured(finished) -> None:
    found = document.load(finished)
    assert list(found.cases) == ["whole", "offline"]
    assert found.missing == ()
    for case in found.cases.values():
        assert list(case.seeds) == ["0", "1"]
        for seed in case.seeds.values():
            assert list(seed.arms) == ROWS
            assert seed.retrained.runs == 2
            assert seed.arms["afuic"].phases["final"]["js_to_retrain"] is not None
            assert seed.arms["afuic"].costs.staleness >= 1
            assert seed.arms["afuic"].spent.own_s is not None
    assert found.cases["whole"].seeds["0"].arms["afuic"].digest != found.cases["whole"].seeds["1"].arms["afuic"].digest


def test_a_method_that_needs_an_absent_target_is_recorded_with_its_reason(finished) -> None:
    arm = document.load(finished).cases["offline"].seeds["0"].arms["paper"]
    assert arm.outcome == "failed"
    assert "did not answer before the deadline" in arm.reason
    assert arm.costs.latency_s is None


def test_each_row_is_charged_for_what_it_keeps_itself(finished) -> None:
    # what merely leaves keeps nothing; subtraction keeps a ledger; the paper's method a snapshot and the clients' last models
    stored = {row: arm.costs.bytes_stored for row, arm in document.load(finished).cases["whole"].seeds["0"].arms.items()}
    assert stored["continue"] == 0
    assert stored["afuic"] > 0
    assert stored["paper"] > 0


def test_references_are_shared_and_the_past_is_run_once(finished) -> None:
    arms = finished / ARMS
    assert sorted(p.name for p in (arms / "whole" / "0").iterdir()) == ["afuic", "continue", "paper", "past", "retrain"]
    assert sorted(p.name for p in (arms / "offline" / "0").iterdir()) == ["afuic", "continue", "paper", "past"]
    found = document.load(finished).cases
    assert found["whole"].seeds["0"].retrained == found["offline"].seeds["0"].retrained
    assert not list((arms / "whole" / "0" / "afuic").glob("checkpoint*"))
    assert (arms / "whole" / "0" / "past" / "checkpoint.json").exists()


def test_a_run_that_was_killed_goes_on_and_ends_in_the_same_document(tiny, finished, tmp_path) -> None:
    out = tmp_path / "again"
    every = tasks(select(tiny), out)

    def stop(progress, _):
        if progress.arm == "whole/1/paper" and progress.t > 0 and list((out / ARMS / "whole/1/paper").glob("checkpoint.json")):
            raise KeyboardInterrupt

    with pytest.raises(RunInterrupted, match="the same command goes on"):
        run(select(tiny), out, progress=stop)
    noted = json.loads((out / ARMS / "whole/1/paper/about.json").read_text())
    assert (noted["commit"], noted["resumed"]) == (origin.commit(), True)
    kept = {t.name: t.at(out / ARMS) / "result.json" for t in every if t.done(out / ARMS)}
    stamps = {name: path.stat().st_mtime_ns for name, path in kept.items()}
    assert "whole/1/afuic" in kept
    assert "whole/1/paper" not in kept
    assert list(document.load(out).cases["whole"].seeds) == ["0"]
    seen = []
    run(select(tiny), out, progress=lambda progress, _: seen.append(progress.arm))
    assert {name: path.stat().st_mtime_ns for name, path in kept.items()} == stamps
    assert not set(seen) & set(kept)
    assert comparable(out) == comparable(finished)


def test_what_another_suite_has_run_is_not_run_again(tiny, finished, tmp_path) -> None:
    other = dataclasses.replace(
        tiny, name="other", variants=(*tiny.variants[:2], Variant("no heal", "afuic", {"heal": "none"})), retrained=1
    )
    cases = tuple(dataclasses.replace(case, name=f"{case.name} again", references=None) for case in tiny.cases[:1])
    chosen = select(dataclasses.replace(other, cases=cases))
    seen: dict[str, str] = {}
    found = run(chosen, tmp_path / "other", progress=lambda p, _: seen.setdefault(p.arm, p.note), reuse=(finished,))
    taken = {name for name, note in seen.items() if note == f"copied from {finished}"}
    assert {name.split("/", 2)[2] for name in seen.keys() - taken} == {"no heal"}
    assert {name.split("/", 2)[2] for name in taken} == {"past", "retrain/0", "afuic", "paper"}
    again = run(chosen, tmp_path / "alone")
    assert comparable(tmp_path / "other") == comparable(tmp_path / "alone")
    assert found.cases["whole again"].seeds["1"].arms.keys() == again.cases["whole again"].seeds["1"].arms.keys()


def test_a_folder_that_is_to_reuse_itself_keeps_what_it_has(tiny, finished, tmp_path) -> None:
    own = shutil.copytree(finished, tmp_path / "own")
    run(select(tiny), own, reuse=(tmp_path / "elsewhere" / ".." / "own",))
    assert comparable(own) == comparable(finished)


def test_arms_of_other_settings_or_unfinished_ones_are_not_copied(tiny, finished, tmp_path) -> None:
    half = tmp_path / "half"
    shutil.copytree(finished, half)
    (half / ARMS / "whole/0/continue/result.json").unlink()
    seen: dict[str, str] = {}
    run(
        select(tiny, seeds=1, cases=("whole",)),
        tmp_path / "a",
        progress=lambda p, _: seen.setdefault(p.arm, p.note),
        reuse=(half,),
    )
    assert [name for name, note in seen.items() if not note.startswith("copied")] == ["whole/0/continue"]
    seen.clear()
    changed = select(tiny, seeds=1, cases=("whole",), methods=("continue",), changes=("training.lr=0.01",))
    run(changed, tmp_path / "b", progress=lambda p, _: seen.setdefault(p.arm, p.note), reuse=(half,))
    assert not [note for note in seen.values() if note.startswith("copied")]


def test_a_folder_without_a_suite_has_nothing_to_reuse(tiny, tmp_path) -> None:
    with pytest.raises(StoreError, match="empty: holds no suite of afuic, so no arms to copy"):
        run(select(tiny, seeds=1), tmp_path / "out", reuse=(tmp_path / "empty",))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_number_of_processes_does_not_change_the_document(tiny, finished, tmp_path) -> None:
    run(select(tiny, seeds=1), tmp_path / "two", jobs=2)
    one, two = comparable(finished)["cases"], comparable(tmp_path / "two")["cases"]
    assert two == {name: case | {"seeds": {"0": case["seeds"]["0"]}} for name, case in one.items()}


def test_another_seed_and_another_row_join_what_is_there(tiny, finished, tmp_path) -> None:
    out = tmp_path / "grown"
    run(select(tiny, seeds=1, cases=("whole",), methods=("continue",)), out)
    assert list(document.load(out).cases["whole"].rows) == ["continue"]
    grown = run(select(tiny, seeds=2, cases=("whole",), methods=("afuic", "afuic-paper")), out)
    assert {s: list(found.arms) for s, found in grown.cases["whole"].seeds.items()} == {"0": ROWS, "1": ["afuic", "paper"]}
    run(select(tiny, seeds=1, cases=("offline",)), out)
    assert list(document.load(out).cases) == ["whole", "offline"]
    run(select(tiny), out)
    assert comparable(out) == comparable(finished)


def test_what_was_asked_for_before_is_missing_until_it_is_there(tiny, finished, tmp_path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    (out / ARMS / "offline/1/paper/result.json").unlink()
    found = run(select(tiny, methods=("continue",)), out)
    assert found.missing == ("offline/1/paper",)
    assert list(found.cases["offline"].seeds["1"].arms) == ["afuic", "continue"]


def test_a_data_file_may_be_moved_but_not_changed(tiny, tmp_path) -> None:
    def mark(place, content) -> str:
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
        task = tasks(select(tiny, seeds=1), tmp_path)[0]
        values = json.loads(task.config)
        values["data"]["name"] = str(place)
        return fingerprint(dataclasses.replace(task, config=json.dumps(values)))

    here = mark(tmp_path / "here" / "images.npz", b"one")
    assert mark(tmp_path / "there" / "images.npz", b"one") == here
    assert mark(tmp_path / "other" / "images.npz", b"two") != here


def test_two_runs_in_one_folder_at_once_are_refused(tiny, tmp_path) -> None:
    def again(*_: object) -> None:
        run(select(tiny, seeds=1), tmp_path / "out")

    with pytest.raises(StoreError, match="out: another process works there"):
        run(select(tiny, seeds=1), tmp_path / "out", progress=again)


def test_a_folder_of_something_else_is_refused(tiny, finished, tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="is not empty and holds no suite"):
        run(select(tiny), tmp_path)
    with pytest.raises(StoreError, match="holds what `afuic bench run tiny` has begun"):
        run(select(tiny, changes=("training.lr=0.01",)), finished)


def test_arms_of_other_settings_are_never_mixed(tiny, finished, tmp_path) -> None:

    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    other = dataclasses.replace(tiny, base=(*tiny.base, "training.lr=0.01"))
    with pytest.raises(
        StoreError, match="whole/0/retrain/0 was begun there with other settings or on another device, which would mix"
    ):
        run(select(other), out)


def test_what_was_begun_on_another_device_is_never_mixed(tiny, finished, tmp_path, monkeypatch) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    monkeypatch.setenv(devices.VARIABLE, elsewhere.NAME)
    with pytest.raises(StoreError, match="whole/0/retrain/0 was begun there with other settings or on another device"):
        run(select(tiny), out)


def test_another_seed_with_other_settings_is_refused(tiny, finished, tmp_path, monkeypatch) -> None:
    out = tmp_path / "later"
    shutil.copytree(finished, out)
    other = dataclasses.replace(tiny, base=(*tiny.base, "training.lr=0.02"))
    with pytest.raises(
        StoreError, match=r"whole/0/.* was begun there with other settings or on another device, which would mix"
    ):
        run(select(other, seeds=(5,)), out)
    with pytest.raises(StoreError, match="would hold 21 seeds, and tests take at most 20"):
        run(select(tiny, seeds=range(21)), out)
    monkeypatch.delenv("AFUIC_NOWHERE", raising=False)
    gone = dataclasses.replace(tiny, cases=(tiny.cases[0], dataclasses.replace(tiny.cases[1], needs="AFUIC_NOWHERE")))
    with pytest.raises(StoreError, match="offline was begun there, and now AFUIC_NOWHERE is not set"):
        run(select(gone, cases=("whole",)), out)
    assert comparable(out) == comparable(finished)


def test_a_fingerprint_changes_with_an_options_default(tiny, tmp_path, monkeypatch) -> None:
    class Other(METHODS["afuic"].options):
        deadline_s: float = 601.0

    task = next(t for t in tasks(select(tiny, seeds=1, cases=("whole",)), tmp_path) if t.local == "afuic")
    before = fingerprint(task)
    other = dataclasses.replace(METHODS["afuic"], options=Other)
    monkeypatch.setattr("afuic.bench.fingerprint.METHODS", {**METHODS, "afuic": other})
    assert fingerprint(task) != before


@pytest.mark.parametrize(("what", "says"), [("free_disk", "of disk"), ("free_memory", "of memory")])
def test_too_little_room_is_said_before_the_run(tiny, tmp_path, monkeypatch, what, says) -> None:
    monkeypatch.setattr(room, what, lambda *_: 1000)
    out = tmp_path / "full"
    with pytest.raises(StoreError, match=f"{says} and 1.0.kB are free"):
        run(select(tiny), out)
    assert not (out / ARMS).exists()


def test_data_that_is_not_there_is_said_before_anything_is_begun(tiny, tmp_path) -> None:
    out = tmp_path / "free"
    with pytest.raises(DataError, match="nosuch"):
        run(select(tiny, changes=("data.name=nosuch",)), out)
    assert not list(out.iterdir())


@pytest.mark.parametrize("record", ["{}", "[]", '{"suite": "tiny", "changes": [], "cases": [], "seeds": [0], "arms": []}'])
def test_a_damaged_record_is_refused(tiny, tmp_path, record) -> None:
    (tmp_path / document.RECORD).write_text(record)
    with pytest.raises(StoreError, match=r"suite\.json: .*it was edited or damaged"):
        run(select(tiny), tmp_path)
    with pytest.raises(StoreError, match=r"suite\.json: .*it was edited or damaged"):
        run(select(tiny), tmp_path / "other", reuse=[tmp_path])


def test_a_diverging_arm_is_recorded_and_not_dropped(tiny, tmp_path) -> None:
    changes = ("aggregation.clip=1e30", "aggregation.lr=1e20")
    found = run(select(tiny, seeds=1, cases=("whole",), methods=("continue",), changes=changes), tmp_path / "wild")
    seed = found.cases["whole"].seeds["0"]
    assert seed.arms["continue"].outcome == "diverged"
    assert (seed.retrained.runs, seed.retrained.diverged) == (0, 2)
    assert page.write(found, tmp_path / "report").exists()


def test_healing_that_diverges_is_told_and_rounds_that_do_are_recorded(tiny, tmp_path) -> None:
    rows = (
        Variant(
            "healed",
            "afuic",
            {"heal": {"steps": 4, "lr": 1e25, "max_norm": 1e30}, "guard": {"versions": 0, "calibration": "none"}},
        ),
        Variant("rounds", "fedosd", {"local": {"lr": 1e30}}),
    )
    found = run(select(dataclasses.replace(tiny, variants=rows), seeds=1, cases=("whole",)), tmp_path / "wild")
    arms = found.cases["whole"].seeds["0"].arms
    assert arms["healed"].outcome == "released"
    assert arms["healed"].notes[0].startswith("request-0: not healed: ")
    assert arms["rounds"].outcome == "diverged"
    assert f"whole, seed 0: healed released: {arms['healed'].notes[0]}" in failures(found)


def test_a_case_that_cannot_be_run_is_recorded_with_its_reason(tiny, tmp_path) -> None:
    changes = ("requests.0.patients=1000",)
    found = run(select(tiny, seeds=1, cases=("whole",), methods=("continue",), changes=changes), tmp_path / "many")
    arm = found.cases["whole"].seeds["0"].arms["continue"]
    assert arm.outcome == "failed"
    assert "requests.0.patients" in arm.reason
    assert page.write(found, tmp_path / "report").exists()


def test_the_report_is_whole_and_the_same_bytes_again(finished, tmp_path) -> None:
    found = document.load(finished)
    first, second = page.write(found, tmp_path / "a"), page.write(found, tmp_path / "b")
    names = sorted(str(p.relative_to(first.parent)) for p in first.parent.rglob("*") if p.is_file())
    assert names == sorted(
        ["report.html", "seeds.csv", "summary.csv", "tables.md", "tables.tex"]
        + [f"figures/{n}.{k}" for n in ("curves-offline", "curves-whole", "gaps-offline", "gaps-whole", "sweep") for k in ("pdf", "svg")]
    )  # fmt: skip
    for name in names:
        assert (first.parent / name).read_bytes() == (second.parent / name).read_bytes(), name
    html = first.read_text(encoding="utf-8")
    assert "http" not in html.replace("http://www.w3.org", "")
    assert "offline, seed 0: paper failed" in html
