"""A certificate that is missing, exchanged or out of order shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from erased import FACTS, signed

from afuic.certify import envelope
from afuic.certify.chain import chain
from afuic.certify.keys import load_public, make_key, public_path
from afuic.certify.statement import statement

COUNT = 4


@pytest.fixture
def made(key: Path) -> list[str]:
    return signed(key, COUNT)


def problems(made: list[str], key: Path) -> list[str]:
    return chain(made, load_public(public_path(key)))


def test_a_whole_chain_has_no_problem(made: list[str], key: Path) -> None:
    assert problems(made, key) == []
    assert problems([], key) == []


@pytest.mark.parametrize("gone", range(COUNT - 1))
def test_a_missing_one_shows(made: list[str], key: Path, gone: int) -> None:
    found = problems(made[:gone] + made[gone + 1 :], key)
    assert len(found) == 1
    assert "missing" in found[0]


def test_two_missing_ones_are_named(made: list[str], key: Path) -> None:
    assert problems([made[0], made[3]], key) == ["between number 0 and number 3 there is none: 1 to 2 missing"]


def test_another_order_shows(made: list[str], key: Path) -> None:
    found = problems([made[0], made[2], made[1], made[3]], key)
    assert any("out of order" in problem for problem in found)
    assert any("given twice" in problem for problem in problems([*made, made[3]], key))


def test_an_exchanged_one_shows(made: list[str], key: Path) -> None:
    other = statement(
        replace(FACTS, number=1, previous=envelope.digest(made[0]), quarantined=99, record=replace(FACTS.record, links=78))
    )
    found = problems([made[0], envelope.sign(other, key), *made[2:]], key)
    assert found == ["number 2 names another certificate as number 1 than the one given"]


def test_a_foreign_one_shows(made: list[str], key: Path, tmp_path: Path) -> None:
    foreign = statement(replace(FACTS, federation="ears", number=1, previous=envelope.digest(made[0])))
    assert "federation" in problems([made[0], envelope.sign(foreign, key)], key)[0]
    make_key(tmp_path / "forger.key")
    forged = signed(tmp_path / "forger.key", 2)[1]
    assert "position 1 does not hold" in problems([made[0], forged], key)[0]


def test_a_store_that_was_put_back_shows(made: list[str], key: Path) -> None:
    older = replace(FACTS, number=1, previous=envelope.digest(made[0]), record=FACTS.record)
    found = problems([made[0], envelope.sign(statement(older), key)], key)
    assert found == ["number 1 has a shorter record than number 0: the server's store was put back in between"]
