"""Knot in an experiment: a past of its own, one cluster that starts over, and a run that can be replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

from afuic.engines import experiment
from afuic.engines.arm import arms
from afuic.engines.experiment import laboratory
from afuic.engines.replay import replay
from afuic.errors import ConfigError
from afuic.evaluate.results import Results
from tests.engines.conftest import small

OPTIONS = {"knot": {"clusters": 2}}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    out = tmp_path_factory.mktemp("knot") / "run"
    return out, experiment.run(small(methods=["continue", "knot", "retrain"], options=OPTIONS), out)


def test_it_branches_from_a_past_of_its_own() -> None:
    config = small(methods=["continue", "knot", "retrain"])
    made = {a.name: a.after for a in arms(config)}
    assert made == {
        "prefix": None,
        "prefix-knot": None,
        "continue": "prefix",
        "knot": "prefix-knot",
        "retrain/0": None,
        "retrain/1": None,
    }
    lab = laboratory(config)
    clusters = lab.rules("knot").clusters
    assert clusters is not None
    assert clusters.keys() == lab.federation.clients.keys()
    assert sorted(clusters.values()) == [0, 0, 1]  # three hospitals in two clusters
    assert lab.rules("continue").clusters is None


def test_it_takes_as_long_as_retraining_and_loses_one_clusters_updates(ran: tuple[Path, Results]) -> None:
    methods = ran[1].methods
    knot, retrain = methods["knot"], methods["retrain"]
    assert knot.failed is None
    assert knot.erasure_latency_s == retrain.erasure_latency_s
    assert knot.stall_client_s == 0
    assert knot.updates_lost < retrain.updates_lost
    assert knot.bytes_moved < retrain.bytes_moved
    assert knot.phases["before"] != methods["continue"].phases["before"]
    assert knot.curve[0] != methods["continue"].curve[0]


def test_it_can_be_replayed(ran: tuple[Path, Results]) -> None:
    found = replay(ran[0], methods=("knot",))
    assert [f.arm for f in found] == ["prefix-knot", "knot"]
    assert all(f.same for f in found)


def test_adaptive_servers_are_refused() -> None:
    with pytest.raises(ConfigError, match="not linear"):
        laboratory(small(methods=["knot"], aggregation={"optimizer": "adam"}))
