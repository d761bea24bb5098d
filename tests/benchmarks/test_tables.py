"""The page on benchmarks says what the files say, and names every benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.conftest import ROOT

PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    import tables

    assert tables.rewritten(PAGE, tables.RESULTS) == PAGE, "run benchmarks/tables.py"


def test_the_figures_are_up_to_date() -> None:
    import figures

    document = json.loads(figures.RESULTS.read_text(encoding="utf-8"))
    for name, (column, title) in figures.FIGURES.items():
        drawn = (figures.FOLDER / f"{name}.svg").read_bytes()
        assert figures.draw(document, column, title) == drawn, "run benchmarks/figures.py"
        assert f"figures/{name}.svg" in PAGE


def test_every_script_is_explained() -> None:
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py") if "argparse" in path.read_text(encoding="utf-8")}
    assert {name for name in scripts - {"tables.py", "figures.py", "suites.py"} if f"`benchmarks/{name}`" not in PAGE} == set()


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


def test_a_missing_marker_is_an_error(tmp_path: Path) -> None:
    import tables

    with pytest.raises(SystemExit, match="the markers of overhead are missing"):
        tables.rewritten("# Benchmarks", tmp_path)
