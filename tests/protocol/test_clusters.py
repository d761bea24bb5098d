"""Clusters that train apart (Knot): the arithmetic by hand, and that nothing crosses from one to the other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rule_sets import PAIRS, rules
from world import World, values

from afuic.errors import UnknownClient
from afuic.protocol import clusters, effects, events


def world(buffer: int = 0) -> World:
    """``a`` and ``b`` in one cluster, ``c`` and ``d`` in the other; η = 1/2, and half of each share in the mean."""
    return World(replace(rules("knot", buffer=buffer), clusters=PAIRS), "abcd")


def base(world: World, client: str) -> list[float]:
    return values(world.open_task(client).base)


def test_the_model_is_the_mean_of_the_clusters_and_each_trains_its_own() -> None:
    w = world()
    w.train("a", 4, 0)  # its cluster moves by 4 / 2 = 2, the mean of two clusters by 1
    assert w.model == [1, 0]
    assert base(w, "a") == [2, 0]
    w.train("c", 0, 8)  # the other moves by 4, the mean by 2
    assert w.model == [1, 2]
    assert base(w, "c") == [0, 4]
    w.train("b", 2, 2)  # the first is now [2, 0] + [1, 1], the mean ([3, 1] + [0, 4]) / 2
    assert w.model == [1.5, 2.5]
    assert base(w, "b") == [3, 1]


def test_an_erasure_starts_over_with_the_cluster_alone() -> None:
    w = world()
    for client, delta in (("a", (4, 0)), ("b", (2, 2)), ("c", (0, 8))):
        w.train(client, *delta)
    other = w.open_task("c").task
    fx = w.erase("r", "a")
    assert w.model == [0, 2]  # the mean of [0, 0] and [0, 4]
    assert {e.client for e in fx if isinstance(e, effects.Cancel)} == {"a", "b"}
    assert base(w, "b") == [0, 0]
    assert w.open_task("c").task == other
    assert w.state.task_of("a") is None
    assert w.last(effects.Lost).count == 1  # b's one update; c's is still there
    w.train("b", 2, 0)
    w.train("d", 2, 2)  # from θ_0 as it joined: [0, 4] + [1, 1]
    assert w.model == [1, 2.5]  # ([1, 0] + [1, 5]) / 2
    w.go(events.TimerFired, "r")
    assert w.model == [1, 2.5]
    assert w.phase("r") == "purging"
    assert "a@0" not in w.state.ledger.clients


def test_nothing_of_a_client_reaches_the_other_cluster() -> None:
    seen = []
    for secret in ((4.0, 0.0), (-64.0, 32.0)):
        w = world()
        for client, delta in (("a", secret), ("c", (0, 8)), ("b", (2, 2)), ("d", (2, 2)), ("a", secret), ("c", (1, 1))):
            w.train(client, *delta)
        w.erase("r", "a")
        seen.append((base(w, "c"), base(w, "d"), base(w, "b"), w.model))
    assert seen[0] == seen[1]


def test_staleness_counts_the_clusters_own_steps() -> None:
    w = world()
    for client in "ccdd":
        w.train(client, 1, 1)
    w.train("a", 1, 1)  # four steps of the other cluster make nobody here stale
    assert w.last(effects.Applied).staleness == 0
    w.train("b", 1, 1)  # one of its own does: b has trained since before a's
    assert w.last(effects.Applied).staleness == 1


def test_each_cluster_fills_a_buffer_of_its_own() -> None:
    w = world(buffer=2)
    w.train("a", 4, 0)
    w.train("c", 0, 8)
    assert w.model == [0, 0]
    w.train("b", 0, 4)  # the first cluster moves by ([4, 0] + [0, 4]) / 2 / 2 = [1, 1], the mean by half of it
    assert w.model == [0.5, 0.5]
    assert [c.client for c in w.state.buffer] == ["c"]
    w.erase("r", "a")  # c's update waits on; b's step is lost with its cluster's model
    assert [c.client for c in w.state.buffer] == ["c"]
    assert w.model == [0, 0]
    w.train("d", 0, 0)
    assert w.model == [0, 1]  # the other moves by ([0, 8] + [0, 0]) / 2 / 2 = [0, 2]


def test_two_requests_restart_two_clusters_and_are_released_together() -> None:
    w = world()
    for client in "abcd":
        w.train(client, 2, 2)
    w.erase("r", "a")
    w.train("b", 2, 2)
    w.erase("s", "c")
    assert clusters.rebuilding(w.rules, w.state, "b")
    assert base(w, "d") == [0, 0]
    assert base(w, "b") == [1, 1]  # it went on through the second restart
    w.go(events.TimerFired, "r")
    assert w.phase("r") == "rebuilding"  # the mean still contains a cluster that has only just begun
    w.go(events.TimerFired, "s")
    assert (w.phase("r"), w.phase("s")) == ("purging", "purging")


def test_patients_leave_and_their_hospital_starts_over_with_its_cluster() -> None:
    w = world()
    for client in "abc":
        w.train(client, 2, 2)
    w.erase("r", "a", 3)
    assert w.open_task("a").epoch == 1
    assert base(w, "a") == base(w, "b") == [0, 0]
    w.train("a", 2, 0)
    w.go(events.TimerFired, "r")
    assert sorted(w.state.ledger.clients) == ["a@1", "c@0"]


def test_without_clusters_it_is_retraining() -> None:
    w, reference = (World(rules(name), "abcd") for name in ("knot", "retrain"))
    for each in (w, reference):
        for client in "abcd":
            each.train(client, 2, 1)
        each.erase("r", "a")
        each.train("b", 4, 4)
    assert w.model == reference.model == [2, 2]
    assert w.state.lost == reference.state.lost == 3


def test_a_client_without_a_cluster_is_refused() -> None:
    w = world()
    with pytest.raises(UnknownClient, match="no cluster"):
        w.go(events.ClientJoined, "e")
