"""A few of the changed replies of benchmarks/poison.py."""

from __future__ import annotations

from pathlib import Path


def test_a_few_changed_replies_let_nothing_escape(tmp_path: Path) -> None:
    import poison

    found = poison.fuzz(300, tmp_path, 7)
    assert found["escaped"] == 0, found["first"]
    assert found["came_of_them"]["held"] > 200
    assert sum(found["came_of_them"].values()) == 300
