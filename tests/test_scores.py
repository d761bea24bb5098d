"""Scores: what a hospital may say about a released model, and nothing else."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afuic.errors import ScoresError
from afuic.scores import MEANING, measured
from afuic.text import hidden

GOOD = {"forget_loss": 1.5, "forget_accuracy": 0.5, "membership_auc": 1.0, "forget_images": 240, "held_out_images": 60}


def test_what_scores_can_be_comes_back() -> None:
    assert measured(GOOD) == GOOD
    assert measured({"forget_accuracy": 0.25}) == {"forget_accuracy": 0.25}
    assert set(MEANING) == set(GOOD)


REFUSED: dict[str, Any] = {
    "name": {"Forget Loss": 1.0},
    "hidden name": {"forget\u202e_loss": 1.0},
    "endless": {"forget_loss": 10**400},
    "infinite": {"forget_loss": math.inf},
    "nan": {"forget_accuracy": math.nan},
    "negative": {"forget_loss": -1e-9},
    "above 1": {"membership_auc": 1.0000001},
    "truth": {"forget_accuracy": True},
    "text": {"forget_accuracy": "0.5"},
    "half an image": {"forget_images": 240.5},
    "float": {"forget_images": 240.0},
    "an attack with nothing": {"membership_auc": 0.5, "held_out_images": 0},
    "no image": {"forget_images": 0},
    "too many": {"held_out_images": 10**400},
    "nothing": {},
    "null": None,
    "list": [0.5],
    "nested": {"forget_loss": {"forget_loss": 1.0}},
    "one good": GOOD | {"note": 1},
}


@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(ScoresError, match=r"^scores: ") as error:
        measured(REFUSED[name])
    assert hidden(str(error.value)) is None
    assert len(str(error.value)) < 200


NUMBERS = st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=3), st.just(10**400))
NAMES = st.one_of(st.sampled_from(sorted(GOOD)), st.text(max_size=8))


@given(st.dictionaries(NAMES, NUMBERS, max_size=6))
def test_whatever_comes_is_fit_for_a_certificate_or_refused(values: dict[str, Any]) -> None:
    try:
        found = measured(values)
    except ScoresError:
        return
    assert found.keys() <= GOOD.keys()
    assert all(math.isfinite(number) for number in found.values())  # type: ignore[arg-type]
