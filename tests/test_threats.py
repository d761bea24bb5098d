"""docs/threats.md names tests that are there, for every threat one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "threats.md"
ROWS = [
    line
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| threat |")
]
NAMED = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_every_threat_names_tests_that_are_there(row: str) -> None:
    named = NAMED.findall(row.split("|")[3])
    assert named, f"no test is named: {row}"
    for file, function in named:
        text = (TESTS / file).read_text(encoding="utf-8")
        assert not function or f"def {function}(" in text, f"{file} has no {function}"


def test_the_page_has_rows() -> None:
    assert len(ROWS) > 20
