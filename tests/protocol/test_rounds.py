"""Methods that work in rounds, worked out by hand: two parameters, η = 1/2, no discount; the toy adds every answer to the model."""

from __future__ import annotations

from typing import Any

import pytest
from toys import Toy, toy
from world import World, values, vector

from afuic.erase.rounds import SERVER, LocalTraining, Round, View
from afuic.errors import IllegalEvent
from afuic.protocol import effects, events
from afuic.protocol.working import ATTEMPTS


def world(clients: str = "abc", **options: Any) -> World:
    """θ = 0.5·a[2, 4] + 0.5·b[6, 2] = [1, 2] + [3, 1] = [4, 3]; c has sent nothing."""
    w = World(toy(**options), clients)
    w.train("a", 2, 4)
    w.train("b", 6, 2)
    assert w.model == [4, 3]
    return w


def orders(w: World) -> dict[str, Any]:
    """The open orders by executor."""
    return {t.client: w.open_task(t.client) for t in w.state.tasks.values() if t.kind == "order"}


def lost(w: World) -> list[tuple[int, str]]:
    return [(e.count, e.reason) for e in w.every(effects.Lost)]


# -- a request that works in rounds ------------------------------------------------------------------------------------


def test_two_rounds_and_the_release() -> None:
    w = world(rounds=2)
    w.erase("r", "a")
    assert w.phase("r") == "working"
    assert list(orders(w)) == ["b", "c"]
    w.answer("b", 1, 0)
    assert list(orders(w)) == ["c"]
    w.answer("c", 0, 1)
    # the second round begins with [4, 3] + [1, 0] + [0, 1]; the model itself has not changed
    assert {name: values(o.start) for name, o in orders(w).items()} == {"b": [5, 4], "c": [5, 4]}
    assert w.model == [4, 3]
    w.answer("c", 2, 0)
    w.answer("b", -1, 0)
    assert w.model == [6, 4]
    assert w.phase("r") == "purging"
    assert w.last(effects.Released).version == w.state.version
    # what overwriting changed, [6, 4] − [4, 3], is the server's own step; it was taught by all whom the model held and who answered,
    assert {k: values(s) for k, s in w.state.ledger.server.items()} == {("a@0", "b@0", "c@0"): [3, 3]}
    # with what it undid, C_a = [1, 2]: the one without the other would bring a back
    assert list(w.state.ledger.clients) == ["b@0"]
    assert w.state.ledger.taught_by() == ("a@0", "b@0", "c@0")


@pytest.mark.parametrize("asks", [False, True])
def test_what_clients_last_trained_is_shown_to_a_procedure_that_asks_for_it(
    asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[View] = []
    monkeypatch.setattr(Toy, "last_models", asks)
    monkeypatch.setattr(Toy, "begin", lambda self, view: seen.append(view) or Round(view.model))
    world().erase("r", "a")
    # both began at [0, 0]; c has sent nothing
    shown = {name: values(model) for name, model in seen[0].last_models.items()}
    assert shown == ({"a": [2, 4], "b": [6, 2]} if asks else {})


def test_an_order_says_what_it_is_about() -> None:
    w = world(target=True)
    w.erase("r", "a")
    mine, other = orders(w)["a"], orders(w)["b"]
    assert (mine.target, mine.whole, [values(m) for m in mine.models]) == (True, True, [[0, 0]])
    assert (other.target, other.whole, other.models) == (False, False, ())
    assert (mine.request, mine.epoch, mine.job) == ("r", 0, LocalTraining())


def test_training_pauses_and_goes_on_after_the_release() -> None:
    w = world()
    fx = w.erase("r", "a")
    assert {e.client for e in fx if isinstance(e, effects.Cancel)} == {"a", "b", "c"}
    assert not any(isinstance(e, effects.Train) for e in fx)
    # the tasks of b and c were under way; that of a is not a loss but the aim
    assert lost(w) == [(2, "they were under way when training paused")]
    assert w.state.lost == 2
    late = w.go(events.UpdateArrived, "b/1", "b", vector(9, 9))
    assert [type(e) for e in late] == [effects.Quarantined]
    w.answer("b", 0, 0)
    fx = w.answer("c", 0, 0)
    assert {e.client: values(e.base) for e in fx if isinstance(e, effects.Train)} == {"b": [4, 3], "c": [4, 3]}
    w.train("b", 2, 2)
    assert w.model == [5, 4]


def test_a_client_that_joins_in_the_pause_trains_afterwards() -> None:
    w = world()
    w.erase("r", "a")
    w.go(events.ClientJoined, "d")
    assert w.state.task_of("d") is None
    w.answer("b", 0, 0)
    w.answer("c", 1, 0)
    assert values(w.open_task("d").base) == [5, 3]


def test_what_waits_in_the_buffer_is_lost() -> None:
    w = World(toy(buffer=3), "abc")
    w.train("a", 2, 4)
    w.train("b", 6, 2)
    w.erase("r", "a")
    assert w.state.buffer == ()
    assert lost(w) == [(1, "they waited in the buffer when training paused"), (2, "they were under way when training paused")]


def test_a_model_at_once_needs_no_pause() -> None:
    w = world(rounds=0)
    fx = w.erase("r", "a")
    assert w.phase("r") == "purging"
    assert {e.client for e in fx if isinstance(e, effects.Cancel)} == {"a"}
    assert lost(w) == []
    assert w.open_task("b").task == "b/1"


def test_what_the_rounds_give_is_healed_where_the_plan_says_so() -> None:
    w = world(heal=True)
    w.erase("r", "a")
    w.answer("b", 1, 0)
    w.answer("c", 0, 0)
    job = w.last(effects.Calibrate)
    assert w.phase("r") == "healing"
    assert values(job.student) == [5, 3]
    assert [values(t) for t in job.teachers] == [[4, 3]]
    assert w.state.task_of("b") is None
    fx = w.calibrate(0.5, 0.25)
    assert w.model == [5.5, 3.25]
    assert {e.client for e in fx if isinstance(e, effects.Train)} == {"b", "c"}


def test_failed_healing_releases_what_the_rounds_gave() -> None:
    w = world(heal=True)
    w.erase("r", "a")
    w.answer("b", 1, 0)
    w.answer("c", 0, 0)
    w.go(events.CalibrationFailed, w.last(effects.Calibrate).job, "no memory")
    assert w.model == [5, 3]


def test_the_server_carries_out_orders_too() -> None:
    w = world(server=True)
    w.erase("r", "a")
    assert list(orders(w)) == ["b", "c", SERVER]
    w.answer("b", 1, 0)
    w.answer("c", 0, 0)
    w.answer(SERVER, 0, 5)
    assert w.model == [5, 8]


def test_a_guard_of_an_earlier_release_rests_in_the_pause() -> None:
    w = world("abcd", guard=9)
    w.erase("r1", "a")
    for name in "bcd":
        w.answer(name, 0, 0)
    w.train("b", 2, 0)
    guard = w.last(effects.Calibrate)
    assert guard.purpose == "guard"
    w.erase("r2", "b")
    assert w.go(events.CalibrationDone, guard.job, vector(9, 9)) == ()
    assert w.model == [5, 3]


# -- patients ----------------------------------------------------------------------------------------------------------


def test_a_client_whose_patients_leave_takes_part_with_the_others() -> None:
    w = world()
    w.erase("r", "a", patients=2)
    assert list(orders(w)) == ["a", "b", "c"]
    assert (orders(w)["a"].target, orders(w)["a"].whole, orders(w)["a"].epoch) == (True, False, 1)
    for name in "abc":
        w.answer(name, 1, 0)
    assert w.model == [7, 3]
    assert w.open_task("a").epoch == 1
    # nothing was subtracted: what a contributed before is booked on its present data from now on
    assert values(w.state.ledger.clients["a@1"]) == [1, 2]
    assert w.phase("r") == "purging"


def test_rounds_begin_anew_when_one_that_takes_part_is_fenced() -> None:
    w = world(rounds=2)
    w.erase("r1", "a")
    w.answer("b", 1, 0)
    w.answer("c", 8, 8)
    old = orders(w)["b"]
    fx = w.erase("r2", "c")
    # the answer of c is in what b starts from; without c the rounds are b's alone, from [4, 3]
    assert effects.Cancel(old.task, "b") in fx
    assert {name: values(o.start) for name, o in orders(w).items()} == {"b": [4, 3]}
    w.answer("b", 1, 0)
    w.answer("b", 1, 0)
    # released without anything of c; now c's own erasure works in rounds, with b alone
    assert (w.phase("r1"), w.phase("r2"), w.model) == ("purging", "working", [6, 3])
    assert list(w.state.ledger.server) == [("a@0", "b@0")]
    w.answer("b", 0, 0)
    w.answer("b", 0, 0)
    assert w.phase("r2") == "purging"


def test_more_patients_of_a_client_that_takes_part() -> None:
    w = world()
    w.erase("r1", "a", patients=2)
    first = orders(w)["a"]
    w.erase("r2", "a", patients=1)
    assert (w.phase("r1"), w.phase("r2")) == ("working", "waiting")
    assert (first.epoch, orders(w)["a"].epoch) == (1, 2)


# -- answers that do not come ------------------------------------------------------------------------------------------


def test_an_unusable_answer_is_asked_for_again() -> None:
    w = world()
    w.erase("r", "a")
    first = orders(w)["b"]
    fx = w.answer("b", float("nan"), 0)
    assert [type(e) for e in fx] == [effects.Quarantined, effects.Perform]
    assert orders(w)["b"].task != first.task
    assert values(orders(w)["b"].start) == [4, 3]


def test_a_task_that_died_is_ordered_anew() -> None:
    w = world(server=True)
    w.erase("r", "a")
    for name in ("b", SERVER):
        old = orders(w)[name]
        w.go(events.TaskFailed, old.task, name, "out of memory")
        assert orders(w)[name].task != old.task


def test_an_order_that_always_fails_is_given_up() -> None:
    w = world()
    w.erase("r", "a")
    for _ in range(ATTEMPTS):
        w.answer("b", float("nan"), 0)
    assert list(orders(w)) == ["c"]
    w.answer("c", 1, 0)
    assert w.model == [5, 3]


def test_rounds_fail_when_what_is_needed_always_fails() -> None:
    w = world(target=True)
    w.erase("r", "a")
    for _ in range(ATTEMPTS):
        w.go(events.TaskFailed, orders(w)["a"].task, "a", "out of memory")
    assert w.phase("r") == "failed"
    assert w.record("r").notes == ("the order for 'a' failed 10 times: out of memory",)
    assert w.model == [4, 3]
    assert {t.client for t in w.state.tasks.values()} == {"b", "c"}
    assert w.state.clients["a"].fenced_by == "r"


def test_a_model_that_cannot_be_used_is_not_released() -> None:
    w = world()
    w.erase("r", "a")
    w.answer("b", 3e38, 0)
    w.answer("c", 3e38, 0)
    assert w.phase("r") == "failed"
    assert w.record("r").notes == ("the model that the rounds gave: 'w' has NaN or infinite entries",)
    assert w.model == [4, 3]


def test_an_answer_that_nobody_asked_for_is_quarantined() -> None:
    w = world()
    w.erase("r", "a")
    task = orders(w)["b"].task
    for client, name in (("c", task), ("b", "b/99"), (SERVER, "/99")):
        assert [type(e) for e in w.go(events.AnswerArrived, name, client, vector(1, 1))] == [effects.Quarantined]
    assert [type(e) for e in w.go(events.ScrubArrived, task, "b", vector(1, 1))] == [effects.Quarantined]
    assert [type(e) for e in w.go(events.UpdateArrived, task, "b", vector(1, 1))] == [effects.Quarantined]
    assert list(orders(w)) == ["b", "c"]


# -- clients that are away ---------------------------------------------------------------------------------------------


def test_the_round_goes_on_without_a_client_that_leaves() -> None:
    w = world(rounds=2)
    w.erase("r", "a")
    w.answer("b", 1, 0)
    fx = w.go(events.ClientLeft, "c")
    assert [e.client for e in fx if isinstance(e, effects.Cancel)] == ["c"]
    assert list(orders(w)) == ["b"]
    assert values(orders(w)["b"].start) == [5, 3]
    w.go(events.ClientReturned, "c")
    assert list(orders(w)) == ["b"]
    w.answer("b", 1, 0)
    assert w.model == [6, 3]
    assert isinstance(w.open_task("c"), effects.Train)


def test_only_those_who_can_be_reached_are_asked() -> None:
    w = world()
    w.go(events.ClientLeft, "c")
    w.erase("r", "a")
    assert list(orders(w)) == ["b"]


def test_everybody_leaves() -> None:
    w = world(rounds=2)
    w.erase("r", "a")
    w.go(events.ClientLeft, "b")
    w.go(events.ClientLeft, "c")
    assert w.phase("r") == "purging"
    assert w.model == [4, 3]


def test_a_needed_client_is_waited_for() -> None:
    w = world(target=True)
    w.go(events.ClientLeft, "a")
    w.erase("r", "a")
    assert list(orders(w)) == ["b", "c"]
    assert w.last(effects.SetTimer) == effects.SetTimer("r", 3.0)
    w.answer("b", 1, 0)
    w.go(events.ClientReturned, "a")
    assert sorted(orders(w)) == ["a", "c"]
    w.answer("c", 0, 0)
    assert w.timer("r") == ()
    w.answer("a", 1, 0)
    assert w.model == [6, 3]


def test_the_answer_of_a_needed_client_may_come_while_it_is_away() -> None:
    w = world(target=True)
    w.erase("r", "a")
    w.go(events.ClientLeft, "a")
    w.answer("a", 1, 0)
    w.answer("b", 0, 0)
    w.answer("c", 0, 0)
    assert w.model == [5, 3]


def test_a_needed_client_that_stays_away_fails_the_request_and_training_resumes() -> None:
    w = world(target=True)
    w.go(events.ClientLeft, "a")
    w.erase("r", "a")
    asked = w.t
    w.answer("b", 1, 0)
    assert w.t < asked + 3
    w.timer("r")
    # too early: that timer was another's
    assert w.phase("r") == "working"
    fx = w.timer("r")
    assert w.t == asked + 3
    assert w.phase("r") == "failed"
    assert w.record("r").notes == ("a client whose answer is needed did not return before the deadline",)
    assert {e.client: values(e.base) for e in fx if isinstance(e, effects.Train)} == {"b": [4, 3], "c": [4, 3]}
    w.erase("again", "a")
    assert w.phase("again") == "working"


def test_the_fallback_of_rounds() -> None:
    w = world(target=True, fallback=True)
    w.go(events.ClientLeft, "a")
    w.erase("r", "a")
    for _ in range(3):
        w.timer("r")
    assert w.phase("r") == "healing"
    assert {t.client for t in w.state.tasks.values()} == {"b", "c"}
    w.calibrate(0, 0)
    assert w.model == [3, 1]


# -- several requests --------------------------------------------------------------------------------------------------


def test_the_second_request_waits_until_the_first_is_released() -> None:
    w = world("abcd")
    w.erase("r1", "a")
    w.erase("r2", "b")
    w.erase("r3", "c")
    assert [w.phase(r) for r in ("r1", "r2", "r3")] == ["working", "waiting", "waiting"]
    # the rounds began anew twice: b and c were fenced at once
    assert list(orders(w)) == ["d"]
    fx = w.answer("d", 1, 0)
    assert effects.Moved("r2", "waiting", "working", "its turn") in fx
    assert not any(isinstance(e, effects.Train) for e in fx)
    assert values(orders(w)["d"].start) == [5, 3]
    w.answer("d", 1, 0)
    w.answer("d", 1, 0)
    assert [w.phase(r) for r in ("r1", "r2", "r3")] == ["purging", "purging", "purging"]
    assert w.model == [7, 3]
    assert isinstance(w.open_task("d"), effects.Train)


def test_a_request_of_another_kind_waits_as_well_and_rounds_wait_for_it() -> None:
    w = world("abcd", patients=False)
    w.erase("r1", "b", patients=1)
    w.erase("r2", "a")
    w.erase("r3", "c", patients=1)
    assert [w.phase(r) for r in ("r1", "r2", "r3")] == ["healing", "waiting", "waiting"]
    # nobody has been stopped so far but by the fences
    assert {t.client for t in w.state.tasks.values()} == {"b", "c", "d"}
    w.calibrate(0, 0)
    assert [w.phase(r) for r in ("r1", "r2", "r3")] == ["purging", "working", "waiting"]
    for name in "bcd":
        w.answer(name, 0, 0)
    assert [w.phase(r) for r in ("r2", "r3")] == ["purging", "healing"]
    w.calibrate(0, 0)
    # [4, 3] − C_b [3, 1]; c had contributed nothing
    assert (w.phase("r3"), w.model) == ("purging", [1, 2])


def test_a_wider_request_of_the_same_client_takes_over() -> None:
    w = world()
    w.erase("patients", "a", patients=1)
    w.answer("a", 1, 1)
    w.erase("whole", "a")
    assert (w.phase("patients"), w.phase("whole")) == ("superseded", "working")
    assert list(orders(w)) == ["b", "c"]
    assert values(orders(w)["b"].start) == [4, 3]
    w.withdraw("whole")
    assert w.phase("patients") == "working"
    assert list(orders(w)) == ["a", "b", "c"]


def test_withdrawn_rounds_leave_the_model_as_it_was() -> None:
    w = world(rounds=2)
    w.erase("r", "a")
    w.answer("b", 1, 0)
    w.answer("c", 1, 0)
    task = orders(w)["b"].task
    fx = w.withdraw("r")
    assert w.model == [4, 3]
    assert {e.client: values(e.base) for e in fx if isinstance(e, effects.Train)} == {name: [4, 3] for name in "abc"}
    assert [type(e) for e in w.go(events.AnswerArrived, task, "b", vector(1, 1))] == [effects.Quarantined]
    w.train("a", 2, 0)
    assert w.model == [5, 3]


def test_a_waiting_request_can_be_withdrawn_too() -> None:
    w = world()
    w.erase("r1", "a")
    w.erase("r2", "b")
    w.withdraw("r2")
    assert w.state.clients["b"].fenced_by is None
    w.answer("c", 0, 0)
    assert {t.client for t in w.state.tasks.values()} == {"b", "c"}


def test_released_rounds_cannot_be_withdrawn() -> None:
    w = world(rounds=0)
    w.erase("r", "a")
    with pytest.raises(IllegalEvent):
        w.withdraw("r")


# -- history -----------------------------------------------------------------------------------------------------------


def history(w: World) -> list[tuple[str, list[float], int, int]]:
    return [(p.contributor, values(p.share), p.version, p.base_version) for p in w.state.history]


def test_every_update_is_kept_with_its_versions() -> None:
    w = world()
    w.train("c", 2, 0)
    # b and c were handed θ at version 0, where everybody began
    assert history(w) == [("a@0", [1, 2], 1, 0), ("b@0", [3, 1], 2, 0), ("c@0", [1, 0], 3, 0)]
    w.train("a", 2, 0)
    assert history(w)[3] == ("a@0", [1, 0], 4, 1)
    assert World(toy(history=False)).train("a", 1, 1)
    assert world(history=False).state.history == ()


def test_updates_of_one_buffered_step_are_of_one_version() -> None:
    w = World(toy(buffer=2))
    w.train("a", 2, 4)
    w.train("b", 6, 2)
    # each share is half of η times the update
    assert history(w) == [("a@0", [0.5, 1], 1, 0), ("b@0", [1.5, 0.5], 1, 0)]


def test_the_history_of_the_erased_is_dropped_at_the_release() -> None:
    w = world()
    w.erase("r", "a")
    assert len(w.state.history) == 2
    w.answer("b", 0, 0)
    w.answer("c", 0, 0)
    assert [name for name, *_ in history(w)] == ["b@0"]
    assert w.record("r").work is None


def test_the_history_of_withdrawn_patients_goes_on_under_the_present_epoch() -> None:
    w = world()
    w.erase("r", "a", patients=1)
    w.withdraw("r")
    assert [name for name, *_ in history(w)] == ["a@1", "b@0"]
