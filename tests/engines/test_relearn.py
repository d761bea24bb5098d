"""Relearning on phantoms: what it counts, that it is paired, and that a cap is said to be one."""

from __future__ import annotations

import pytest

from afuic.engines.experiment import laboratory
from afuic.engines.laboratory import Laboratory, forget_set
from afuic.engines.relearn import relearn, target
from afuic.errors import ConfigError
from afuic.learning.train import local_update
from afuic.params import Params, add
from afuic.rng import torch_stream
from tests.engines.conftest import small


@pytest.fixture(scope="module")
def lab() -> Laboratory:
    return laboratory(small())


@pytest.fixture(scope="module")
def fresh(lab: Laboratory) -> Params:
    return lab.worker().initial()


@pytest.fixture(scope="module")
def taught(lab: Laboratory, fresh: Params) -> Params:
    """A model that has seen the erased images for 60 steps."""
    data = forget_set(lab.config, lab.federation, lab.patients)
    training = lab.config.training.model_copy(update={"steps": 60, "batch": 32})
    return add(fresh, local_update(lab.network, fresh, data.images, data.labels, training, torch_stream(0, "taught")))


def test_the_target_is_a_share_of_the_accuracy_before(lab: Laboratory, taught: Params) -> None:
    probs = lab.judge.forget_probs(taught)
    accuracy = (probs.argmax(axis=1) == lab.judge.forget_labels).mean()  # of all 67 images, not of the 50 of the curve
    assert lab.judge.forget_accuracy(taught) == pytest.approx(accuracy, abs=0.15)
    assert target(lab, taught, 0.5) == 0.5 * lab.judge.forget_accuracy(taught)
    with pytest.raises(ConfigError, match="share"):
        target(lab, taught, 1.5)


def test_a_model_that_knows_needs_no_step_and_one_that_does_not_needs_some(
    lab: Laboratory, fresh: Params, taught: Params
) -> None:
    wanted = target(lab, taught)
    assert relearn(lab, taught, wanted).steps == 0
    found = relearn(lab, fresh, wanted, every=5)
    assert not found.censored
    assert found.steps > 0
    assert found.steps % 5 == 0
    assert relearn(lab, fresh, wanted, every=5) == found  # the same batches again


def test_the_count_is_where_the_slices_first_reach_the_target(lab: Laboratory, fresh: Params) -> None:
    data, generator = forget_set(lab.config, lab.federation, lab.patients), torch_stream(lab.config.seed, "relearn", "a")
    training = lab.config.training.model_copy(update={"steps": 4})
    model, seen = fresh, [lab.judge.forget_accuracy(fresh)]
    for _ in range(3):
        model = add(model, local_update(lab.network, model, data.images, data.labels, training, generator))
        seen.append(lab.judge.forget_accuracy(model))
    wanted = max(seen)
    assert relearn(lab, fresh, wanted, every=4, cap=12, path=("a",)).steps == 4 * seen.index(wanted)


def test_a_cap_is_reported_as_censored(lab: Laboratory, fresh: Params) -> None:
    found = relearn(lab, fresh, 1.01, every=5, cap=7)
    assert (found.steps, found.censored) == (7, True)  # slices of 5 and 2
    with pytest.raises(ConfigError, match="cap"):
        relearn(lab, fresh, 0.5, every=5, cap=4)
