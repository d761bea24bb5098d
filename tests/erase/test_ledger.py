"""The ledger on numbers small enough to add up by eye."""

from __future__ import annotations

import pytest
import torch

from afuic.erase.ledger import Ledger, client_of, contributor


def vector(*numbers: float) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor(numbers, dtype=torch.float32)}


def values(params: object) -> list[float]:
    return params["w"].tolist()  # type: ignore[index]


@pytest.fixture
def ledger() -> Ledger:
    """θ_0 = [1, 1]; a put in [1, 0] twice, b [0, 4]; the server [8, 8] having learned from a and b, [0, 16] from b alone."""
    ledger = Ledger(vector(1, 1), {}, {})
    ledger = ledger.contribute("a@0", vector(1, 0)).contribute("b@0", vector(0, 4)).contribute("a@0", vector(1, 0))
    return ledger.serve(("b@0", "a@0", "a@0"), vector(8, 8)).serve(("b@0",), vector(0, 16))


def test_the_model_is_the_sum_of_everything(ledger: Ledger) -> None:
    # [1, 1] + a [2, 0] + b [0, 4] + server [8, 8] + [0, 16]
    assert values(ledger.rebuilt()) == [11, 29]
    assert ledger.residual(vector(11, 29)) == 0
    # one entry off by 3 against a largest entry of 32: 3/(1 + 32)
    assert ledger.residual(vector(11, 32)) == pytest.approx(3 / 33)


def test_contributions_of_several_and_of_nobody(ledger: Ledger) -> None:
    assert values(ledger.of(("a@0", "b@0", "b@0"))) == [2, 4]
    assert values(ledger.of(("z@0",))) == [0, 0]
    assert values(ledger.of(())) == [0, 0]


def test_the_server_answers_for_whom_its_teachers_contained(ledger: Ledger) -> None:
    assert values(ledger.answerable(("a@0",))) == [8, 8]
    assert values(ledger.answerable(("b@0",))) == [8, 24]
    assert values(ledger.answerable(("a@0", "b@0"))) == [8, 24]
    assert values(ledger.answerable(("z@0",))) == [0, 0]


def test_without_a_client_and_the_steps_that_answer_for_it(ledger: Ledger) -> None:
    # [11, 29] − a [2, 0] − [8, 8] = [1, 21]
    assert values(ledger.without(("a@0",), server=True).rebuilt()) == [1, 21]
    # the server's steps kept: [11, 29] − a [2, 0]
    kept = ledger.without(("a@0",), server=False)
    assert values(kept.rebuilt()) == [9, 29]
    assert kept.server.keys() == ledger.server.keys()


def test_kept_steps_that_answer_become_one_sum(ledger: Ledger) -> None:
    kept = ledger.without(("b@0",), server=False)
    # [11, 29] − b [0, 4], and [8, 8] + [0, 16] together
    assert values(kept.rebuilt()) == [11, 25]
    assert {k: values(s) for k, s in kept.server.items()} == {("a@0", "b@0"): [8, 24]}
    assert values(kept.without(("a@0",), server=False).rebuilt()) == [9, 25]


def test_merging_moves_a_contribution_but_not_the_model(ledger: Ledger) -> None:
    merged = ledger.merge(("a@0", "z@9"), into="a@1")
    assert values(merged.clients["a@1"]) == [2, 0]
    assert "a@0" not in merged.clients
    assert values(merged.rebuilt()) == values(ledger.rebuilt())
    assert ledger.merge((), into="a@1").clients == ledger.clients


def test_a_ledger_is_never_changed_in_place(ledger: Ledger) -> None:
    ledger.contribute("a@0", vector(100, 100))
    ledger.without(("a@0",), server=True)
    assert values(ledger.rebuilt()) == [11, 29]


def test_names_of_contributors() -> None:
    assert contributor("site@north", 3) == "site@north@3"
    assert client_of("site@north@3") == "site@north"


def test_who_is_in_the_sum_and_who_taught_are_two_relations(ledger: Ledger) -> None:
    left = ledger.without(("a@0",), server=False)
    assert (left.contributors(), left.taught_by(), left.contained()) == (("b@0",), ("a@0", "b@0"), ("a@0", "b@0"))


def test_what_an_overwriting_step_undoes_goes_with_it(ledger: Ledger) -> None:
    # [11, 29] overwritten by [3, 5], a step of [−8, −24]; with a's [2, 0] that it undoes [−6, −24], and [8, 8] of before
    written = ledger.overwrite(("a@0",), ("a@0", "b@0"), vector(-8, -24))
    assert values(written.rebuilt()) == [3, 5]
    assert written.contributors() == ("b@0",)
    assert {k: values(s) for k, s in written.server.items()} == {("a@0", "b@0"): [2, -16], ("b@0",): [0, 16]}
