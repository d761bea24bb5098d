"""The suite for CI: every registered method, from the request to the report."""

from __future__ import annotations

import pytest

from afuic.bench.document import load
from afuic.erase import METHODS


@pytest.mark.slow
def test_every_method_runs_the_smoke_suite(afuic_cli, tmp_path) -> None:
    out = tmp_path / "smoke"
    code, text = afuic_cli("bench", "run", "smoke", "--seeds", "1", "--jobs", "2", "--out", out)
    assert code == 0, text
    found = load(out)
    assert found.missing == ()
    for case in found.cases.values():
        assert list(case.rows) == [name for name in METHODS if name != "retrain"]
        assert all(arm.reason is None or "Error" not in arm.reason for arm in case.seeds["0"].arms.values())
    assert afuic_cli("bench", "report", out)[0] == 0
