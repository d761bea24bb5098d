"""The committed run of benchmarks/halfopen.py: half-finished handshakes cost the hospitals next to nothing; and how it counts."""

from __future__ import annotations

import json

import halfopen

from tests.benchmarks.conftest import ROOT

COMMITTED = ROOT / "benchmarks" / "results" / "halfopen.json"


def test_the_committed_run_kept_the_hospitals_in() -> None:
    document = json.loads(COMMITTED.read_text(encoding="utf-8"))
    windows = document["windows"]
    assert document["finished"]
    assert [w["kind"] for w in windows] == ["quiet", "flood"] * ((len(windows) - 1) // 2) + ["quiet"]
    assert len(windows) >= 7
    assert all(w["held_at_most"] >= document["connections"] >= 2040 for w in windows if w["kind"] == "flood")
    assert all(all(w["updates"].values()) for w in windows)
    assert halfopen.found(windows).items() <= document.items()
    assert document["flood_to_quiet"] >= halfopen.ENOUGH
    assert document["restarts"] == {}


def test_a_window_under_the_flood_is_compared_with_the_two_beside_it() -> None:
    windows = [{"a_minute": rate, "restarts": {}} for rate in (10.0, 9.0, 8.0, 4.0, 8.0)]
    windows[3]["restarts"] = {"nginx": 1}
    found = halfopen.found(windows)
    assert found["ratios"] == [1.0, 0.5]
    assert found["flood_to_quiet"] == 0.75
    assert found["quiet_to_quiet"] == {"median": 0.923, "min": 0.923, "max": 1.154}
    assert found["restarts"] == {"nginx": 1}
