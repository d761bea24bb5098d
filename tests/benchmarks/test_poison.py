"""The committed numbers of benchmarks/poison.py, and a few of its changed replies again."""

from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.conftest import ROOT


def test_beside_every_poison_the_others_keep_nine_tenths_of_their_rate() -> None:
    import poison

    document = json.loads((ROOT / "benchmarks" / "results" / "poison.json").read_text(encoding="utf-8"))
    rows = {row["kind"]: row for row in document["poisons"]}
    assert rows.keys() == poison.KINDS.keys()
    assert all(row["ratio"]["whole"] >= 0.9 and row["ratio"]["min"] >= 0.8 for row in rows.values())
    assert all(row["server_ended"] == 0 for row in rows.values())
    assert all(row["its_updates_that_entered"] == 0 for kind, row in rows.items() if kind != "a flood of replies")
    assert document["fuzz"]["replies"] >= 26_000
    assert document["fuzz"]["escaped"] == 0


def test_a_few_changed_replies_let_nothing_escape(tmp_path: Path) -> None:
    import poison

    found = poison.fuzz(300, tmp_path, 7)
    assert found["escaped"] == 0, found["first"]
    assert found["came_of_them"]["held"] > 200
    assert sum(found["came_of_them"].values()) == 300
