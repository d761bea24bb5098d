"""The suites: every one can be planned, shares only what it may, and leaves the time that it promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from afuic import erase
from afuic.bench.fingerprint import fingerprint
from afuic.bench.planning import PAST, configuration, past_of, select, skipped, tasks
from afuic.bench.suite import Case, Variant
from afuic.bench.suites import AFTER_S, HAM10000, LONG_AFTER_S, SUITES
from afuic.bench.variants import form, rows
from afuic.config import load
from afuic.erase import METHODS, Ask
from afuic.errors import ConfigError
from afuic.evaluate.ulira import FULL

ASK = Ask(whole=True, reachable=True, calibration=True, elapsed_s=1200.0)

PREPARED = {"the largest hospital", "the only holder of a class"}
"""Cases whose configuration needs the real images."""


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    """HAM10000 is there, as far as planning looks."""
    path = tmp_path / "ham10000.npz"
    path.touch()
    monkeypatch.setenv(HAM10000, str(path))
    return path


def plannable(suite):
    return tuple(case.name for case in suite.cases if case.name not in PREPARED)


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_every_suite_can_be_planned(suite, tmp_path) -> None:
    every = tasks(select(suite, seeds=1, cases=plannable(suite)), tmp_path)
    names = [task.name for task in every]
    assert len(set(names)) == len(names)
    for task in every:
        assert set(task.waits) <= set(names), task.name
    for case in suite.cases:
        assert "/" not in case.name
        for v in rows(suite, case):
            assert "/" not in v.name
            METHODS[v.method].configure(v.options)


@pytest.mark.parametrize("name", ["paper", "staleness", "patients", "ulira", "requests", "relearn", "calibration", "ablations"])
def test_long_suites_train_on_for_as_long_after_the_last_request(name, tmp_path) -> None:
    suite = SUITES[name]
    for case in suite.cases:
        if case.name not in PREPARED:
            cfg = configuration(select(suite), case, 0, tmp_path)
            assert (1 - cfg.requests[-1].at) * cfg.clock.horizon_s == pytest.approx(AFTER_S)
            # a task of 20 steps of 32 images takes 19.2 s and its link: more than 50 of them in 1080 s
            assert AFTER_S / (cfg.training.steps * cfg.training.batch * cfg.clock.sample_s + 2) > 50


def test_the_past_is_run_once_for_all_methods(tmp_path) -> None:
    every = tasks(select(SUITES["paper"], seeds=1, cases=("bloodmnist",)), tmp_path)
    shared = [task for task in every if task.local == PAST]
    assert len(shared) == 1
    assert sum(task.family != () for task in every) == SUITES["paper"].retrained == 5
    assert {task.after for task in every if task.local == "afuic"} == {"bloodmnist/0/past"}


def test_what_is_prepared_ahead_has_a_past_of_its_own() -> None:
    plain, ahead, other = (
        Variant("a", "afuic"),
        Variant("b", "afuic", {"ahead": {"steps": 5}}),
        Variant("c", "afuic", {"ahead": {"steps": 6}}),
    )
    assert past_of(plain) == past_of(Variant("d", "afuic", {"heal": "none"})) == PAST
    assert len({past_of(plain), past_of(ahead), past_of(other)}) == 3
    assert past_of(ahead) == past_of(replace(ahead, name="e"))


def test_a_case_that_differs_cannot_share(tmp_path) -> None:
    suite = SUITES["staleness"]
    odd = Case("odd", ("data.partition.clients=5",), references="server 10x", past=True)
    changed = replace(suite, cases=(*suite.cases, odd))
    with pytest.raises(ConfigError, match="'odd': it cannot share the arms of 'server 10x', from which it differs"):
        tasks(select(changed, seeds=1, cases=("odd",)), tmp_path)


def test_a_case_without_its_file_is_skipped_with_a_reason(monkeypatch, file, tmp_path) -> None:
    case = SUITES["paper"].case("ham10000")
    assert skipped(case) is None
    cfg = configuration(select(SUITES["paper"]), case, 3, tmp_path)
    assert (cfg.data.name, cfg.seed) == (str(file.resolve()), 3)
    monkeypatch.delenv(HAM10000)
    assert skipped(case).startswith("AFUIC_HAM10000_NPZ is not set; import the data set with `afuic data import`")
    monkeypatch.setenv(HAM10000, "elsewhere.npz")
    assert skipped(case).startswith("AFUIC_HAM10000_NPZ is elsewhere.npz, which is no file; import")
    assert not [t for t in tasks(select(SUITES["paper"], seeds=1), tmp_path) if t.name.startswith("ham10000")]


def test_changes_from_the_command_line_come_last(tmp_path) -> None:
    chosen = select(SUITES["smoke"], changes=("training.steps=7", "data.limit=50"))
    cfg = configuration(chosen, chosen.suite.cases[0], 0, tmp_path)
    assert (cfg.training.steps, cfg.data.limit, cfg.evaluation.retrained) == (7, 50, 3)


def test_options_of_methods_are_the_rows_own_and_not_dropped_in_silence(tmp_path) -> None:
    chosen = select(SUITES["smoke"], seeds=1, changes=("options.wu.distil.temperature=2.0",))
    with pytest.raises(ConfigError, match=r"--set options\.wu: the rows of a suite say .* `afuic run --set`"):
        tasks(chosen, tmp_path)


@pytest.mark.parametrize("change", ["seed=5", "name=x", 'methods=["wu"]'])
def test_what_a_suite_says_itself_cannot_be_set(tmp_path, change) -> None:
    with pytest.raises(ConfigError, match=f"--set {change.partition('=')[0]}: a suite says that itself"):
        tasks(select(SUITES["smoke"], seeds=1, changes=(change,)), tmp_path)


def test_every_method_is_in_the_comparison_and_retraining_is_its_reference() -> None:
    found = [v.method for v in rows(SUITES["paper"], SUITES["paper"].cases[0])]
    assert found == [name for name in METHODS if name != "retrain"]


def test_forms_of_calibration() -> None:
    def configured(name, choice):
        v = form(METHODS[name], choice)
        return METHODS[name].configure(v.options).options

    none, blind, oracle = (configured("afuic", choice) for choice in ("none", "blind", "oracle"))
    assert (none.heal, none.guard.calibration, none.oracle) == (None, None, False)
    assert (oracle.oracle, oracle.model_copy(update={"oracle": False})) == (True, blind)
    # healing distils without Φ, which would leave nothing to show the trigger in
    assert (blind.heal.invariance, blind.guard.calibration.invariance) == (1, 1)
    assert (blind.heal.distil, blind.guard.calibration.distil) == (1, 1)
    own = METHODS["afuic"].options()
    assert blind.heal.model_copy(update={"invariance": 0.0}) == own.heal
    assert blind.guard.model_copy(update={"calibration": own.guard.calibration}) == own.guard
    assert form(METHODS["afuic"], "fixed") == Variant("afuic", "afuic")
    assert configured("afuic-paper", "none").calibration is None
    assert configured("afuic-paper", "blind") == METHODS["afuic-paper"].options()
    assert form(METHODS["afuic-paper"], "fixed") is None
    assert form(METHODS["knot"], "none") is form(METHODS["retrain"], "blind") is form(METHODS["knot"], "fixed") is None
    assert form(METHODS["afuic"], "none").name == "afuic, no calibration"


def test_every_method_but_knot_is_calibrated_in_three_forms() -> None:
    suite = SUITES["calibration"]
    found = [v.method for v in rows(suite, suite.cases[0]) if v.name != "afuic"]
    assert found == [name for name in METHODS if name not in {"retrain", "knot"} for _ in range(3)]
    cfg = configuration(select(suite), suite.cases[0], 0, Path())
    for v in rows(suite, suite.cases[0]):
        plan = erase.configured(cfg.model_copy(update={"options": {v.method: v.options}}), v.method).plan(ASK)
        shown = [c for c in (plan.heal, plan.guard.calibration) if c is not None]
        assert bool(shown) == ("no calibration" not in v.name)
        assert all(c.augments for c in shown) or v.name == "afuic"
        assert plan.oracle == v.name.endswith("oracle")


def test_a_row_that_needs_last_models_has_a_past_in_which_they_are_kept() -> None:
    assert past_of(Variant("a", "afuic", {"client": {}})) not in {PAST, past_of(Variant("b", "afuic", {"teacher": "ensemble"}))}
    assert past_of(Variant("c", "halimi")) == past_of(Variant("d", "afuic-paper")) == PAST


def test_suites_share_the_arms_that_have_the_same_numbers(tmp_path) -> None:
    def marks(name, case, methods) -> dict[str, str]:
        every = tasks(select(SUITES[name], seeds=1, cases=(case,), methods=methods), tmp_path)
        return {task.local: fingerprint(task) for task in every}

    paper = marks("paper", "bloodmnist", ("afuic", "fedosd"))
    assert marks("relearn", "bloodmnist", ("afuic", "fedosd")).items() >= paper.items()
    forms = marks("calibration", "bloodmnist", ("afuic", "fedosd"))
    assert forms["fedosd, no calibration"] == paper["fedosd"]
    assert forms["afuic"] == paper["afuic"]
    assert forms["retrain/4"] == paper["retrain/4"]
    own = [mark for name, mark in forms.items() if name not in paper and name != "fedosd, no calibration"]
    assert not set(own) & set(paper.values())
    assert len(set(own)) == len(own) == 5
    slower = marks("staleness", "server 3x", ("afuic", "wu"))
    assert slower["afuic"] not in paper.values()
    looked_at = marks("relearn", "bloodmnist", ("afuic",))
    assert looked_at["relearn/afuic"] != looked_at["afuic"]


def test_shadows_and_relearning_wait_for_what_they_look_at(tmp_path) -> None:
    every = tasks(select(SUITES["patients"], seeds=1, cases=("bloodmnist, 1 patients",), methods=("afuic",)), tmp_path)
    attack = next(task for task in every if task.kind == "ulira")
    assert attack.waits == attack.sources
    assert len(attack.sources) == 8
    assert {t.until for t in every if "shadow" in t.local and t.after} == {"release"}
    assert load().requests[0].patients is None


def test_the_attack_has_the_full_setting_where_there_are_32_references(tmp_path) -> None:
    case = "bloodmnist, 100 patients"
    every = tasks(select(SUITES["ulira"], seeds=1, cases=(case,), methods=("wu",)), tmp_path)
    attack = next(task for task in every if task.kind == "ulira")
    assert len(attack.sources) == len(set(attack.sources)) == 2 * FULL == 64
    # what the cheap setting has run of the same patients can be copied
    cheap = tasks(select(SUITES["patients"], seeds=1, cases=(case,), methods=("wu",)), tmp_path)
    assert {fingerprint(task) for task in cheap if task.kind == "arm" and not task.past} <= {
        fingerprint(task) for task in every
    }


def test_resurfacing_trains_on_for_more_than_twice_as_long_from_the_same_past(tmp_path) -> None:
    """The slowest clients of `paper` sent 30 updates in the time that it leaves."""
    assert 30 * LONG_AFTER_S / AFTER_S > 50
    for case in SUITES["resurfacing"].cases:
        long, short = (configuration(select(SUITES[name]), case, 0, tmp_path) for name in ("resurfacing", "paper"))
        assert (1 - long.requests[0].at) * long.clock.horizon_s == pytest.approx(LONG_AFTER_S)
        assert long.requests[0].at * long.clock.horizon_s == pytest.approx(short.requests[0].at * short.clock.horizon_s)
        alike = {"name": "", "methods": (), "requests": (), "clock": long.clock}
        assert long.model_copy(update=alike) == short.model_copy(update=alike)
