"""Shadow models on phantoms: one past for all methods, nothing beyond the release, nothing kept but answers on the forget set."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afuic.engines import shadows
from afuic.engines.arm import PREFIX, Arm, Progress, Run
from afuic.engines.experiment import laboratory
from afuic.engines.finished import measured_model, outcome
from afuic.errors import ConfigError, DataError, RunInterrupted, StoreError
from afuic.evaluate.ulira import attack, confidence
from afuic.params import digest
from afuic.rng import stream
from tests.engines.conftest import SMALL, small

CONFIG = small(methods=["continue", "afuic", "retrain"])
COUNT = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, shadows.Shadows]:
    out = tmp_path_factory.mktemp("shadows") / "small"
    return out, shadows.run(CONFIG, out, COUNT)


def test_every_method_has_a_row_for_every_shadow(made: tuple[Path, shadows.Shadows]) -> None:
    _, found = made
    assert list(found.probs) == ["before", "continue", "afuic", "retrain"]
    assert all(sorted(rows) == list(range(COUNT)) for rows in found.probs.values())
    images = len(found.labels)
    assert {p.shape for rows in found.probs.values() for p in rows.values()} == {(images, 4)}
    assert found.failed == {}
    assert 0 < found.members.sum() < images  # some carry the trigger


def test_methods_share_the_past_and_shadows_do_not(made: tuple[Path, shadows.Shadows]) -> None:
    _, found = made
    for i in range(COUNT):
        np.testing.assert_array_equal(found.probs["before"][i], found.probs["continue"][i])  # it releases what it found
        assert not np.array_equal(found.probs["before"][i], found.probs["afuic"][i])
    for rows in found.probs.values():
        assert len({p.tobytes() for p in rows.values()}) == COUNT


def test_only_answers_are_kept(made: tuple[Path, shadows.Shadows]) -> None:
    out, _ = made
    assert sorted(p.name for p in out.iterdir()) == ["config.json", "shadow-0", "shadow-1", "shadow-2"]
    assert sorted(p.name for p in (out / "shadow-0").iterdir()) == ["outcome.json", "probs.safetensors"]


def test_confidences_are_those_of_the_images_without_trigger(made: tuple[Path, shadows.Shadows]) -> None:
    _, found = made
    ours, retrained = found.confidences("afuic")
    assert ours.shape == retrained.shape == (COUNT, found.members.sum())
    row = confidence(found.probs["afuic"][1], found.labels)[found.members]
    np.testing.assert_array_equal(ours[1], row)
    with pytest.raises(DataError, match="nothing of 'nobody'"):
        found.confidences("nobody")
    assert 0 <= attack(ours, retrained, stream(0, "ulira"), draws=5).auc <= 1


def test_the_control_is_test_images_of_the_same_classes(made: tuple[Path, shadows.Shadows]) -> None:
    _, found = made
    test = laboratory(CONFIG).federation.test
    wanted = {c: int((found.labels[found.members] == c).sum()) for c in range(4)}
    there = {c: int((test.labels == c).sum()) for c in range(4)}
    ours, retrained = found.confidences("afuic", control=True)
    assert ours.shape == retrained.shape == (COUNT, sum(min(wanted[c], there[c]) for c in range(4)))
    assert found.control["afuic"][0].shape == (len(test.labels), 4)
    first = int(np.flatnonzero(np.isin(found.control_labels, [c for c in wanted if wanted[c]]))[0])
    assert ours[2, 0] == confidence(found.control["afuic"][2], found.control_labels)[first]
    continued, before = found.confidences("continue", "before", control=True)
    np.testing.assert_array_equal(continued, before)


def test_a_shadow_that_failed_leaves_its_row_out_of_both(made: tuple[Path, shadows.Shadows]) -> None:
    _, found = made
    rows = {i: p for i, p in found.probs["afuic"].items() if i != 1}
    less = replace(found, probs={**found.probs, "afuic": rows}, failed={"afuic": {1: "diverged"}})
    ours, retrained = less.confidences("afuic")
    np.testing.assert_array_equal(ours, found.confidences("afuic")[0][[0, 2]])
    np.testing.assert_array_equal(retrained, found.confidences("afuic")[1][[0, 2]])


def test_a_stop_changes_nothing(made: tuple[Path, shadows.Shadows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afuic.engines.arm.CHECKPOINT_TICKS", 1)
    out = tmp_path / "again"

    def stop(report: Progress) -> None:
        if report.note.startswith("afuic") and report.arm == "shadow-1":
            raise KeyboardInterrupt

    with pytest.raises(RunInterrupted):
        shadows.run(CONFIG, out, 2, progress=stop)
    assert (out / "shadow-1" / "arms").exists()
    with pytest.raises(StoreError, match="no such file"):
        shadows.load(CONFIG, out, 2)
    shadows.run(CONFIG, out, COUNT)
    for i in range(COUNT):
        path = Path(f"shadow-{i}") / "probs.safetensors"
        assert (out / path).read_bytes() == (made[0] / path).read_bytes()


def test_an_arm_cut_off_at_the_release_released_the_same_model(tmp_path: Path) -> None:
    lab = laboratory(CONFIG)
    for arm in (Arm(PREFIX, "afuic", None), Arm("whole", "afuic", PREFIX), Arm("cut", "afuic", PREFIX, until="release")):
        Run(lab, tmp_path, arm, lambda _: None).run()
    whole, cut = (measured_model(tmp_path, name, "released") for name in ("whole", "cut"))
    assert whole is not None
    assert cut is not None
    assert digest(whole) == digest(cut)
    assert set(outcome(tmp_path, "cut")["phases"]) == {"released"}
    assert outcome(tmp_path, "cut")["t"] == outcome(tmp_path, "whole")["released_t"] < outcome(tmp_path, "whole")["t"]


def test_a_method_that_never_releases_is_said_to_have_failed(tmp_path: Path) -> None:
    request = {"client": "hospital-0", "at": 0.5, "target_online": False}
    options = {"afuic-paper": {**SMALL["options"]["afuic-paper"], "deadline_s": 5.0}}
    config = small(methods=["afuic-paper", "retrain"], requests=[request], options=options)
    found = shadows.run(config, tmp_path / "out", 1)
    assert list(found.failed) == ["afuic-paper"]
    assert found.confidences("afuic-paper")[0].shape == (0, found.members.sum())


def test_what_cannot_be_run_is_refused(made: tuple[Path, shadows.Shadows], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="another configuration"):
        shadows.run(small(methods=["continue", "afuic", "retrain"], seed=9), made[0], COUNT)
    with pytest.raises(ConfigError, match="at least 1"):
        shadows.run(CONFIG, tmp_path / "none", 0)


def test_another_process_can_be_told_what_to_do() -> None:
    assert pickle.loads(pickle.dumps(shadows.shadow)) is shadows.shadow  # noqa: S301
