"""afuic run, replay and report as a person uses them, on the phantom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afuic.cli.common import tell_gpu
from afuic.cli.running import _elsewhere
from afuic.deploy.kernel import as_new
from afuic.evaluate import results
from afuic.learning import devices
from tests import elsewhere

SMALL = ("--set", 'methods=["afuic", "continue"]', "--jobs", 1)
LONG = ("--set", "clock.horizon_s=100000.0", "--jobs", "2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, int]]:
    """The folder of a finished run, what it printed, and its exit code."""
    out = tmp_path_factory.mktemp("runs") / "small"
    command = [sys.executable, "-m", "afuic.cli", "run", "demo-phantom", "--out", str(out), *map(str, SMALL)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"})
    return out, done.stdout + done.stderr, done.returncode


def test_a_run_says_what_was_moved_or_removed_before_it(afuic_cli, tmp_path):
    n = 80
    site, patient = (
        np.array(["north", "south"] * (n // 2)),
        np.array([f"p{k // 4}" if k < 12 else f"{k % 2}-{k}" for k in range(n)]),
    )
    images = np.random.default_rng(0).integers(0, 256, (n, 16, 16, 1), dtype=np.uint8)
    split = np.repeat(np.array([0, 2], dtype=np.uint8), [60, 20])
    images[59] = images[79]
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(n) // 2 % 2, split=split, site=site, patient=patient)
    changes = (
        f"data.name={tmp_path / 'set.npz'}", "data.size=16", "data.partition.kind=site", "data.partition.min_images=4",
        "data.calibration=0", "data.patient_scope=global", "requests.0.client=north", 'methods=["continue"]', "evaluation.retrained=1",
        "clock.horizon_s=20.0",
        "training.steps=1", "training.batch=4", "evaluation.images=50",
    )  # fmt: skip
    code, text = afuic_cli("run", "--out", tmp_path / "r", "--jobs", 1, *(word for text in changes for word in ("--set", text)))
    assert code == 0, text
    assert "afuic: 1 training images were removed: byte for byte test images" in text
    assert "afuic: 6 training images count at another site than their own" in text
    found = results.load(tmp_path / "r" / "results.json").dropped
    assert {kind: count for kind, count in found.items() if count} == {"train_in_test": 1, "train_moved_site": 6}
    assert "6 training images count at another site" in (tmp_path / "r" / "report.html").read_text(encoding="utf-8")


def test_a_run_ends_with_the_table_and_the_reports_path(finished):
    out, text, code = finished
    assert code == 0, text
    assert text.count("continue: 100 %") == 1
    assert f"report: {out / 'report.html'}" in text
    assert {"afuic", "continue"} == set(results.load(out / "results.json").methods)
    assert (out / "report.html").stat().st_size > 10_000


def test_a_finished_run_replays_to_the_same_models(finished, afuic_cli):
    code, text = afuic_cli("replay", finished[0], "--method", "afuic", "--jobs", 1)
    assert code == 0, text
    assert text.count(" same ") == 2  # the shared past and the method


def test_a_changed_record_is_told(finished, afuic_cli, tmp_path):
    for name in ("config.toml", "results.json"):
        (tmp_path / name).write_bytes((finished[0] / name).read_bytes())
    lines = (finished[0] / "events.jsonl").read_text().splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if "UpdateArrived" in line)
    (tmp_path / "events.jsonl").write_text("".join(lines[:first] + lines[first + 1 :]))
    code, text = afuic_cli("replay", tmp_path, "--method", "continue", "--jobs", 1)
    assert code == 2
    assert text.endswith("lead to another model than the one the run ended with\n")


def test_another_processor_is_named_where_a_replay_differs(finished, tmp_path, monkeypatch):
    assert _elsewhere(finished[0]) == ""
    values = json.loads((finished[0] / "results.json").read_text())
    values["machine"]["processor"] = "Abacus"
    (tmp_path / "results.json").write_text(json.dumps(values))
    assert _elsewhere(tmp_path).startswith("; it ran on Abacus, and the last bits that ")
    monkeypatch.setenv(devices.VARIABLE, elsewhere.NAME)
    assert "that elsewhere:0 computes may differ" in _elsewhere(finished[0])


def test_a_report_can_be_written_anew(finished, afuic_cli):
    out = finished[0]
    before = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert afuic_cli("report", out) == (0, f"report: {out / 'report.html'}\n")
    assert (out / "report.html").read_bytes() == before


def test_a_folder_with_a_run_is_refused(finished, afuic_cli):
    code, text = afuic_cli("run", "demo-phantom", "--out", finished[0], *SMALL)
    assert code == 2
    assert text.startswith(f"afuic: {finished[0]}: already holds a run")


def test_resuming_a_finished_run_shows_it_again(finished, afuic_cli):
    code, text = afuic_cli("run", "--resume", "--out", finished[0])
    assert code == 0
    assert text.endswith(f"report: {finished[0] / 'report.html'}\n")


@pytest.mark.parametrize("command", ["replay", "report"])
def test_a_folder_without_a_run_is_named(afuic_cli, tmp_path, command):
    code, text = afuic_cli(command, tmp_path)
    assert code == 2
    assert text.startswith(f"afuic: {tmp_path}")
    assert text.count("\n") == 1


def test_a_client_that_does_not_exist_is_named(afuic_cli, tmp_path):
    code, text = afuic_cli("run", "demo-phantom", "--out", tmp_path / "x", *SMALL, "--set", "requests.0.client=hospital-9")
    assert code == 2
    assert "hospital-9" in text
    assert "Traceback" not in text


def test_ctrl_c_stops_and_says_how_to_go_on(tmp_path):
    """As a terminal does it: the signal goes to the whole group of processes."""
    out = tmp_path / "stopped"
    command = [sys.executable, "-m", "afuic.cli", "run", "demo-phantom", "--out", str(out), *LONG]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=as_new,  # noqa: PLW1509
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        text = process.communicate()[1]
    assert process.returncode == 130
    assert text.endswith(f"afuic: stopped; `afuic run --resume --out {out}` goes on\n")
    assert "Traceback" not in text
    assert not (out / "results.json").exists()


@pytest.mark.parametrize("command", [("run", "demo-phantom"), ("bench", "run", "smoke")])
def test_a_device_that_is_not_there_is_told_before_anything_is_begun(command, afuic_cli, tmp_path, monkeypatch):
    monkeypatch.setenv(devices.VARIABLE, "cuda:99")
    code, text = afuic_cli(*command, "--out", tmp_path / "run")
    assert code == 2
    assert text.startswith("afuic: AFUIC_DEVICE=cuda:99: PyTorch")
    assert not (tmp_path / "run").exists()


def test_a_gpu_is_told(monkeypatch, capsys):
    tell_gpu()
    monkeypatch.setenv(devices.VARIABLE, elsewhere.NAME)
    tell_gpu()
    assert capsys.readouterr().err == "afuic: networks compute on elsewhere:0; AFUIC_DEVICE=cpu changes that\n"
