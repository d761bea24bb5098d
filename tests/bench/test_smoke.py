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
    assert list(found.cases) == ["whole hospital", "5 patients", "target offline"]
    for name, case in found.cases.items():
        assert [row.method for row in case.rows.values()] == [method for method in METHODS if method != "retrain"]
        for row, arm in case.seeds["0"].arms.items():
            waits = name == "target offline" and METHODS[case.rows[row].method].needs_target
            assert arm.outcome == "released" or (waits and "nothing was released by" in arm.reason), (name, row, arm.reason)
    assert afuic_cli("bench", "report", out)[0] == 0
