"""Memory holds models, not history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.benchmarks.conftest import ROOT


def check_growth(clients: int, updates: int) -> None:
    import scale

    from afuic.engines.laboratory import prepare

    torch.set_num_threads(1)
    first, later, erased = scale.points(prepare(scale.configuration(clients, 0, "phantom")), updates).values()
    # K contributions, K models that clients train from (the newest is the server's own), and the initial model
    assert first["models_held"] == later["models_held"] == 2 * clients + 1
    # one client less: K - 1 contributions and at most K - 1 bases, the server's own steps, its model and the initial one; no teacher
    assert erased["models_held"] <= 2 * (clients - 1) + 3
    for point in (first, later, erased):
        assert point["models_alive"] == pytest.approx(point["models_held"])
        assert point["checkpoint_mb"] == pytest.approx(first["checkpoint_mb"], rel=0.2)
    assert later["applied"] == 3 * first["applied"]
    assert later["journal_mb"] > 2 * first["journal_mb"]


def test_models_held_do_not_grow_with_history() -> None:
    check_growth(4, 3)


@pytest.mark.slow
def test_models_held_do_not_grow_with_history_in_a_larger_federation() -> None:
    check_growth(20, 10)


def test_a_shared_model_is_counted_once() -> None:
    import common

    one, other = {"a": torch.zeros(1)}, {"a": torch.zeros(1)}
    assert common.models_held([one, {"x": (one, other)}, "text", 3, None]) == 2


def test_the_committed_numbers_show_no_growth_with_history() -> None:
    document = json.loads(Path(ROOT / "benchmarks" / "results" / "scale.json").read_text(encoding="utf-8"))
    assert [size["clients"] for size in document["sizes"]] == [5, 50, 200]
    for size in document["sizes"]:
        first, later, _ = size["points"].values()
        assert first["models_held"] == later["models_held"] == first["models_alive"] == later["models_alive"]
        assert later["models_held"] == 2 * size["clients"] + 1
    assert not document["changed"]
