"""The committed pages of suites are those of the committed results."""

from __future__ import annotations

import pytest

from tests.benchmarks.conftest import ROOT


def test_every_page_is_up_to_date_and_none_is_left_over() -> None:
    import suites

    found = suites.documents()
    assert dict(suites.written(found)) == {}, "run benchmarks/suites.py"


@pytest.mark.slow
def test_the_first_figure_of_every_suite_is_up_to_date() -> None:
    import suites

    for name, document in suites.documents().items():
        path, figure = next(iter(suites.figures(name, document).items()))
        assert [(ROOT / "docs" / "figures" / path).read_bytes()] == figure.draw(("svg",)), "run benchmarks/suites.py"
