"""The committed pages of suites are those of the committed results."""

from __future__ import annotations

import pytest

from tests.benchmarks.conftest import ROOT


def test_every_page_is_up_to_date_and_none_is_left_over() -> None:
    import suites

    found = suites.documents()
    assert dict(suites.written(found)) == {}, "run benchmarks/suites.py"


def test_the_table_of_the_limits_is_up_to_date() -> None:
    import apart

    now = apart.PAGE.read_text(encoding="utf-8")
    assert apart.written(now) == now, "run benchmarks/apart.py"


@pytest.mark.slow
def test_the_first_figure_of_every_suite_is_up_to_date() -> None:
    import suites

    for name, document in suites.documents().items():
        for path, figure in list(suites.figures(name, document).items())[:1]:
            assert [(ROOT / "docs" / "figures" / path).read_bytes()] == figure.draw(("svg",)), "run benchmarks/suites.py"


def test_curves_that_the_paper_shows_are_not_drawn_again() -> None:
    import suites

    found = suites.documents()
    drawn = ["glance", *(f"curves-{case}" for case in found["paper"].cases)]
    assert list(suites.figures("paper", found["paper"])) == [f"suites/paper-{name}.svg" for name in drawn]
    assert suites.figures("relearn", found["relearn"]) == {}
    other = found["relearn"].model_copy(deep=True)
    arm = other.cases["bloodmnist"].seeds["1"].arms["wu"]
    other.cases["bloodmnist"].seeds["1"].arms["wu"] = arm.model_copy(update={"digest": "sha256:another"})
    assert list(suites.figures("relearn", other)) == ["suites/relearn-glance.svg", "suites/relearn-curves-bloodmnist.svg"]
    seeds = found["relearn"].cases["bloodmnist"].seeds
    unknown = found["relearn"].model_copy(deep=True)
    unknown.cases["bloodmnist"].seeds["77"] = seeds["1"]
    assert list(suites.figures("relearn", unknown)) == ["suites/relearn-glance.svg", "suites/relearn-curves-bloodmnist.svg"]
