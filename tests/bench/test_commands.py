"""The commands as a person uses them."""

from __future__ import annotations

import json

import pytest

from afuic.bench import document
from afuic.bench.suites import HAM10000
from afuic.cli.bench import numbers


def test_list_tells_every_suite(afuic_cli) -> None:
    code, text = afuic_cli("bench", "list")
    assert code == 0
    assert all(
        name in text for name in ("smoke", "paper", "stragglers", "staleness", "patients", "requests", "relearn", "scale")
    )


def test_list_can_be_read_on_a_narrow_terminal(afuic_cli, monkeypatch) -> None:
    monkeypatch.delenv(HAM10000, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    code, text = afuic_cli("bench", "list")
    assert code == 0
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    assert "Cannot run here: paper: ham10000; resurfacing: ham10000; patients: ham10000, 1 patients;" in " ".join(text.split())
    assert "AFUIC_HAM10000_NPZ is not set; import the data set" in " ".join(text.split())


def test_run_report_and_diff(afuic_cli, tiny, tmp_path) -> None:
    out = tmp_path / "tiny"
    code, text = afuic_cli("bench", "run", "tiny", "--seeds", "1", "--methods", "continue,afuic", "--jobs", "1", "--out", out)
    assert code == 0, text
    assert f"results: {out / 'bench.json'}" in text
    assert "1 of 8: whole/0/retrain/0: done" in text
    assert "8 of 8" in text
    assert "left" in text
    again = ("bench", "run", "tiny", "--seeds", "1", "--methods", "continue,afuic", "--jobs", "1", "--out", out)
    _, text = afuic_cli(*again)
    assert text.startswith(f"afuic: nothing was left to do, every arm is in {out}\n")
    assert (
        f"\nresults: {out / 'bench.json'}\n" in text
    )  # between them what went otherwise than meant, as a release that is a jump
    code, text = afuic_cli("bench", "report", out)
    assert code == 0, text
    assert (out / "report" / "tables.tex").exists()
    assert afuic_cli("bench", "diff", out, out / "bench.json") == (0, "the same\n")
    edited = tmp_path / "edited.json"
    values = json.loads((out / "bench.json").read_text(encoding="utf-8"))
    values["cases"]["whole"]["rows"].pop("continue")
    edited.write_text(json.dumps(values | {"digest": document.digest(values)}), encoding="utf-8")
    code, said = afuic_cli("bench", "diff", out, edited, "--tolerance", "nan")
    assert (code, said) == (2, "afuic: --tolerance nan: give a finite number\n")
    assert afuic_cli("bench", "diff", out, edited) == (1, "whole: method 'continue': removed\n")


def test_what_was_edited_is_refused_by_every_reader(afuic_cli, finished, tmp_path) -> None:
    path = tmp_path / "bench.json"
    path.write_text((finished / "bench.json").read_text(encoding="utf-8").replace('"runs":2', '"runs":3'), encoding="utf-8")
    for command in (("report", path), ("diff", path, finished), ("diff", finished, path)):
        code, text = afuic_cli("bench", *command)
        assert code == 2
        assert "edited or damaged" in text


def test_what_does_not_exist_is_said_in_a_sentence(afuic_cli, tiny) -> None:
    assert "no such suite; there are smoke, paper" in afuic_cli("bench", "run", "nonsense")[1]
    assert "'magic' is not a method; there are afuic" in afuic_cli("bench", "run", "tiny", "--methods", "magic")[1]
    assert "--case: 'x' is not a case of tiny; there are whole, offline" in afuic_cli("bench", "run", "tiny", "--case", "x")[1]
    assert "tiny has no row of knot in these cases\n" in afuic_cli("bench", "run", "tiny", "--methods", "knot")[1]
    assert (
        "no row of retrain in these cases; it is the reference" in afuic_cli("bench", "run", "tiny", "--methods", "retrain")[1]
    )


def test_a_folder_that_cannot_be_written_is_said_in_the_words_of_a_suite(afuic_cli, tiny, tmp_path) -> None:
    (tmp_path / "file").touch()
    code, text = afuic_cli("bench", "run", "tiny", "--seeds", "1", "--out", tmp_path / "file" / "suite")
    assert code == 2
    assert "go on with the same command" in text
    assert "--resume" not in text


def test_join_writes_one_file_or_none(afuic_cli, finished, by_hand, tmp_path) -> None:
    out, other = tmp_path / "joined.json", tmp_path / "other.json"
    assert afuic_cli("bench", "join", finished, finished / "bench.json", "--out", out) == (0, f"results: {out}\n")
    assert afuic_cli("bench", "diff", finished, out) == (0, "the same\n")
    other.write_text(by_hand.to_json(), encoding="utf-8")
    code, text = afuic_cli("bench", "join", finished, other, "--out", tmp_path / "none.json")
    assert (code, (tmp_path / "none.json").exists()) == (2, False)
    assert f"{other}: suite differs from {finished}; only runs with the same settings and numbers can be joined" in text


@pytest.mark.parametrize(
    ("text", "seeds"), [("2", (0, 1)), ("1-3", (1, 2, 3)), ("3,0", (0, 3)), ("0-1, 4", (0, 1, 4)), ("7-7", (7,))]
)
def test_seeds_are_a_number_or_a_list(text, seeds) -> None:
    assert numbers(text) == seeds


@pytest.mark.parametrize("text", ["0", "-1", "1-", "a", "", "0-20", "4-2", "21"])
def test_seeds_that_make_no_sense_are_refused(afuic_cli, tiny, tmp_path, text) -> None:
    code, said = afuic_cli("bench", "run", "tiny", f"--seeds={text}", "--out", tmp_path / "out")
    assert code == 2
    assert "seeds" in said
    assert not (tmp_path / "out").exists()
