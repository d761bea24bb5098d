"""The committed campaign of benchmarks/flower_kills.py, which kills Flower's real processes: what it found."""

from __future__ import annotations

import json

import flower_kills

from tests.benchmarks.conftest import ROOT

COMMITTED = ROOT / "benchmarks" / "results" / "flower_kills.json"


def test_the_committed_campaign_found_nothing() -> None:
    document = json.loads(COMMITTED.read_text(encoding="utf-8"))
    assert document["finished"]
    assert len(document["kills"]) >= 20
    assert {kill["kind"] for kill in document["kills"]} == set(flower_kills.KINDS)
    assert document["acknowledged"]["requests"] == 3
    assert document["replay"]["same"]
    assert document["faults"] == flower_kills.problems(document) == []
