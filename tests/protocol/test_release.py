"""Releases worked out by hand: two hospitals, two parameters, η = 1/2, no discount."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from rule_sets import rules
from world import World, values, vector

from afuic.erase.judgement import Beside
from afuic.errors import AlreadyErased
from afuic.protocol import effects, events
from afuic.scores import Judgement

HEAL = {"steps": 1}
NO_GUARD = {"versions": 0}


def afuic(clients: str = "ab", **options: object) -> World:
    return World(rules("afuic", {"heal": HEAL, "guard": NO_GUARD, "patients_client": {"bound": 1000.0}} | options), clients)


def two_updates(world: World) -> World:
    """θ = 0.5·a[2, 4] + 0.5·b[6, 2] = [1, 2] + [3, 1] = [4, 3]."""
    world.train("a", 2, 4)
    world.train("b", 6, 2)
    assert world.model == [4, 3]
    return world


def lost(world: World) -> list[int]:
    return [e.count for e in world.every(effects.Lost)]


# -- removal, healing, rebase -----------------------------------------------------------------------------------------


def test_release_by_rebase() -> None:
    world = two_updates(afuic())
    world.erase("r", "a")
    job = world.last(effects.Calibrate)
    # θ' = θ_T − C_a = [4, 3] − [1, 2] = [3, 1]; the teacher is θ_T
    assert values(job.student) == [3, 1]
    assert [values(t) for t in job.teachers] == [[4, 3]]
    world.train("b", 2, -2)
    # b goes on: [4, 3] + 0.5·[2, −2] = [5, 2]
    assert world.model == [5, 2]
    world.calibrate(0.25, 0.5)
    # θ_now − C_a + (θ_healed − θ') = [5, 2] − [1, 2] + [0.25, 0.5] = [4.25, 0.5]: b's update is still in it
    assert world.model == [4.25, 0.5]
    assert list(world.state.ledger.clients) == ["b@0"]
    assert {k: values(s) for k, s in world.state.ledger.server.items()} == {("a@0", "b@0"): [0.25, 0.5]}
    assert world.state.lost == 0
    assert world.last(effects.Released).version == world.state.version


def test_nobody_waits_for_a_request() -> None:
    world = two_updates(afuic())
    fx = world.erase("r", "a")
    assert effects.Cancel("a/1", "a") in fx
    assert not any(isinstance(e, effects.Cancel) and e.client != "a" for e in fx)
    assert world.open_task("b").task == "b/1"


def test_without_calibration_the_release_is_at_once() -> None:
    world = World(rules("afuic", calibration=False))
    two_updates(world).erase("r", "a")
    # [4, 3] − [1, 2]
    assert world.model == [3, 1]
    assert world.phase("r") == "guarding"


def test_failed_healing_still_releases_and_says_so() -> None:
    world = two_updates(afuic())
    world.erase("r", "a")
    world.go(events.CalibrationFailed, "heal/0", "no memory")
    assert world.model == [3, 1]
    assert world.record("r").notes == ("not healed: no memory",)


@pytest.mark.parametrize("fault", [vector(float("nan"), 0), vector(1, 2, 3)])
def test_an_unusable_healed_model_is_a_failed_one(fault: dict[str, object]) -> None:
    world = two_updates(afuic())
    world.erase("r", "a")
    world.go(events.CalibrationDone, "heal/0", fault)
    assert world.model == [3, 1]
    assert world.record("r").notes[0].startswith("not healed: calibration heal/0: 'w'")


def test_a_second_erasure_answers_for_the_steps_its_data_taught() -> None:
    world = two_updates(afuic("abc", server_steps="remove"))
    world.erase("r1", "a")
    world.calibrate(0.25, 0.5)
    # [4, 3] − [1, 2] + [0.25, 0.5]
    assert world.model == [3.25, 1.5]
    world.train("c", 2, 2)
    world.erase("r2", "b")
    # the first teacher had learned from b: student = [4.25, 2.5] − C_b [3, 1] − S [0.25, 0.5] = [1, 1]
    assert values(world.last(effects.Calibrate).student) == [1, 1]
    world.calibrate(0.5, 0)
    assert world.model == [1.5, 1]
    assert {k: values(s) for k, s in world.state.ledger.server.items()} == {("a@0", "b@0", "c@0"): [0.5, 0]}


def test_a_step_taught_by_others_stays() -> None:
    world = afuic("abc", server_steps="remove")
    world.train("a", 2, 4)
    world.erase("r1", "a")
    world.calibrate(0.25, 0.5)
    world.train("b", 6, 2)
    world.erase("r2", "b")
    # b joined in after the first healing: [0.25, 0.5] stays
    assert values(world.last(effects.Calibrate).student) == [0.25, 0.5]


def test_server_steps_are_kept_as_one_sum() -> None:
    world = two_updates(afuic("abc"))
    world.erase("r1", "a")
    world.calibrate(0.25, 0.5)
    world.erase("r2", "b")
    # [3.25, 1.5] − C_b [3, 1]
    assert values(world.last(effects.Calibrate).student) == [0.25, 0.5]
    world.calibrate(0.5, 0)
    assert world.model == [0.75, 0.5]
    # of the first healing's teacher, and of the second's, which c had not reached either
    assert {k: values(s) for k, s in world.state.ledger.server.items()} == {("a@0", "b@0"): [0.75, 0.5]}


def test_a_request_that_comes_while_another_is_healed_joins_it_once() -> None:
    world = two_updates(afuic("abcd"))
    world.train("c", 2, 0)
    world.train("d", 0, 2)
    # [4, 3] + [1, 0] + [0, 1]
    assert world.model == [5, 4]
    world.erase("r1", "a")
    early = world.last(effects.Calibrate)
    world.erase("r2", "b")
    # r1's job begins anew for both: [5, 4] − [1, 2] − [3, 1]
    assert values(world.last(effects.Calibrate).student) == [1, 1]
    world.erase("r3", "c")
    assert len(world.every(effects.Calibrate)) == 2
    assert world.go(events.CalibrationDone, early.job, vector(9, 9)) == ()
    fx = world.calibrate(1, 0)
    assert [e.request for e in fx if isinstance(e, effects.Released)] == ["r1", "r2"]
    # r3 has waited: [1, 1] + [1, 0] − C_c [1, 0]
    assert world.phase("r3") == "healing"
    assert values(world.last(effects.Calibrate).student) == [1, 1]
    world.train("d", 0, 2)
    world.calibrate(0.5, 0.25)
    # [1, 1] + d [0, 1] + [0.5, 0.25]
    assert world.model == [1.5, 2.25]
    assert list(world.state.ledger.clients) == ["d@0"]


def test_requests_of_one_moment_are_healed_together_however_many() -> None:
    world = two_updates(afuic("abcd"))
    for request, client in (("r1", "a"), ("r2", "b"), ("r3", "c")):
        world.erase(request, client)
        world.t -= 1
    fx = world.calibrate(1, 0)
    assert [e.request for e in fx if isinstance(e, effects.Released)] == ["r1", "r2", "r3"]
    assert world.model == [1, 0]


def test_withdrawing_one_of_a_joint_job_heals_the_other_afresh() -> None:
    world = two_updates(afuic("abcd"))
    for request, client in (("r2", "a"), ("r3", "b")):
        world.erase(request, client)
    late = world.last(effects.Calibrate)
    world.withdraw("r2")
    assert world.last(effects.Calibrate).job != late.job
    # [4, 3] − C_b [3, 1]
    assert values(world.last(effects.Calibrate).student) == [1, 2]
    assert world.go(events.CalibrationDone, late.job, vector(9, 9)) == ()
    world.calibrate(0, 0)
    assert world.model == [1, 2]


# -- judging ----------------------------------------------------------------------------------------------------------


def judged(after: float) -> World:
    """a is erased, and of what is released a probe is said to change so many answers; before it changed one in fifty."""
    world = two_updates(afuic())
    world.erase("r", "a")
    job = world.last(effects.Calibrate)
    assert values(job.before) == [4, 3]
    world.go(events.CalibrationDone, job.job, job.student, 1, (0.5, 0.25), Judgement(0.125, "dark square", 0.02, after))
    return world


def test_a_jump_is_released_and_noted() -> None:
    # (0.16 + 0.02)/(0.02 + 0.02) = 4.5, and 4 is ordinary
    world = judged(0.16)
    assert world.model == [3, 1]
    assert world.record("r").judgement is not None
    assert world.record("r").notes == (
        "the released model is a jump from the one before: a probe (dark square) changes its answer on 16% of the server's images,"
        " before on 2%; look at it, and at who stays, before it is used",
    )
    assert judged(0.14).record("r").notes == ()


def test_what_was_subtracted_is_told_beside_what_stays() -> None:
    world = afuic("abc")
    for client, delta in (("a", (2, 4)), ("b", (-2, -2)), ("c", (0, 6))):
        world.train(client, *delta)
    world.erase("r", "a")
    world.calibrate(0, 0)
    found = world.record("r").beside
    assert found is not None
    # C_a = [1, 2]; of the others' norms √2 and 3 the upper median; −3/(√5·√2) and 6/(√5·3)
    assert (found.norm, found.median) == (pytest.approx(5**0.5), 3)
    assert found.cosines == {"b@0": pytest.approx(-0.949, abs=5e-4), "c@0": pytest.approx(0.894, abs=5e-4)}
    assert world.record("r").notes == ("what was subtracted points against what b@0 contributed (cosine -0.95)",)


def test_without_others_there_is_nothing_to_compare_with() -> None:
    world = afuic("a")
    world.train("a", 2, 4)
    world.erase("r", "a")
    world.calibrate(0, 0)
    assert world.record("r").beside == Beside(pytest.approx(5**0.5), None, {})


# -- teachers ---------------------------------------------------------------------------------------------------------


def test_the_average_teacher() -> None:
    world = two_updates(afuic(teacher="average"))
    world.erase("r", "a")
    # it starts at the first model that has been trained, [1, 2]; then 0.9·[1, 2] + 0.1·[4, 3]
    assert values(world.last(effects.Calibrate).teachers[0]) == pytest.approx([1.3, 2.1])
    world.calibrate(0, 0)
    assert world.state.average is None


def test_the_ensemble_teacher_is_the_retained_clients_last_models() -> None:
    world = two_updates(afuic("abc", teacher="ensemble"))
    world.train("b", 1, 1)
    world.erase("r", "a")
    # b was handed [4, 3] after its first update and returned [4, 3] + [1, 1]; c has sent nothing; a is fenced
    assert [values(t) for t in world.last(effects.Calibrate).teachers] == [[5, 4]]


# -- carriers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("keep", [5, 5]),  # [3, 1] + 0.5·[4, 8]
        ("damp", [3.5, 2]),  # [3, 1] + 0.25·0.5·[4, 8]
        # C_a = [1, 2], ⟨[4, 8], C_a⟩/⟨C_a, C_a⟩ = 20/5 = 4: all of it points back
        ("project", [3, 1]),
        ("drop", [3, 1]),
    ],
)
def test_carriers(policy: str, expected: list[float]) -> None:
    world = two_updates(afuic(carriers={"policy": policy, "factor": 0.25}))
    world.erase("r", "a")
    world.train("b", 4, 8)
    world.calibrate(0, 0)
    assert world.model == pytest.approx(expected)
    assert lost(world) == ([1] if policy == "drop" else [])


def test_a_task_from_the_released_model_is_no_carrier() -> None:
    world = two_updates(afuic(carriers={"policy": "drop"}))
    world.erase("r", "a")
    world.calibrate(0, 0)
    world.train("b", 2, 2)
    assert lost(world) == [1]
    world.train("b", 2, 2)
    assert world.model == [4, 2]
    assert not world.last(effects.Applied).carrier


# -- guards -----------------------------------------------------------------------------------------------------------


def released(**guard: object) -> World:
    world = two_updates(afuic(guard={"versions": 2} | guard))
    world.erase("r", "a")
    world.calibrate(0, 0)
    world.train("b", 0, 0)
    assert world.model == [3, 1]
    return world


def test_the_projecting_guard_and_the_end_of_its_window() -> None:
    world = released(project=True)
    world.train("b", 4, 6)
    # C_a = [1, 2], 0.5·[4, 6] = [2, 3]; 8/5·[1, 2] points back: [3, 1] + [0.4, −0.2]
    assert world.model == pytest.approx([3.4, 0.8])
    assert world.phase("r") == "purging"
    assert world.record("r").direction is None
    world.train("b", 4, 6)
    assert world.model == pytest.approx([5.4, 3.8])


def test_a_smaller_server_step_in_the_window() -> None:
    world = released(server_step=0.5)
    world.train("b", 4, 4)
    # 0.5·0.5·[4, 4]
    assert world.model == [4, 2]


def test_the_guards_calibration_is_rebased() -> None:
    world = released(versions=5, calibration=HEAL)
    job = world.last(effects.Calibrate)
    assert job.purpose == "guard"
    assert values(job.student) == [3, 1]
    assert [values(t) for t in job.teachers] == [[4, 3]]
    world.train("b", 2, 2)
    world.calibrate(0.5, 0)
    # [3, 1] + [1, 1] + [0.5, 0]; the model has changed since, so the guard goes on
    assert world.model == [4.5, 2]
    assert world.last(effects.Calibrate).job != job.job
    world.calibrate(0, 0)
    assert world.state.guard is None


def test_a_guard_without_a_teacher() -> None:
    world = released(versions=5, calibration=HEAL, teacher=False)
    assert world.last(effects.Calibrate).teachers == ()
    assert world.record("r").teachers == ()


def test_a_guard_that_fails_changes_nothing_is_told_once_and_tried_again() -> None:
    world = released(versions=5, calibration=HEAL)
    world.go(events.CalibrationFailed, world.last(effects.Calibrate).job, "?")
    assert world.model == [3, 1]
    before = len(world.every(effects.Calibrate))
    world.train("b", 2, 2)
    assert len(world.every(effects.Calibrate)) == before + 1
    world.go(events.CalibrationFailed, world.last(effects.Calibrate).job, "?!")
    assert world.record("r").notes == ("a guard failed: ?",)


# -- the client's own unlearning --------------------------------------------------------------------------------------


def test_refinement_at_the_client_follows_the_release() -> None:
    world = two_updates(afuic(client={"bound": 0.5}))
    world.erase("r", "a")
    world.calibrate(0, 0)
    task = world.open_task("a")
    assert values(task.start) == [3, 1]
    assert task.whole
    world.train("b", 2, 0)
    world.unlearn("a", 0, 100)
    # ‖C_a‖ = √5, bound 0.5·√5 = 1.1180: [3, 1] + [1, 0] + [0, 1.1180]
    assert world.model == pytest.approx([4, 1 + 0.5 * 5**0.5])


def refined() -> World:
    """a is removed from [4, 3] and then refines [3, 1] by [0.5, 0.25]; b has trained meanwhile: [3, 1] + [1, 0] + [0.5, 0.25]."""
    world = two_updates(afuic(client={"bound": 1000.0}))
    world.erase("r", "a")
    world.calibrate(0, 0)
    world.train("b", 2, 0)
    world.unlearn("a", 0.5, 0.25)
    assert world.model == [4.5, 1.25]
    return world


def test_what_the_erased_client_refined_is_its_own_and_can_be_erased() -> None:
    world = refined()
    assert {n: values(c) for n, c in world.state.ledger.clients.items()} == {"a@1": [0.5, 0.25], "b@0": [4, 1]}
    assert all(values(s) == [0, 0] for s in world.state.ledger.server.values())
    assert "a@1" in world.record("r").notes[0]
    world.erase("r2", "a")
    assert world.record("r2").gone == ("a@0", "a@1")
    world.calibrate(0, 0)
    # [4.5, 1.25] − [0.5, 0.25]; it is not asked to refine once more
    assert world.model == [4, 1]
    assert world.state.ledger.contributors() == ("b@0",)
    assert world.state.task_of("a") is None
    with pytest.raises(AlreadyErased, match="nothing of it is left"):
        world.erase("r3", "a")


def test_an_erased_client_can_be_erased_again_but_not_its_patients_and_not_for_nothing() -> None:
    world = refined()
    with pytest.raises(AlreadyErased):
        world.erase("r2", "a", patients=2)
    world.erase("r2", "a")
    world.withdraw("r2")
    assert world.model == [4.5, 1.25]
    assert world.state.clients["a"].erased
    assert world.state.task_of("a") is None


def test_what_a_client_scrubbed_leaves_with_it() -> None:
    world = two_updates(afuic(patients="both"))
    world.erase("r", "a", patients=3)
    world.calibrate(0, 0)
    world.unlearn("a", -0.5, 0)
    world.train("a", 2, 2)
    # [3, 1] + [−0.5, 0] + [1, 1], the last two a's own
    assert values(world.state.ledger.clients["a@1"]) == [0.5, 1]
    world.erase("r2", "a")
    world.calibrate(0, 0)
    assert world.model == [3, 1]


def test_what_overwrites_the_model_for_patients_is_their_clients_as_far_as_it_made_it() -> None:
    world = two_updates(World(rules("afuic-paper", {"ascent": {"bound": 1000.0}, "guard": NO_GUARD}), "ab"))
    world.erase("r", "a", patients=3)
    world.train("b", 2, 0)
    world.unlearn("a", -0.5, -0.25)
    assert world.last(effects.Calibrate).purpose == "heal"
    world.calibrate(0.5, 0)
    # [4, 3] + [−0.5, −0.25] + healing [0.5, 0]; b's [1, 0] is lost
    assert world.model == [4, 2.75]
    # [1, 2] + [−0.5, −0.25] is a's; the server's is what it did itself: healing [0.5, 0] and b's loss −[1, 0]
    assert {n: values(c) for n, c in world.state.ledger.clients.items()} == {"a@1": [0.5, 1.75], "b@0": [4, 1]}
    assert {k: values(s) for k, s in world.state.ledger.server.items()} == {("a@0", "a@1", "b@0"): [-0.5, 0]}


def test_a_refinement_that_never_comes_holds_nothing_up() -> None:
    world = two_updates(afuic(client={}))
    world.erase("r", "a")
    world.calibrate(0, 0)
    assert world.phase("r") == "guarding"
    world.timer("r")
    assert world.phase("r") == "purging"
    assert world.record("r").notes == ("the client did not refine the result in time",)


def test_patients_removed_and_the_client_goes_on() -> None:
    world = two_updates(afuic(patients="remove"))
    world.erase("r", "a", patients=3)
    world.train("a", 2, 2)
    world.calibrate(0.5, 0)
    # [4, 3] + a's new epoch [1, 1] − C_{a@0} [1, 2] + [0.5, 0]
    assert world.model == [4.5, 2]
    assert sorted(world.state.ledger.clients) == ["a@1", "b@0"]
    assert not world.state.clients["a"].erased


def test_patients_scrubbed_at_the_client() -> None:
    world = two_updates(afuic(patients="scrub"))
    world.erase("r", "a", patients=3)
    task = world.open_task("a")
    assert (task.whole, task.epoch, values(task.start)) == (False, 1, [4, 3])
    world.train("b", 2, 0)
    world.unlearn("a", -0.5, -0.25)
    # nothing is removed: [4, 3] + [1, 0] + [−0.5, −0.25]
    assert world.model == [4.5, 2.75]
    assert world.phase("r") == "purging"
    # C_{a@0} [1, 2] and the client's change are one account from now on
    assert values(world.state.ledger.clients["a@1"]) == [0.5, 1.75]
    assert "a@0" not in world.state.ledger.clients


def test_patients_removed_and_scrubbed() -> None:
    world = two_updates(afuic(patients="both"))
    world.erase("r", "a", patients=3)
    world.calibrate(0, 0)
    assert values(world.open_task("a").start) == [3, 1]
    world.unlearn("a", -0.5, 0)
    assert world.model == [2.5, 1]
    assert isinstance(world.open_task("a"), effects.Train)


def test_an_unusable_refinement_gives_the_client_back_to_training() -> None:
    world = two_updates(afuic(patients="both"))
    world.erase("r", "a", patients=3)
    world.calibrate(0, 0)
    world.unlearn("a", float("nan"), 0)
    assert world.model == [3, 1]
    assert isinstance(world.open_task("a"), effects.Train)
    assert world.phase("r") == "purging"


def test_the_fallback_at_the_deadline_is_removal() -> None:
    world = two_updates(afuic(patients="scrub"))
    world.go(events.ClientLeft, "a")
    world.erase("r", "a", patients=3)
    assert world.last(effects.SetTimer) == effects.SetTimer("r", 600.0)
    world.timer("r")
    assert world.phase("r") == "healing"
    world.calibrate(0, 0)
    assert world.model == [3, 1]
    assert world.record("r").notes == ("the client did not answer before the deadline",)


def test_a_repeated_unlearning_task_starts_from_the_same_snapshot() -> None:
    world = two_updates(afuic(patients="scrub"))
    world.erase("r", "a", patients=3)
    world.train("b", 8, 0)
    world.go(events.TaskFailed, world.open_task("a").task, "a", "out of memory")
    assert values(world.open_task("a").start) == [4, 3]
    world.unlearn("a", 0, 1)
    # b's update counts once: [4, 3] + [4, 0] + [0, 1]
    assert world.model == [8, 4]


def test_later_withdrawals_stop_an_unlearning_that_still_retains_them() -> None:
    world = two_updates(afuic(patients="scrub"))
    world.erase("r1", "a", patients=3)
    old = world.open_task("a")
    fx = world.erase("r2", "a", patients=1)
    assert effects.Cancel(old.task, "a") in fx
    assert (world.open_task("a").request, world.open_task("a").epoch) == ("r1", 2)
    world.unlearn("a", 0, 1)
    assert world.open_task("a").request == "r2"
    world.timer("r2")
    world.calibrate(0, 0)
    # C_{a@0} leaves with r2, r1's change is booked on the present data: [4, 3] + [0, 1] − [1, 2]
    assert world.model == [3, 2]
    assert [world.phase(r) for r in ("r1", "r2")] == ["purging", "purging"]


# -- the paper's method, leaving, retraining --------------------------------------------------------------------------


def paper(clients: str = "ab") -> World:
    options = {"ascent": {"objective": "ascent", "bound": 100.0}, "calibration": HEAL | {"distil": 0.0}, "guard": NO_GUARD}
    return World(rules("afuic-paper", options), clients)


def test_the_papers_overwriting_loses_what_was_applied_in_between() -> None:
    world = two_updates(paper())
    world.erase("r", "a")
    assert values(world.open_task("a").start) == [4, 3]
    world.train("b", 2, 0)
    world.train("b", 2, 0)
    world.unlearn("a", -1, -1)
    # consistency starts from the client's result [4, 3] + [−1, −1] and has no teacher
    assert values(world.last(effects.Calibrate).student) == [3, 2]
    assert world.last(effects.Calibrate).teachers == ()
    world.train("b", 2, 0)
    assert world.model == [7, 3]
    world.calibrate(0.5, 0)
    assert world.model == [3.5, 2]
    assert lost(world) == [3]
    assert world.state.lost == 3


def test_only_updates_after_the_snapshot_are_lost() -> None:
    world = two_updates(paper())
    world.go(events.ClientLeft, "a")
    world.erase("r", "a")
    world.train("b", 2, 0)
    world.go(events.ClientReturned, "a")
    assert values(world.open_task("a").start) == [5, 3]
    world.train("b", 2, 0)
    world.unlearn("a", 0, 0)
    world.calibrate(0, 0)
    assert world.model == [5, 3]
    assert lost(world) == [1]


def test_an_update_is_lost_only_once() -> None:
    world = two_updates(paper("abc"))
    world.erase("r1", "a")
    world.erase("r2", "b")
    world.train("c", 2, 0)
    for client in "ab":
        world.unlearn(client, 0, 0)
        world.calibrate(0, 0)
    assert lost(world) == [1, 0]


def test_the_paper_fails_when_the_client_never_answers() -> None:
    world = two_updates(paper())
    world.go(events.ClientLeft, "a")
    world.erase("r", "a")
    world.timer("r")
    assert world.phase("r") == "failed"
    assert world.model == [4, 3]
    assert world.state.clients["a"].fenced_by == "r"
    world.erase("r2", "a")
    assert world.phase("r2") == "scrubbing"


def test_leaving_removes_nothing() -> None:
    world = two_updates(World(rules("continue")))
    world.erase("r", "a")
    assert world.model == [4, 3]
    assert world.phase("r") == "purging"


def test_retraining_starts_over_and_takes_as_long() -> None:
    world = two_updates(World(rules("retrain"), "abc"))
    asked = world.t + 1
    world.erase("r", "a")
    # b's one update is lost; a's is meant to be
    assert world.model == [0, 0]
    assert lost(world) == [1]
    assert world.last(effects.SetTimer) == effects.SetTimer("r", asked)
    assert {e.client for e in world.every(effects.Cancel)} == {"a", "b", "c"}
    assert world.state.task_of("a") is None
    world.train("b", 2, 2)
    world.timer("r")
    assert world.model == [1, 1]
    assert world.phase("r") == "purging"


def test_retraining_counts_what_waited_in_the_buffer() -> None:
    world = World(rules("retrain", buffer=2))
    world.train("b", 2, 2)
    world.erase("r", "a")
    assert lost(world) == [1]
    assert world.state.buffer == ()


# -- classes that nobody who stays has taught -------------------------------------------------------------------------


def two_classes(clients: str = "ab", **options: object) -> World:
    """A model whose rows are classes: a pulls both up, b only the first."""
    made = rules(
        "afuic", {"heal": HEAL, "guard": {"versions": 4, "calibration": HEAL}, "patients_client": {"bound": 1000.0}} | options
    )
    world = World(replace(made, head="w"), clients, {"w": torch.zeros(2, 2)})
    put(world, "a", [[2, 2], [4, 4]])
    put(world, "b", [[2, 2], [-4, -4]])
    return world


def put(world: World, client: str, rows: list[list[float]]) -> None:
    world.go(events.UpdateArrived, world.open_task(client).task, client, {"w": torch.tensor(rows, dtype=torch.float32)})


def test_what_only_the_leaver_taught_is_not_taught_again() -> None:
    world = two_classes()
    world.erase("r", "a")
    assert world.last(effects.Calibrate).omitted == (1,)
    world.calibrate(0, 0)
    put(world, "b", [[1, 1], [-1, -1]])
    guard = world.last(effects.Calibrate)
    assert (guard.purpose, guard.omitted) == ("guard", (1,))


@pytest.mark.parametrize("leaver", ["b", "c"])
def test_a_class_that_somebody_who_stays_taught_is_imitated(leaver: str) -> None:
    world = two_classes("abc")
    put(world, "c", [[-1, -1], [3, 3]])
    world.erase("r", leaver)
    assert world.last(effects.Calibrate).omitted == ()


def test_nothing_is_left_out_while_somebody_has_yet_to_contribute() -> None:
    world = two_classes("abc")
    world.erase("r", "a")
    assert world.last(effects.Calibrate).omitted == ()


def test_nothing_is_left_out_for_patients_whose_hospital_stays() -> None:
    world = two_classes()
    world.erase("r", "a", 1)
    assert world.last(effects.Calibrate).omitted == ()


def test_untaught_classes_may_be_imitated() -> None:
    world = two_classes(untaught="imitate")
    world.erase("r", "a")
    assert world.last(effects.Calibrate).omitted == ()


def test_healing_ahead_leaves_out_what_its_client_alone_taught() -> None:
    made = rules("afuic", {"heal": HEAL, "guard": NO_GUARD}, ahead=True)
    world = World(replace(made, head="w"), "ab", {"w": torch.zeros(2, 2)})
    put(world, "b", [[2, 2], [-4, -4]])
    put(world, "a", [[2, 2], [4, 4]])
    seen = {}
    while (job := world.state.ahead) is not None:
        seen[job.client] = world.last(effects.Calibrate).omitted
        world.calibrate(0, 0)
    assert seen["a"] == (1,)
    assert seen["b"] == ()
