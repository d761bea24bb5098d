"""Which updates enter, by how much, and what is said of the others."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rule_sets import rules
from world import World, vector

from afuic.config import Aggregation, Config, Staleness
from afuic.erase import configured
from afuic.errors import AlreadyErased, IllegalEvent, InvariantViolation, UnknownClient
from afuic.protocol import Rules, check, effects, events

NAN = float("nan")
PLAIN = rules("afuic", {"guard": {"versions": 0}})


def quarantined(world: World) -> list[tuple[str, str]]:
    return [(e.client, e.reason) for e in world.every(effects.Quarantined)]


def test_an_update_is_discounted_and_clipped() -> None:
    aggregation = Aggregation(lr=0.5, clip=2.5, staleness=Staleness(law="polynomial", a=1.0))
    world = World(Rules(aggregation, configured(Config(), "afuic"), True))
    world.train("a", 2.0, 0.0)
    # τ = 0: 0.5·1·[2, 0]
    assert world.model == [1.0, 0.0]
    world.train("b", 3.0, 4.0)
    # τ = 1: s = 1/2; ‖[3, 4]‖ = 5 is clipped to 2.5, so [1.5, 2]; 0.5·0.5·[1.5, 2] = [0.375, 0.5]
    assert world.model == [1.375, 0.5]
    assert [(e.client, e.staleness) for e in world.every(effects.Applied)] == [("a", 0), ("b", 1)]


def test_staleness_counts_aggregation_steps_not_the_servers_own() -> None:
    world = World(rules("afuic", {"guard": {"versions": 0}, "heal": None}), "abc")
    world.erase("r", "c")
    assert (world.state.version, world.state.steps) == (1, 0)
    world.train("a", 1, 1)
    assert world.last(effects.Applied).staleness == 0


@pytest.mark.parametrize(
    ("delta", "reason"),
    [
        (vector(NAN, 0), "NaN or infinite"),
        (vector(float("inf"), 0), "NaN or infinite"),
        (vector(1, 2, 3), r"'w' is \(3,\)"),
        ({"v": vector(1, 2)["w"]}, "parameter names differ"),
        ({"w": vector(1, 2)["w"].double()}, "float64"),
    ],
)
def test_a_malformed_update_is_quarantined_with_its_clients_name(delta: dict[str, object], reason: str) -> None:
    world = World(PLAIN)
    world.go(events.UpdateArrived, "a/0", "a", delta)
    ((client, said),) = quarantined(world)
    assert client == "a"
    assert re.search(f"^update of 'a': .*{reason}", said)
    assert world.model == [0, 0]
    assert world.open_task("a").task == "a/1"


def test_an_update_counts_once() -> None:
    world = World(PLAIN)
    world.train("a", 2, 0)
    world.go(events.UpdateArrived, "a/0", "a", vector(2, 0))
    assert world.model == [1, 0]
    assert quarantined(world) == [("a", "no such task is open: it was cancelled, fenced or answered before")]


def test_a_task_is_answered_by_its_own_client() -> None:
    world = World(PLAIN)
    world.go(events.UpdateArrived, "a/0", "b", vector(2, 0))
    assert world.model == [0, 0]
    assert quarantined(world)[0][0] == "b"
    world.train("a", 2, 0)
    assert world.model == [1, 0]


def test_what_is_under_way_at_the_request_never_enters() -> None:
    world = World(PLAIN)
    world.train("a", 2, 0)
    fx = world.erase("r", "a")
    assert effects.Cancel("a/1", "a") in fx
    world.go(events.UpdateArrived, "a/1", "a", vector(100, 100))
    assert world.model == [1, 0]
    assert quarantined(world)[0][0] == "a"


def test_what_waits_in_the_buffer_at_the_request_never_enters() -> None:
    world = World(rules("afuic", {"guard": {"versions": 0}}, buffer=2))
    world.train("a", 2, 0)
    world.erase("r", "a")
    assert quarantined(world) == [("a", "it waited in the buffer when its client was fenced")]
    world.train("b", 2, 0)
    world.train("b", 4, 0)
    # 0.5·2/2 + 0.5·4/2
    assert world.model == [1.5, 0]


def test_patients_who_withdrew_are_not_trained_on() -> None:
    world = World(PLAIN)
    world.erase("r", "a", patients=2)
    assert world.open_task("a").epoch == 1
    world.go(events.UpdateArrived, "a/0", "a", vector(2, 0))
    assert quarantined(world)[0][0] == "a"
    world.train("a", 2, 0)
    assert "a@1" in world.state.ledger.clients


def test_an_erased_client_is_refused() -> None:
    world = World(rules("afuic", {"guard": {"versions": 0}, "heal": None}))
    world.erase("r", "a")
    with pytest.raises(AlreadyErased, match="only under a new name"):
        world.go(events.ClientJoined, "a")
    with pytest.raises(AlreadyErased, match="nothing of it is left"):
        world.erase("r2", "a")
    with pytest.raises(AlreadyErased):
        world.erase("r3", "a", patients=1)
    assert world.go(events.ClientReturned, "a") == ()
    assert isinstance(world.go(events.UpdateArrived, "a/0", "a", vector(1, 1))[0], effects.Quarantined)


def test_events_that_cannot_be() -> None:
    world = World(PLAIN)
    with pytest.raises(UnknownClient, match="'z' does not exist; the federation has a, b"):
        world.erase("r", "z")
    with pytest.raises(IllegalEvent, match="'a' has joined before"):
        world.go(events.ClientJoined, "a")
    with pytest.raises(IllegalEvent, match="name at least one"):
        world.erase("r", "a", patients=0)
    with pytest.raises(IllegalEvent, match="'r' does not exist"):
        world.withdraw("r")


def test_a_failed_task_is_handed_out_anew() -> None:
    world = World(PLAIN)
    world.go(events.TaskFailed, "a/0", "a", "out of memory")
    assert world.open_task("a").task == "a/1"
    assert world.go(events.TaskFailed, "a/0", "a", "again") == ()


def test_an_absent_clients_update_is_welcome_but_it_gets_no_new_task() -> None:
    world = World(PLAIN)
    world.go(events.ClientLeft, "a")
    world.train("a", 2, 0)
    assert world.model == [1, 0]
    assert world.state.task_of("a") is None
    world.go(events.ClientReturned, "a")
    assert world.open_task("a").task == "a/1"


def test_a_nonlinear_optimizers_steps_are_booked_as_the_servers() -> None:
    aggregation = Aggregation(lr=0.1, optimizer="adam", staleness=Staleness(law="constant"))
    world = World(Rules(aggregation, configured(Config(aggregation=aggregation), "continue"), False))
    world.train("a", 2, 0)
    # m = 0.2, v = 0.04000099: 0.1·0.2/(0.20000247 + 0.001); the second entry: 0/(0.001·0.995 + 0.001) = 0
    assert world.model == pytest.approx([0.02 / 0.20100247, 0])
    assert world.state.ledger.clients == {}
    assert list(world.state.ledger.server) == [("a@0",)]


def test_check_finds_a_model_that_the_ledger_does_not_explain() -> None:
    world = World(PLAIN)
    world.train("a", 2, 0)
    with pytest.raises(InvariantViolation, match=r"θ differs from θ_0 \+ ΣC_k \+ S"):
        check(replace(world.state, model=vector(1.5, 0)))
    fenced = replace(world.state.clients["a"], fenced_by="r")
    with pytest.raises(InvariantViolation, match="a trains although it is fenced"):
        check(replace(world.state, clients={**world.state.clients, "a": fenced}))
