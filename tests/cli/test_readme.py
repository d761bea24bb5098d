"""What the README promises: its example runs as it stands, its numbers come from a file."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from afuic.errors import StoreError
from tests.bench.conftest import by_hand

__all__ = ["by_hand"]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def script(name: str):
    spec = spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_example_is_short_and_runs(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(code.splitlines()) <= 15
    (tmp_path / "example.py").write_text(code)
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = re.findall(r"^(\S+): (released after \d+ s|not erased|never released), accuracy", done.stdout, flags=re.MULTILINE)
    assert len(said) == 4, done.stdout
    assert dict(said)["continue"] == "not erased"
    assert dict(said)["afuic"].startswith("released after")
    assert done.stdout.count("replayed to the same model") == 6


def test_the_tables_are_those_of_the_committed_results():
    table = script("readme_table")
    for page, inner in table.blocks(table.PAPER, table.DEMO).items():
        text = (ROOT / page).read_text(encoding="utf-8")
        assert table.rewritten(text, page, inner) == text, "run scripts/readme_table.py"


def test_the_readme_shows_the_suite_once_there_is_one_and_the_demo_moves_to_the_benchmarks(tmp_path, by_hand):
    table = script("readme_table")
    paper, nowhere = tmp_path / "paper.json", tmp_path / "absent.json"
    paper.write_text(by_hand.to_json(), encoding="utf-8")
    demo = table.blocks(nowhere, table.DEMO)
    assert demo["docs/benchmarks.md"] == table.ELSEWHERE
    both = table.blocks(paper, table.DEMO)
    assert both["docs/benchmarks.md"] == demo["README.md"]
    assert "| other | 3 of 3 |" in both["README.md"]
    assert "suite `hand` on by hand" in both["README.md"]
    assert both == table.blocks(paper, table.DEMO)


def test_a_suite_that_was_edited_is_never_shown(tmp_path, by_hand):
    paper = tmp_path / "paper.json"
    paper.write_text(by_hand.to_json().replace("0.84", "0.94"), encoding="utf-8")
    table = script("readme_table")
    with pytest.raises(StoreError, match="edited or damaged"):
        table.blocks(paper, table.DEMO)


def test_the_table_says_when_nothing_was_measured(tmp_path):
    table = script("readme_table")
    assert table.blocks(tmp_path / "absent.json", tmp_path / "absent.json")["README.md"] == table.NOTHING


def test_missing_markers_are_an_error():
    with pytest.raises(SystemExit, match=r"README.md: the markers of the results are missing"):
        script("readme_table").rewritten("# afuic", "README.md", "nothing")


def test_every_folder_of_the_package_is_in_the_map():
    folders = {path.parent.name for path in (ROOT / "src" / "afuic").glob("*/__init__.py")}
    tree = README[README.index("## The tree") : README.index("## Licence")]
    assert all(folder in tree for folder in folders)


def test_the_make_targets_the_documents_name_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(
        re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", README + (ROOT / "DEVELOPERS.md").read_text(), flags=re.MULTILINE)
    )
    assert {a or b for a, b in named} <= targets


def test_a_finished_run_is_moved_aside_and_an_unfinished_one_stays(tmp_path, capsys):
    main = script("keep_previous").main
    for marker in ("first", "second"):
        (tmp_path / "demo").mkdir()
        (tmp_path / "demo" / "results.json").write_text(marker)
        main(tmp_path / "demo")
        assert (tmp_path / "demo-previous" / "results.json").read_text() == marker
    (tmp_path / "demo").mkdir()
    main(tmp_path / "demo")
    assert (tmp_path / "demo").exists()


def test_the_lock_is_exact_and_has_all_that_pyproject_names():
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines)
    locked = {line.split("==")[0] for line in lines}
    assert {requirement.name.lower() for requirement in script("lock").wanted()} <= locked
