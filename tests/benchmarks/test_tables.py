"""The page on benchmarks says what the files say, and names every benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.conftest import ROOT

SIGNS = {"released": 1, "final": -1}
PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    import tables

    assert tables.rewritten(PAGE, tables.RESULTS) == PAGE, "run benchmarks/tables.py"


def test_the_figures_are_up_to_date() -> None:
    import figures

    for name, made in figures.drawn().items():
        assert (figures.FOLDER / f"{name}.svg").read_bytes() == made, "run benchmarks/figures.py"
        assert f"figures/{name}.svg" in PAGE


def test_every_script_is_explained() -> None:
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py") if "argparse" in path.read_text(encoding="utf-8")}
    assert {
        name for name in scripts - {"tables.py", "figures.py", "suites.py", "apart.py"} if f"`benchmarks/{name}`" not in PAGE
    } == set()


def test_numbers_come_from_the_file(tmp_path: Path) -> None:
    import tables

    document = json.loads((tables.RESULTS / "overhead.json").read_text(encoding="utf-8"))
    document["summary"]["share"] = {"median": 0.9712, "min": 0.9, "max": 1.0}
    (tmp_path / "overhead.json").write_text(json.dumps(document | {"changed": True}))
    page = tables.rewritten(PAGE, tmp_path)
    assert "| **in training and evaluation** | 97.1 % | 90.0 % | 100.0 % |" in page
    assert "with uncommitted changes" in page
    # scale.json is not in that folder
    assert tables.NOTHING in page


def test_the_search_says_what_was_chosen_and_how_far_from_retraining_it_is(tmp_path: Path) -> None:
    import tables

    def trial(options: dict[str, object], score: float | None) -> dict[str, object]:
        gaps = {phase: {"accuracy": -0.02, "forget_accuracy": sign * 0.03, "mia_auc": 0.004} for phase, sign in SIGNS.items()}
        return {"options": options, "failed": None, "score": score, **({} if score is None else {"gaps": gaps})}

    best: dict[str, object] = {"local": {"steps": 5, "lr": 0.1}, "rounds": 2}
    trials = {
        "good": {
            "one": [trial({}, 0.05), trial(best, 0.01), trial({"rounds": 9}, None)],
            "two": [trial({}, 0.03), trial(best, 0.03), trial({"rounds": 9}, 0.01)],
        },
        "bad": {"one": [trial({}, None)], "two": [trial({}, 0.2)]},
    }
    document = json.loads((tables.RESULTS / "overhead.json").read_text(encoding="utf-8")) | {
        "federations": {"one": 101, "two": 100},
        "chosen": {"good": {"score": 0.02, "options": best}, "bad": None},
        "trials": trials,
    }
    (tmp_path / "search.json").write_text(json.dumps(document))
    page = tables.rewritten(PAGE, tmp_path)
    # of three candidates one failed on one federation; the mean of the other's scores is (5 + 3) / 2 points
    assert "| good | `local.steps` 5, `local.lr` 0.1, `rounds` 2 | 3 | 1 | 2.0 | 4.0 to 4.0 |" in page
    assert "| bad | none | 1 | 1 | – | – |" in page
    assert "| good: one | 1.0 | -2.0 | -2.0 | +3.0 | -3.0 | +0.4 | +0.4 |" in page
    assert "Seeds: one 101, two 100." in page
    assert "| bad: " not in page


def test_the_search_writes_what_its_table_reads() -> None:
    import search
    import tables

    assert tuple(tables.SEARCHED) == search.SCORED
    assert search.PHASES == ("released", "final")
    assert {len(settings) for name, settings in search.candidates().items() if name != "knot"} == {6}


def test_the_deployment_shows_what_was_measured_and_says_what_was_not(tmp_path: Path) -> None:
    import tables

    head = json.loads((tables.RESULTS / "overhead.json").read_text(encoding="utf-8"))
    spans = {"before": (300.0, 30, 4), "during": (200.0, 20, 2), "after": (100.0, 10, 1)}
    windows = {
        name: {"seconds": s, "updates": {"hospital-0": a, "hospital-2": b}, "a_minute": 60 * (a + b) / s, "load": 3.0}
        for name, (s, a, b) in spans.items()
    }
    replay = {"events": 90, "computed": 70, "same": False, "problem": "event 7 (UpdateArrived): its delta is x, recorded y"}
    rate = {
        **head,
        "load_after": 4.0,
        "windows": windows,
        "during_to_before": windows["during"]["a_minute"] / windows["before"]["a_minute"],
        "after_to_before": 0.97,
        "phases": [{"after": "healing", "s": 1.0}, {"after": "completed", "s": 200.0}],
        "purged": {"removed": 12, "left": 0},
        "problems": [],
        "replay": replay,
    }
    (tmp_path / "deployment.json").write_text(json.dumps({"rate": rate}))
    page = tables.rewritten(PAGE, tmp_path)
    # 34 updates in 300 s against 22 in 200 s
    assert "| before | 300 | 30 | 4 | 6.80 | 3.0 |" in page
    assert "| during | 200 | 20 | 2 | 6.60 | 3.0 |" in page
    assert "**During to before: 0.97**" in page
    assert "completed after 200 s" in page
    assert "DIFFERS: event 7 (UpdateArrived): its delta is x, recorded y" in page
    assert page.count("Not measured yet.") == 3


def test_the_deployment_kept_what_is_required_of_it() -> None:
    import tables

    document = json.loads((tables.RESULTS / "deployment.json").read_text(encoding="utf-8"))
    rows = document["store"]["rows"]
    assert rows[-1]["updates"] >= 10_000
    assert max(row["models"] for row in rows) <= 1.1 * rows[0]["models"]
    starts = document["recovery"]["rows"]
    assert starts[-1]["events"] >= 10_000
    assert starts[-1]["replayed"] <= document["store"]["retention"]["snapshot_events"]
    for rate in [document[name] for name in ("rate",) if name in document]:
        assert rate["replay"]["same"]
        assert rate["problems"] == []


def test_a_missing_marker_is_an_error(tmp_path: Path) -> None:
    import tables

    with pytest.raises(SystemExit, match="the markers of overhead are missing"):
        tables.rewritten("# Benchmarks", tmp_path)
