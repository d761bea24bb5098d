"""``bench join``: what was run apart is the document of one run, and what does not fit is refused by name."""

from __future__ import annotations

import pytest

from afuic.bench import document
from afuic.bench.changes import changes
from afuic.bench.document import Document
from afuic.bench.joining import join
from afuic.bench.planning import select
from afuic.bench.running import run
from afuic.errors import StoreError
from tests.bench.conftest import arm, row

MISSING = ("by hand/1/afuic", "by hand/1/past", "by hand/1/past-0f", "by hand/1/retrain/0", "by hand/1/new")


def part(whole, seeds, rows=("afuic", "other", "cheat")):
    """Some seeds and rows of a document."""
    case = whole.cases["by hand"]
    found = {s: case.seeds[s].model_copy(update={"arms": {r: case.seeds[s].arms[r] for r in rows}}) for s in seeds}
    update = {"seeds": found, "rows": {r: case.rows[r] for r in rows}, "config": case.config | {"seed": int(seeds[0])}}
    return whole.model_copy(update={"cases": {"by hand": case.model_copy(update=update)}})


def test_seeds_and_rows_that_were_run_apart_give_the_whole(by_hand) -> None:
    parts = [("c", part(by_hand, "2")), ("a", part(by_hand, "01", ("afuic",))), ("b", part(by_hand, "01", ("other", "cheat")))]
    found = join(parts)
    assert changes(found, by_hand, 0.0) == []
    assert list(found.cases["by hand"].seeds) == ["0", "1", "2"]
    assert found.cases["by hand"].config["seed"] == 0
    assert found.cases["by hand"].seeds == by_hand.cases["by hand"].seeds


def test_what_one_lacks_and_another_has_is_missing_no_more(by_hand) -> None:
    lacking = part(by_hand, "0").model_copy(
        update={
            "missing": (*MISSING, *(f"by hand/3/{name}" for name in ("afuic", "past", "retrain/1"))),
            "skipped": {"by hand": "no file", "other": "none"},
        }
    )
    found = join([("a", lacking), ("b", part(by_hand, "1"))])
    assert found.missing == ("by hand/1/new", "by hand/3/afuic", "by hand/3/past", "by hand/3/retrain/1")
    assert found.skipped == {"other": "none", "elsewhere": "no file"}


def test_every_machine_and_version_is_named_once(by_hand) -> None:
    other = part(by_hand, "1").model_copy(update={"machine": {"system": "paper", "cores": 8}, "versions": {"torch": "3"}})
    found = join([("a", part(by_hand, "0")), ("b", other), ("c", part(by_hand, "2"))])
    assert found.machine == {"system": "paper", "cores": "1 / 8"}
    assert found.versions == {"torch": "2 / 3"}


def changed(whole, seed, **values):
    case = whole.cases["by hand"]
    seeds = case.seeds | {seed: case.seeds[seed].model_copy(update=values)}
    return whole.model_copy(update={"cases": {"by hand": case.model_copy(update={"seeds": seeds})}})


def test_the_same_seed_with_other_numbers_is_refused(by_hand) -> None:
    retrained = by_hand.cases["by hand"].seeds["1"].retrained.model_copy(update={"runs": 1})
    with pytest.raises(StoreError, match="b: by hand, seed 1: its retrained or shared models differs from a"):
        join([("a", by_hand), ("b", changed(by_hand, "1", retrained=retrained))])
    arms = by_hand.cases["by hand"].seeds["1"].arms | {"other": arm(0.71, latency=30, lost=6)}
    with pytest.raises(StoreError, match="b: by hand, seed 1: other differs from a"):
        join([("a", by_hand), ("b", changed(by_hand, "1", arms=arms))])


def test_time_and_commit_of_the_same_arm_may_differ(by_hand) -> None:
    arms = dict(by_hand.cases["by hand"].seeds["1"].arms)
    arms["other"] = arms["other"].model_copy(update={"commit": "beef", "spent": document.Spent(seconds=3.0)})
    assert join([("a", by_hand), ("b", changed(by_hand, "1", arms=arms))]).cases == by_hand.cases


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"suite": "foot"}, "b: suite differs from a"),
        ({"retrained": 3}, "b: retrained differs from a"),
        ({"changes": ("training.lr=1",)}, "b: changes differs from a"),
    ],
)
def test_another_suite_or_other_changes_are_refused(by_hand, change, says) -> None:
    with pytest.raises(StoreError, match=says):
        join([("a", by_hand), ("b", by_hand.model_copy(update=change))])


def test_other_settings_of_a_case_or_row_are_refused(by_hand) -> None:
    case = by_hand.cases["by hand"]
    for update, says in (
        ({"config": case.config | {"clock": {"speed": 2}}}, "b: by hand: clock differs from a"),
        ({"rows": case.rows | {"other": row("else")}}, "b: by hand: other differs from a"),
    ):
        with pytest.raises(StoreError, match=says):
            join([("a", by_hand), ("b", by_hand.model_copy(update={"cases": {"by hand": case.model_copy(update=update)}}))])


def test_who_asks_may_follow_from_the_seed_but_nothing_else_of_a_request(by_hand) -> None:
    def asked(client: str, at: float) -> Document:
        config = {"requests": [{"client": client, "at": at}], "data": {"trigger": {"client": client}}}
        case = by_hand.cases["by hand"]
        return by_hand.model_copy(update={"cases": {"by hand": case.model_copy(update={"config": case.config | config})}})

    first, second = part(asked("hospital-5", 0.5), "0"), part(asked("hospital-3", 0.5), "1")
    assert list(join([("a", first), ("b", second)]).cases["by hand"].seeds) == ["0", "1"]
    with pytest.raises(StoreError, match="b: by hand: requests differs from a"):
        join([("a", first), ("b", part(asked("hospital-3", 0.6), "1"))])


def test_more_seeds_than_can_be_tested_are_refused(by_hand) -> None:
    case = by_hand.cases["by hand"]
    seeds = {str(k): case.seeds["0"] for k in range(20)}
    many = by_hand.model_copy(update={"cases": {"by hand": case.model_copy(update={"seeds": seeds})}})
    later = part(by_hand, "1").cases["by hand"].model_copy(update={"seeds": {"20": case.seeds["1"]}})
    with pytest.raises(StoreError, match="21 seeds, and tests take at most 20"):
        join([("a", many), ("b", by_hand.model_copy(update={"cases": {"by hand": later}}))])


@pytest.mark.slow
def test_a_suite_run_in_two_folders_is_that_of_one(tiny, finished, tmp_path) -> None:
    run(select(tiny, seeds=(1,)), tmp_path / "later")
    run(select(tiny, seeds=1), tmp_path / "first")
    assert list(document.load(tmp_path / "later").cases["whole"].seeds) == ["1"]
    found = join([(name, document.load(tmp_path / name)) for name in ("later", "first")])
    whole = document.load(finished)
    assert changes(found, whole, 0.0) == []
    assert found.cases["whole"].config == whole.cases["whole"].config
