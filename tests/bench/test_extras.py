"""Further measures of a suite: shadows and relearning are run, resumed and written beside the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from afuic.bench.planning import select
from afuic.bench.running import run


@pytest.mark.slow
def test_relearning_and_u_lira_are_measured(tiny, tmp_path) -> None:
    suite = replace(tiny, cases=tiny.cases[:1], retrained=3, extras=("relearn", "ulira"))
    out = tmp_path / "extras"
    found = run(select(suite, seeds=1, methods=("continue", "afuic")), out).cases["whole"].seeds["0"]
    extra = found.arms["continue"].phases["extra"]
    # a model that forgot nothing has nothing to relearn
    assert (extra["relearn_steps"], extra["relearn_censored"]) == (0, 0)
    assert len(found.retrained.phases["extra"]["relearn_steps"]) == 3
    assert 0 <= extra["ulira_auc"] <= 1
    assert extra["ulira_auc_low"] <= extra["ulira_auc_high"]
    assert extra["ulira_auc_control"] is not None
    # three pairs change sides in 2^(3 - 1) = 4 ways
    assert extra["ulira_p"] in {0.25, 0.5, 0.75, 1.0}
    seen = []
    assert run(select(suite, seeds=1, methods=("continue", "afuic")), out, progress=lambda p, _: seen.append(p)).missing == ()
    assert seen == []
