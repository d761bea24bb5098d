"""PUF on two parameters: what is averaged in which round, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rounds_driver import TARGET, drive, pictures, sends, values, vector, view_of

from afuic.erase.peers.puf import METHOD, SEARCH, ForgottenTraining, Options
from afuic.erase.rounds import LocalTraining
from afuic.rng import torch_stream

FORGET = pictures((1, 1))
SITES = {TARGET: sends(2, 2, forget=FORGET), "b": sends(1, 0), "c": sends(0, 1)}


def test_the_targets_update_enters_negated_with_the_others() -> None:
    run = drive(Options(rate=3, recover_rounds=0), view_of(0, 0), SITES)
    # ((1, 0) + (0, 1) − 3·(2, 2))/3
    assert values(run.model) == pytest.approx([-5 / 3, -5 / 3])


def test_it_enters_alone_in_the_special_mode() -> None:
    run = drive(Options(mode="special", rate=3, recover_rounds=0), view_of(1, 0), SITES)
    # (1, 0) − 3·(2, 2)
    assert values(run.model) == [-5, -6]


def test_rounds_without_the_target_follow() -> None:
    run = drive(Options(rate=3, recover_rounds=2), view_of(0, 0), SITES)
    # Two means of (1, 0) and (0, 1) on top of (−5/3, −5/3)
    assert values(run.model) == pytest.approx([-2 / 3, -2 / 3])
    recovery = [("b", LocalTraining), ("c", LocalTraining)]
    assert run.orders() == [[("a", ForgottenTraining), *recovery], recovery, recovery]


def test_the_negated_update_can_enter_more_than_once() -> None:
    run = drive(Options(mode="special", rate=1, unlearn_rounds=2, recover_rounds=0), view_of(0, 0), SITES)
    assert values(run.model) == [-4, -4]


def test_only_the_target_is_waited_for() -> None:
    run = drive(Options(rate=3, recover_rounds=0), view_of(0, 0), SITES, away=lambda number, client: client == "c")
    # ((1, 0) − 3·(2, 2))/2
    assert values(run.model) == pytest.approx([-2.5, -3])
    assert [order.needed for order in run.rounds[0].orders] == [True, False]


def test_a_client_whose_patients_leave_trains_on_the_rest_afterwards() -> None:
    run = drive(Options(rate=1, recover_rounds=1), view_of(0, 0, whole=False), SITES)
    assert [client for client, _ in run.orders()[0]] == ["a", "b", "c"]
    assert run.orders()[1] == [("a", LocalTraining), ("b", LocalTraining), ("c", LocalTraining)]


def test_the_target_trains_on_what_is_to_be_forgotten() -> None:
    seen = []

    def train(start, images, steps, generator):
        seen.append(images)
        return vector(1, 2)

    site = replace(SITES[TARGET], train=train)
    assert values(ForgottenTraining().run(site, vector(0, 0), (), torch_stream(0))) == [1, 2]
    assert seen == [FORGET]
    assert values(ForgottenTraining().run(SITES["b"], vector(0, 0), (), torch_stream(0))) == [0, 0]


def test_the_clock_is_charged_for_a_usual_task_on_the_forgotten() -> None:
    assert ForgottenTraining(steps=10, batch=32).passes(16, 500) == 160


def test_there_are_six_settings_to_search_the_first_the_defaults() -> None:
    assert len(SEARCH) == 6
    assert METHOD.configure(SEARCH[0]).options == Options()
    assert len({METHOD.configure(setting).options.model_dump_json() for setting in SEARCH}) == 6
