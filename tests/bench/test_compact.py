"""The table that fits a README: costs and gaps of several data sets together, worked out by hand, and the pages made from documents."""

from __future__ import annotations

import shutil

import pytest

from afuic.bench.compact import ALL, compact, mains, pooled
from afuic.bench.document import Arm, Case
from afuic.bench.glance import floor, glance, nearness
from afuic.bench.page import commits
from tests.bench.conftest import MEAN, MODELS, SD, arm, row, seed
from tests.benchmarks.conftest import ROOT


def released(z: float | None, share: float | None, *, outcome: str = "released") -> Arm:
    """An arm whose released model's accuracy lies ``z`` from retraining, after ``share`` of its time."""
    found = arm(0.8, latency=None if share is None else 100 * share, outcome=outcome)
    costs = found.costs.model_copy(update={"latency_to_retrain": share})
    return found.model_copy(update={"phases": {**found.phases, "released": {"accuracy": at(z)}}, "costs": costs})


def at(z: float | None) -> float | None:
    """The value that lies so far from retraining."""
    return None if z is None else MEAN + z * SD


def case(*seeds: dict[str, Arm]) -> Case:
    names = {name for found in seeds for name in found}
    rows = {name: row(name, oracle=name == "cheat") for name in sorted(names)}
    return Case(x=None, config={}, rows=rows, seeds={str(i): seed(found) for i, found in enumerate(seeds)})


BLOOD = case(
    {"afuic": released(-1.0, 0.02), "other": released(0.5, 0.5)},
    {"afuic": released(1.0, 0.02), "other": released(1.5, 0.5)},
)
ORGAN = case({"afuic": released(4.0, 0.05), "other": released(1.0, 0.5), "cheat": released(None, None, outcome="failed")})


def cells(of: Case) -> dict[str, dict[str, str]]:
    table = compact("t", "T", of)
    return {r.label: {c: x.text for c, x in zip(table.columns, r.cells, strict=True)} for r in table.rows}


def test_gaps_and_costs_of_all_data_sets_together() -> None:
    found = cells(pooled({"blood": BLOOD, "organ": ORGAN}))
    # z: -1, 1, 4: mean 4/3, sd sqrt((49 + 1 + 64) / 9 / 2) = 2.5, two within 3.04
    assert found["afuic"]["accuracy"] == "+1.3 ± 2.5 (2/3)"
    # and by their curves all three are within in the last five minutes
    assert found["afuic"]["accuracy later"].endswith(" (3/3)")
    assert found["afuic"][ALL] == "83% (5/6)"
    # 2 %, 2 %, 5 %: mean 3 %, sd sqrt((1 + 1 + 4) / 2) = 1.7 %
    assert found["afuic"]["latency, of retraining's"] == "3.0% ± 1.7%"
    # 0.5, 1.5, 1: mean 1, sd sqrt((0.25 + 0.25 + 0) / 2) = 0.5; always half of retraining's time
    assert found["other"]["accuracy"] == "+1.0 ± 0.5 (3/3)"
    assert found["other"][ALL] == "100% (6/6)"
    assert found["other"]["latency, of retraining's"] == "50.0%"
    assert found["other"]["others' stall"] == "0 s".replace(" ", "\N{NO-BREAK SPACE}")
    assert found["cheat †oracle"] == {c: "0 of 1" if c == "released" else "–" for c in found["cheat †oracle"]}
    # five retrained models in each of three seeds
    assert found["retrained (floor)"]["released"] == "15 of 15"


def test_the_gaps_of_all_measures_are_counted_together() -> None:
    found = released(-1.0, 0.02)
    measured = {"released": {"accuracy": at(-1.0), "auroc": at(3.1)}, "after": {"asr_excess_max": at(2.0)}}
    several = found.model_copy(update={"phases": measured})
    found = cells(case({"afuic": several}, {"afuic": released(None, 0.02)}))["afuic"]
    # 2 of 3 in the one seed, none that could be counted in the other, and by their curves the last five minutes of both
    assert (found["accuracy later"].endswith(" (2/2)"), found[ALL]) == (True, "80% (4/5)")


def test_the_nearest_row_comes_first_and_what_never_released_is_left_out(by_hand) -> None:
    first = released(-1.0, 0.02)
    far = first.model_copy(update={"phases": {"released": {"accuracy": at(9.0), "auroc": at(9.0)}}})
    one = case({"near": first, "far": far, "none": released(None, None, outcome="failed")}, {"near": first, "far": first})
    # accuracy at the release, and by their curves in the last five minutes; of the far one a third, then both
    assert nearness(one, "near") == [1.0, 1.0]
    assert nearness(one, "far") == pytest.approx([1 / 3, 1.0])
    assert nearness(one, "none") == []
    (figure,) = glance(by_hand.model_copy(update={"cases": {"one": one}}))
    assert figure.alt.endswith("beside: near 100%, far 67%, retrained models against each other 100%.")
    assert figure.draw(("svg",)) == figure.draw(("svg",))


def test_the_floor_of_the_glance_is_each_retrained_model_against_the_others(by_hand) -> None:
    one = case({"near": released(-1.0, 0.02)})
    one = one.model_copy(update={"seeds": {"0": seed(one.seeds["0"].arms, (*MODELS[:4], 0.1))}})
    assert floor(one) == [1.0, 1.0, 1.0, 1.0, 0.0]
    (figure,) = glance(by_hand.model_copy(update={"cases": {"one": one}}))
    assert figure.alt.endswith("beside: near 100%, retrained models against each other 80%.")


def test_cases_of_a_sweep_are_not_taken_together(by_hand) -> None:
    sweep = {"by": "x", "label": "x", "costs": ("latency_s",)}
    varied = by_hand.model_validate({**by_hand.model_dump(), "sweep": sweep})
    two = dict.fromkeys(("one", "two"), varied.cases["by hand"])
    assert list(glance(varied)) == []
    assert [t.title for t in mains(varied.model_copy(update={"cases": two}))] == ["one", "two"]
    assert [t.title for t in mains(by_hand.model_copy(update={"cases": two}))] == ["All cases together", "one", "two"]


def test_a_further_measure_has_a_column_where_it_was_taken() -> None:
    def relearned(ratio: float) -> Arm:
        found = released(0.0, 0.02)
        return found.model_copy(update={"phases": {**found.phases, "extra": {"relearn_ratio": ratio}}})

    found = cells(case({"afuic": relearned(1.0), "other": released(0.0, 0.5)}, {"afuic": relearned(2.0)}))
    assert found["afuic"]["relearning, over retraining's steps"] == "1.50 ± 0.71"
    assert found["other"]["relearning, over retraining's steps"] == "–"
    given_up = relearned(3.0)
    given_up.phases["extra"]["relearn_censored"] = 1.0
    bounded = compact("t", "T", case({"afuic": relearned(1.0)}, {"afuic": given_up}))
    assert bounded.rows[0].cells[bounded.columns.index("relearning, over retraining's steps")].text == "≥ 2.00 ± 1.41"
    assert "≥: relearning was given up in some run" in bounded.note
    assert not [name for name in found["afuic"] if name.startswith("U-LiRA")]
    assert "relearning, over retraining's steps" not in cells(BLOOD)["afuic"]


def test_only_what_is_within_in_every_run_is_marked() -> None:
    table = compact("t", "T", pooled({"blood": BLOOD, "organ": ORGAN}))
    at = table.columns.index("accuracy")
    assert {r.label: r.cells[at].strong for r in table.rows} == {
        "afuic": False, "other": True, "cheat †oracle": False, "retrained (floor)": False, "retrained, other moments": False,
    }  # fmt: skip


def test_large_gaps_are_written_without_decimals() -> None:
    found = cells(case({"afuic": released(-1234.56, 0.02)}, {"afuic": released(-1000.0, 0.02)}))
    # (1234.56 - 1000) / sqrt(2) = 165.86
    assert found["afuic"]["accuracy"] == "−1117 ± 166 (0/2)"


def test_one_seed_has_no_spread() -> None:
    assert cells(ORGAN)["afuic"]["accuracy"] == "+4.0 (0/1)"


def test_nothing_cannot_be_pooled() -> None:
    with pytest.raises(ValueError, match="no case"):
        pooled({})


def test_pages_and_figures_are_written_once_and_go_with_their_document(by_hand, tmp_path) -> None:
    import suites

    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(ROOT / "docs" / "benchmarks.md", docs)
    found = {"hand": by_hand}
    for path, content in list(suites.stale(found, docs)):
        suites.put(path, content)
    page = (docs / "suites" / "hand.md").read_text(encoding="utf-8")
    assert "| other | 3 of 3 |" in page
    assert "by hand, seed 2: cheat failed: it did not answer" in page
    assert "(../figures/suites/hand-curves-by-hand.svg)" in page
    assert "(../figures/suites/hand-glance.svg)" in page
    for name in ("curves-by-hand", "glance"):
        assert (docs / "figures" / "suites" / f"hand-{name}.svg").read_bytes().startswith(b"<?xml")
    assert "[hand](suites/hand.md)" in (docs / "benchmarks.md").read_text(encoding="utf-8")
    assert list(suites.written(found, docs)) == []
    gone = dict(suites.written({}, docs))
    assert gone[docs / "suites" / "hand.md"] is None
    assert gone[docs / "figures" / "suites" / "hand-curves-by-hand.svg"] is None
    assert suites.NOTHING.encode() in gone[docs / "benchmarks.md"]


def test_a_document_under_the_name_of_another_suite_is_refused(by_hand, tmp_path) -> None:
    import suites

    (tmp_path / "paper.json").write_text(by_hand.to_json(), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"paper.json: holds the suite hand; name the file after it"):
        suites.documents(tmp_path)


def test_the_commits_of_an_arm_that_was_resumed_are_named_once(by_hand) -> None:
    case = by_hand.cases["by hand"]
    first, later = "a" * 40, "b" * 40 + "+changes"
    arms = {name: found.model_copy(update={"commit": first}) for name, found in case.seeds["0"].arms.items()}
    arms["other"] = arms["other"].model_copy(update={"commit": f"{first}, {later}"})
    alone = {"0": case.seeds["0"].model_copy(update={"arms": arms, "commit": None})}
    document = by_hand.model_copy(update={"cases": {"by hand": case.model_copy(update={"seeds": alone})}})
    assert commits(document) == ["a" * 12, "b" * 12 + "+changes"]
