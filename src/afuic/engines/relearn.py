"""Gives a model the erased data back, as its hospital would train it, and counts the steps until it knows them as well as before."""

from __future__ import annotations

from collections.abc import Iterator

from afuic.engines.laboratory import Laboratory, forget_set
from afuic.errors import ConfigError
from afuic.evaluate.relearn import Relearned, steps_to
from afuic.learning.train import local_update
from afuic.params import Params, add
from afuic.rng import PathPart, torch_stream

SHARE = 0.95
EVERY, CAP = 5, 400


def target(lab: Laboratory, before: Params, share: float = SHARE) -> float:
    """The accuracy to regain: ``share`` in (0, 1] of the forget accuracy of ``before``, the model at the request."""
    if not 0 < share <= 1:
        raise ConfigError(f"relearning: the share is {share}; give more than 0 and at most 1")
    return share * lab.judge.forget_accuracy(before)


def relearn(
    lab: Laboratory, model: Params, accuracy: float, *, every: int = EVERY, cap: int = CAP, path: tuple[PathPart, ...] = ()
) -> Relearned:
    """SGD steps from ``model`` on all erased images, as held, until ``accuracy`` is regained; censored after ``cap`` steps.

    The training is a client's task cut into slices of ``every`` steps, after each of which the forget accuracy is measured (on the curve's
    subset); the count is a multiple of ``every``. Momentum starts at zero in each slice. ``path`` names the batches' stream: the same for
    all models unless another is given, so that they see the same batches.
    """
    if not 0 < every <= cap:
        raise ConfigError(f"relearning: measured every {every} steps up to {cap}; give 1 or more, and no more than the cap")
    return steps_to(_curve(lab, model, every, cap, path), accuracy)


def _curve(lab: Laboratory, model: Params, every: int, cap: int, path: tuple[PathPart, ...]) -> Iterator[tuple[int, float]]:
    data = forget_set(lab.config, lab.federation, lab.patients)
    generator = torch_stream(lab.config.seed, "relearn", *path)
    yield 0, lab.judge.forget_accuracy(model)
    for step in range(0, cap, every):
        training = lab.config.training.model_copy(update={"steps": min(every, cap - step)})
        model = add(model, local_update(lab.network, model, data.images, data.labels, training, generator))
        yield step + training.steps, lab.judge.forget_accuracy(model)
