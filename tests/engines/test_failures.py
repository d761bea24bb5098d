"""What fails says so and costs the others nothing; what would train nothing is refused or told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from afuic import report
from afuic.engines import experiment
from afuic.engines.laboratory import prepare
from afuic.engines.replay import replay
from afuic.engines.worker import Worker
from afuic.errors import ConfigError, DataError, ParamsError
from afuic.evaluate.judge import Judge
from afuic.evaluate.results import Results
from tests.engines.conftest import small

METHODS = ["afuic", "continue", "retrain"]
LONG: dict[str, Any] = {"horizon_s": 60.0}


def failing(monkeypatch: pytest.MonkeyPatch, families: set[tuple[str, int]], error: Exception) -> None:
    """Training under these families of random streams raises, from its 4th task on."""
    train, done = Worker.train, dict.fromkeys(families, 0)

    def maybe(self: Worker, task: Any) -> Any:
        if self.family in families:
            done[self.family] += 1
            if done[self.family] > 3:
                raise error
        return train(self, task)

    monkeypatch.setattr(Worker, "train", maybe)


def run(tmp_path: Path, **changes: Any) -> Results:
    return experiment.run(small(methods=METHODS, **changes), tmp_path / "run")


ERRORS = [ParamsError("model: '0.weight' has NaN or infinite entries"), DataError("odd"), OverflowError("math range error")]


class TestReferences:
    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    def test_one_that_fails_is_marked_and_the_others_are_the_yardstick(
        self, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = experiment.run(small(methods=METHODS), tmp_path / "whole")
        failing(monkeypatch, {("retrain", 0)}, error)
        found = run(tmp_path)
        assert found.retrained is not None
        assert whole.retrained is not None
        assert found.retrained.runs == 1
        assert list(found.retrained.failed) == ["retrain/0"]
        assert str(error) in found.retrained.failed["retrain/0"]
        assert found.retrained.curves == whole.retrained.curves[1:]
        assert found.methods["retrain"].failed is None
        assert found.methods["afuic"].digest == whole.methods["afuic"].digest
        (warning,) = found.warnings
        assert warning.startswith("the retrained model retrain/0 failed (")
        assert warning.endswith("gaps are to the 1 that remain")
        monkeypatch.undo()
        assert all(arm.same for arm in replay(tmp_path / "run"))

    def test_if_none_remains_there_are_no_gaps_and_everybody_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing(monkeypatch, {("retrain", 0), ("retrain", 1)}, ERRORS[0])
        found = run(tmp_path)
        assert found.retrained is not None
        assert (found.retrained.runs, len(found.retrained.failed)) == (0, 2)
        assert found.methods["retrain"].failed is not None
        assert found.methods["afuic"].failed is None
        assert {z for gaps in found.methods["afuic"].gaps.values() for z in gaps.values()} <= {None}
        assert all("none remains, so there are no gaps" in text for text in found.warnings)
        page = report.write(tmp_path / "run").read_text(encoding="utf-8")
        assert "the retrained model retrain/1 failed (" in page
        assert report.table(found).row_count == 3

    def test_resuming_goes_on_to_the_same_results(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        failing(monkeypatch, {("retrain", 0)}, ERRORS[0])
        found = run(tmp_path)
        failing(monkeypatch, {("retrain", 0)}, ERRORS[0])

        def stop(said: Any) -> None:
            if said.arm == "afuic" and said.state == "running":
                raise KeyboardInterrupt

        with pytest.raises(Exception, match="stopped"):
            experiment.run(small(methods=METHODS), tmp_path / "again", progress=stop)
        assert experiment.run(small(methods=METHODS), tmp_path / "again", resume=True) == found

    def test_a_model_that_diverges_while_it_is_measured(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        measured, seen = Judge.phase_and_probs, [0]

        def maybe(self: Judge, params: Any) -> Any:
            seen[0] += 1
            if seen[0] == 2:  # the first reference's release: references come after the prefix's "before"
                raise ParamsError("judge: the model's outputs are NaN or infinite")
            return measured(self, params)

        monkeypatch.setattr(Judge, "phase_and_probs", maybe)
        found = run(tmp_path)
        failed = found.retrained.failed if found.retrained else {}
        assert list(failed.values()) + [m.failed for m in found.methods.values() if m.failed] == [
            "diverged: judge: the model's outputs are NaN or infinite"
        ]


def test_a_method_that_raises_is_marked_and_the_others_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("float division")

    monkeypatch.setattr("afuic.protocol.releasing.release", fail)
    found = experiment.run(small(methods=["afuic", "continue"]), tmp_path / "run")
    assert found.methods["afuic"].failed == "ZeroDivisionError: float division"
    assert found.methods["afuic"].phases.keys() == {"before"}
    assert (tmp_path / "run" / "results.json").exists()


def test_a_past_that_fails_fails_all_that_branch_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, {()}, DataError("odd"))  # type: ignore[arg-type]
    found = run(tmp_path)
    assert found.methods["afuic"].failed == "DataError: odd (before the request)"
    assert found.methods["continue"].failed == "DataError: odd (before the request)"
    assert found.methods["retrain"].failed is None
    assert "before" not in found.methods["afuic"].phases
    report.write(tmp_path / "run")


class TestNothingTrained:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"training": {"steps": 3, "batch": 68}}, r"training\.batch = 68: the largest hospital has 67 training images"),
            (
                {"aggregation": {"rule": "fedbuff", "buffer": 3}},
                r"aggregation\.buffer = 3: .* and 2 take part; .*, or erase fewer",
            ),
            (
                {"training": {"steps": 10**6, "batch": 8}},
                r"nothing would be trained: 0 updates arrive before .* at 30 virtual s",
            ),
            ({"clock": {**LONG, "online": 1e-5}}, "nothing would be trained"),
            ({"clock": {**LONG, "failure": 0.9999999}}, "nothing would be trained"),
            ({"clock": {"horizon_s": 1.0}}, "nothing would be trained"),
        ],
    )
    def test_what_can_be_foreseen_is_refused(self, changes: dict[str, Any], said: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=said):
            experiment.run(small(**changes), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_the_batch_may_be_the_largest_hospitals_images_and_the_buffer_all_that_stay(self) -> None:
        prepare(small(training={"steps": 1, "batch": 67}))
        prepare(small(aggregation={"rule": "fedbuff", "buffer": 2}))
        prepare(small(aggregation={"rule": "fedbuff", "buffer": 3}, requests=[{"at": 0.5, "patients": 3}]))

    def test_what_is_foreseen_is_what_happens(self, finished: tuple[Path, Results]) -> None:
        lab = prepare(small())
        lines = [json.loads(line) for line in (finished[0] / "events.jsonl").read_text().splitlines()]
        came = [(e["client"], e["t"]) for e in lines if e["arm"] == "prefix" and e["event"] == "UpdateArrived"]
        images, nbytes = 3 * 8, sum(p.numel() * 4 for p in lab.network.module.parameters())
        foreseen = [(name, t) for name in lab.fleet.slowness for t in lab.fleet.updates(name, 30.0, images, nbytes)]
        assert sorted(foreseen) == sorted(came)

    def test_what_happens_only_then_is_told_in_results_page_and_terminal(self, tmp_path: Path) -> None:
        # a task takes 35 s: one ends before the request at 42 s, the next after the end at 60 s
        clock = {"horizon_s": 60.0, "sample_s": 1.4, "spread": 0.0, "stragglers": 0, "jitter": 0.0}
        config = small(methods=["continue"], clock=clock, requests=[{"at": 0.7}])
        found = experiment.run(config, tmp_path / "run")
        assert [text.partition(";")[0] for text in found.warnings] == ["no update was applied after the request (continue)"]
        page = report.write(tmp_path / "run").read_text(encoding="utf-8")
        assert "Mind: no update was applied after the request (continue)" in page


def test_a_run_in_which_all_is_well_warns_of_nothing(finished: tuple[Path, Results]) -> None:
    assert finished[1].warnings == ()
    assert finished[1].retrained is not None
    assert finished[1].retrained.failed == {}
