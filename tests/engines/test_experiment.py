"""A whole experiment on phantoms: what it writes, that it is deterministic, that it resumes, and how it fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from safetensors.torch import load_file

from afuic.config import parse
from afuic.engines import experiment
from afuic.engines.arm import Progress
from afuic.engines.laboratory import prepare
from afuic.errors import ConfigError, LeakError, RunInterrupted, StoreError
from afuic.evaluate.results import Results, load, schema
from afuic.params import digest
from tests.engines.conftest import SMALL, small


def test_it_writes_what_it_promises(finished: tuple[Path, Results]) -> None:
    out, results = finished
    assert sorted(p.name for p in out.iterdir()) == ["config.toml", "events.jsonl", "models", "results.json"]
    assert load(out / "results.json") == results
    jsonschema.validate(json.loads((out / "results.json").read_text()), schema())
    assert list(results.methods) == ["afuic", "afuic-paper", "continue", "retrain"]
    for name, method in results.methods.items():
        assert set(method.phases) == {"before", "released", "final"}, name
        assert method.failed is None


def test_the_models_written_are_those_of_the_results(finished: tuple[Path, Results]) -> None:
    out, results = finished
    for name in ("afuic", "afuic-paper", "continue"):
        assert digest(load_file(out / "models" / f"{name}.safetensors")) == results.methods[name].digest


def test_the_cost_of_each_method(finished: tuple[Path, Results]) -> None:
    _, results = finished
    ours, paper, leave, retrain = (results.methods[n] for n in ("afuic", "afuic-paper", "continue", "retrain"))
    # of 40 images 16 are held out, 24 are seen in 8 orientations: 10 steps x 64 views + (192 + 16) / 3 for the teacher
    # + 2 looks x 16 / 3, at 0.03 s / 10 each
    assert ours.erasure_latency_s == pytest.approx((10 * 64 + (192 + 16 + 2 * 16) / 3) * 0.03 / 10)
    assert (ours.updates_lost, ours.stall_client_s, ours.bytes_moved) == (0, 0, 0)
    assert paper.updates_lost > 0
    assert paper.bytes_moved > 0
    assert leave.erasure_latency_s == 0
    assert retrain.erasure_latency_s == pytest.approx(30.0)
    assert retrain.updates_lost > 0
    assert all(m.stall_client_s == 0 for m in results.methods.values())
    # they share a past in which a ledger and last models are kept for the others
    assert (leave.bytes_stored, retrain.bytes_stored) == (0, 0)


def test_same_seed_same_bytes_whatever_the_processes(finished: tuple[Path, Results], tmp_path: Path) -> None:
    out, _ = finished
    experiment.run(small(), tmp_path / "again", jobs=2)
    for name in ("results.json", "events.jsonl", "config.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_another_seed_gives_another_model(finished: tuple[Path, Results], tmp_path: Path) -> None:
    other = experiment.run(small(seed=1, methods=["continue"]), tmp_path / "other")
    assert other.methods["continue"].digest != finished[1].methods["continue"].digest


@pytest.mark.parametrize("stop_at", [("prefix", 20.0), ("afuic", 40.0), ("retrain/1", 50.0)])
def test_a_stopped_run_resumes_to_the_same_bytes(
    finished: tuple[Path, Results], tmp_path: Path, stop_at: tuple[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afuic.engines.arm.CHECKPOINT_TICKS", 1)
    out = tmp_path / "stopped"
    with pytest.raises(RunInterrupted):
        experiment.run(small(), out, progress=_stop(*stop_at))
    assert not (out / "results.json").exists()
    experiment.run(small(), out, resume=True)
    assert (out / "results.json").read_bytes() == (finished[0] / "results.json").read_bytes()
    assert (out / "events.jsonl").read_bytes() == (finished[0] / "events.jsonl").read_bytes()


def test_resuming_a_whole_run_clears_what_a_late_stop_left(finished: tuple[Path, Results], tmp_path: Path) -> None:
    shutil.copytree(finished[0], tmp_path / "run")
    (tmp_path / "run" / "arms" / "prefix").mkdir(parents=True)
    assert experiment.run(small(), tmp_path / "run", resume=True) == finished[1]
    assert not (tmp_path / "run" / "arms").exists()


def _stop(arm: str, t: float) -> Callable[[Progress], None]:
    def progress(report: Progress) -> None:
        if report.arm == arm and report.state == "running" and report.t >= t:
            raise KeyboardInterrupt

    return progress


def test_a_folder_with_another_run_is_refused(finished: tuple[Path, Results], tmp_path: Path) -> None:
    out, _ = finished
    with pytest.raises(StoreError, match="already holds a run"):
        experiment.run(small(), out)
    with pytest.raises(StoreError, match="another configuration"):
        experiment.run(small(seed=5), out, resume=True)
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(StoreError, match="is not empty"):
        experiment.run(small(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"requests": [{"client": "hospital-9"}]}, r"requests\.0\.client: 'hospital-9' does not exist"),
        ({"requests": [{"at": 0.3}, {"at": 0.5}]}, r"requests\.1: 'hospital-0' is already erased by requests\.0"),
        ({"aggregation": {"optimizer": "adam"}}, "not linear in the updates"),
        ({"methods": ["afuic", "magic"]}, "'magic' is not a method"),
        ({"options": {"afuic": {"heel": 3}}}, r"options\.afuic\.heel: unknown key"),
        ({"requests": []}, "requests: there is none"),
        ({"requests": [{"patients": 999}]}, r"requests\.0\.patients of 'hospital-0': cannot choose 999"),
        ({"requests": [{"patients": ["nobody"]}]}, r"requests\.0\.patients of 'hospital-0': 1 of 1 patients .*'nobody'"),
        ({"requests": [{"patients": 67}]}, r"requests\.0\.patients: leaves 'hospital-0' none; ask for the whole"),
        ({"options": {"afuic": {"oracle": True}}, "data": {"name": "phantom"}}, r"options\.afuic\.oracle: .*no trigger"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is_computed(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment.run(parse({**SMALL, **changes}), tmp_path / "out")
    assert not (tmp_path / "out").exists()  # so that the corrected configuration may go there


def test_a_calibration_set_with_the_hospitals_images_is_refused(tmp_path: Path) -> None:
    data = {**SMALL["data"], "calibration_from": "phantom"}
    leaky = _with_training_images(tmp_path)
    with pytest.raises(LeakError):
        experiment.run(small(data={**data, "calibration_from": str(leaky)}), tmp_path / "out")


def _with_training_images(folder: Path) -> Path:
    import numpy as np

    from afuic.data import load as load_data

    dataset = load_data("phantom")
    path = folder / "leaky.npz"
    train = dataset.images[dataset.split == 0][:20]
    names = np.array(dataset.class_names)
    split = np.array([0] * 8 + [1] * 8 + [2] * 4, dtype=np.uint8)
    np.savez(path, images=train, labels=dataset.labels[dataset.split == 0][:20], split=split, class_names=names)
    return path


def test_the_target_may_be_gone(tmp_path: Path) -> None:
    paper_options = {**SMALL["options"]["afuic-paper"], "deadline_s": 20.0}
    gone = small(
        requests=[{"client": "hospital-0", "at": 0.5, "target_online": False}],
        methods=["afuic", "afuic-paper"],
        options={**SMALL["options"], "afuic-paper": paper_options},
    )
    results = experiment.run(gone, tmp_path / "gone")
    ours, paper = results.methods["afuic"], results.methods["afuic-paper"]
    assert ours.failed is None
    assert ours.erasure_latency_s == pytest.approx(2.16)
    assert paper.failed == "request-0: the client did not answer before the deadline"
    assert paper.erasure_latency_s is None
    there = experiment.run(small(methods=["afuic"]), tmp_path / "there").methods["afuic"]
    assert (ours.updates_lost, ours.stall_client_s) == (0, 0)
    assert (ours.digest, ours.erasure_latency_s) == (there.digest, there.erasure_latency_s)


def test_diverging_clients_are_quarantined_and_named(tmp_path: Path) -> None:
    wild = small(training={"steps": 3, "batch": 8, "lr": 1e30, "max_norm": 1e30}, methods=["continue"])
    results = experiment.run(wild, tmp_path / "wild")
    assert results.methods["continue"].updates_quarantined > 0
    reasons = [json.loads(line).get("reason", "") for line in (tmp_path / "wild" / "events.jsonl").read_text().splitlines()]
    assert any("update of 'hospital-1'" in r and "NaN or infinite" in r for r in reasons)


def test_only_who_heals_ahead_is_charged_for_it(tmp_path: Path) -> None:
    ahead = {"afuic": {**SMALL["options"]["afuic"], "ahead": {"steps": 2, "gain": "none"}}}
    methods = experiment.run(small(methods=["afuic", "continue"], options=ahead), tmp_path / "run").methods
    assert methods["afuic"].server_s > 0
    assert methods["continue"].server_s == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"afuic": {"guard": {"project": True, "versions": 4}, "carriers": {"policy": "project"}}}},
        {"options": {"afuic": {"teacher": "ensemble", "heal": {"steps": 3, "augmented": True}}}},
        {"options": {"afuic": {"heal": {"steps": 60, "check": 5}, "ahead": {"steps": 4, "gain": "none"}}}},
        {"options": {"afuic": {"teacher": "average", "client": {"steps": 2}, "heal": {"invariance": 1.0}, "oracle": True}}},
        {"aggregation": {"rule": "fedbuff", "buffer": 2}, "clock": {"horizon_s": 60.0, "online": 0.7, "failure": 0.2}},
        {"requests": [{"client": "hospital-0", "at": 0.4, "patients": 3}, {"client": "hospital-1", "at": 0.41}]},
        {"data": {**SMALL["data"], "calibration": 0}},
    ],
    ids=["project", "ensemble", "ahead", "average+client+oracle", "fedbuff+absences", "patients+client", "no calibration"],
)
def test_every_alternative_runs_and_replays(changes: dict[str, Any], tmp_path: Path) -> None:
    from afuic.engines.replay import replay

    config = small(**{"methods": ["afuic"], **changes})
    results = experiment.run(config, tmp_path / "run")
    assert results.methods["afuic"].failed is None
    assert results.methods["afuic"].updates_lost == 0
    assert all(arm.same for arm in replay(tmp_path / "run"))


@pytest.mark.parametrize("form", ["remove", "scrub", "both"])
def test_the_three_forms_of_patient_erasure(form: str, tmp_path: Path) -> None:
    options = {"afuic": {**SMALL["options"]["afuic"], "patients": form, "patients_client": {"steps": 2}}}
    config = small(options=options, methods=["afuic"], requests=[{"client": "hospital-0", "at": 0.5, "patients": 4}])
    results = experiment.run(config, tmp_path / form)
    assert results.methods["afuic"].failed is None
    assert results.requests[0].patients == 4
    events = (tmp_path / form / "events.jsonl").read_text().splitlines()
    kinds = {json.loads(line)["event"] for line in events}
    assert ("ScrubArrived" in kinds) == (form != "remove")
    after = [json.loads(e) for e in events if json.loads(e)["t"] > 40]
    assert any(e["event"] == "UpdateArrived" and e["client"] == "hospital-0" and e["outcome"] == "applied" for e in after)


def test_patients_drawn_for_a_second_request_are_not_those_of_the_first() -> None:
    twice = [{"client": "hospital-0", "at": at, "patients": 25} for at in (0.3, 0.5)]
    first, second = prepare(small(requests=twice, methods=["afuic"])).patients["hospital-0"]
    assert len(set(first) | set(second)) == 50


def test_training_is_single_threaded() -> None:
    assert torch.get_num_threads() == 1
