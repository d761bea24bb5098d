"""How updates enter, computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from afuic.aggregate import RULES, Contribution, weight
from afuic.aggregate import server_optimizer as so
from afuic.config import Staleness

LAWS = ("constant", "hinge", "polynomial", "exponential")


def vector(*numbers: float) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor(numbers)}


@pytest.mark.parametrize("law", LAWS)
def test_a_fresh_update_counts_in_full(law: str) -> None:
    assert weight(Staleness(law=law, a=0.7, b=2), 0) == 1.0


@pytest.mark.parametrize("law", LAWS)
def test_weights_never_grow_with_age(law: str) -> None:
    weights = [weight(Staleness(law=law, a=0.7, b=2), tau) for tau in range(30)]
    assert weights == sorted(weights, reverse=True)
    assert min(weights) > 0


@pytest.mark.parametrize(
    ("law", "a", "b", "tau", "expected"),
    [
        ("constant", 9.0, 4, 1000, 1.0),
        ("hinge", 10.0, 4, 4, 1.0),  # τ ≤ b
        ("hinge", 10.0, 4, 6, 1 / 21),  # 1/(10·(6 − 4) + 1)
        ("polynomial", 0.5, 4, 3, 0.5),  # (1 + 3)^−0.5
        ("exponential", 0.5, 4, 2, 1 / math.e),  # e^(−0.5·2)
    ],
)
def test_laws_at_one_point(law: str, a: float, b: int, tau: int, expected: float) -> None:
    assert weight(Staleness(law=law, a=a, b=b), tau) == pytest.approx(expected)


def test_an_update_from_the_future_is_refused() -> None:
    with pytest.raises(ValueError, match="later model"):
        weight(Staleness(), -1)


def test_fedasync_equals_the_mixing_form_without_staleness() -> None:
    theta, delta, alpha = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 4.0]), 0.25
    left, applied = RULES["fedasync"].take((), Contribution("t", "a", 0, {"w": alpha * delta}), 1)
    # (1 − 0.25)·[1, −2] + 0.25·([1, −2] + [0.5, 4]) = [0.75, −1.5] + [0.375, 0.5] = [1.125, −1]
    assert left == ()
    assert torch.equal(theta + applied[0].share["w"], torch.tensor([1.125, -1.0]))
    assert torch.equal((1 - alpha) * theta + alpha * (theta + delta), torch.tensor([1.125, -1.0]))


def test_fedasync_differs_from_the_mixing_form_by_the_drag_to_the_base() -> None:
    theta, base, delta, alpha = torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([2.0]), 0.5
    # mixing 0.5·3 + 0.5·(1 + 2) = 3; delta form 3 + 0.5·2 = 4; the difference is α(θ − θ_b) = 0.5·(3 − 1) = 1
    mixed = (1 - alpha) * theta + alpha * (base + delta)
    _, (applied,) = RULES["fedasync"].take((), Contribution("t", "a", 0, {"w": alpha * delta}), 1)
    assert float(theta + applied.share["w"] - mixed) == 1.0


def test_fedbuff_takes_the_mean_of_every_k_updates() -> None:
    buffer: tuple[Contribution, ...] = ()
    for task, value in (("a/0", 3.0), ("b/0", 5.0)):
        buffer, applied = RULES["fedbuff"].take(buffer, Contribution(task, task[0], 0, vector(value)), 3)
        assert applied == ()
    assert [c.task for c in buffer] == ["a/0", "b/0"]
    buffer, applied = RULES["fedbuff"].take(buffer, Contribution("a/1", "a", 0, vector(7.0)), 3)
    # (3 + 5 + 7)/3 = 5, each client's third kept apart: a has (3 + 7)/3
    assert buffer == ()
    assert float(sum(c.share["w"] for c in applied)) == pytest.approx(5.0)
    assert float(sum(c.share["w"] for c in applied if c.client == "a")) == pytest.approx(10 / 3)


def test_a_buffer_of_one_is_fedasync() -> None:
    new = Contribution("a/0", "a", 0, vector(2.0, 3.0))
    _, (applied,) = RULES["fedbuff"].take((), new, 1)
    assert torch.equal(applied.share["w"], new.share["w"])


def test_one_step_of_fedadam() -> None:
    moments, move = so.step("adam", None, vector(2.0), lr=0.1)
    # m = 0.9·0 + 0.1·2 = 0.2;  v = 0.99·1e-6 + 0.01·4 = 0.04000099;  0.1·0.2/(√v + 1e-3) = 0.02/(0.20000247 + 0.001)
    assert float(moments.first["w"]) == pytest.approx(0.2)
    assert float(moments.second["w"]) == pytest.approx(0.04000099)
    assert float(move["w"]) == pytest.approx(0.02 / 0.20100247)


def test_a_second_step_of_fedadam_remembers_the_first() -> None:
    moments, _ = so.step("adam", None, vector(2.0), lr=0.1)
    after, _ = so.step("adam", moments, vector(-1.0), lr=0.1)
    # m = 0.9·0.2 + 0.1·(−1) = 0.08;  v = 0.99·0.04000099 + 0.01·1 = 0.04960098
    assert float(after.first["w"]) == pytest.approx(0.08)
    assert float(after.second["w"]) == pytest.approx(0.04960098)
    assert float(moments.first["w"]) == pytest.approx(0.2)


def test_one_step_of_fedyogi() -> None:
    moments, _ = so.step("yogi", None, vector(2.0), lr=0.1)
    # v = 1e-6 − 0.01·4·sign(1e-6 − 4) = 1e-6 + 0.04
    assert float(moments.second["w"]) == pytest.approx(0.040001)


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_every_rule_names_its_source(rule: object) -> None:
    assert "arXiv" in rule.source  # type: ignore[attr-defined]
