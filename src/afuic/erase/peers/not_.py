"""NoT: multiply the weights of the first layers by −1, then let the others fine-tune what is left of the model.

Khalil et al., arXiv 2503.05657. Negation breaks what the layers have learned to do together, the erased data's part included, and leaves a
model that is found to recover fast. The server needs neither data nor history, and nothing of the target.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from afuic.erase.method import Method
from afuic.erase.peers.averaging import Retraining, answered, train
from afuic.erase.peers.calibrating import InRounds, in_rounds
from afuic.erase.rounds import LocalTraining, Round, View
from afuic.errors import ConfigError
from afuic.params import Params


class Options(InRounds):
    """Which layers are negated, and how long the others fine-tune."""

    layers: int = Field(1, ge=1, description="so many of the first layers are negated")
    names: tuple[str, ...] = Field((), description="parameters to negate instead, by name")
    rounds: int = Field(20, ge=0, description="rounds of fine-tuning by those who stay")
    steps: int | None = Field(None, ge=1, description="steps of a client in a round; none: as in any task")

    def begin(self, view: View) -> Round:
        """Negate, and the first round of fine-tuning."""
        return train(view, negated(view.model, self._chosen(view.model)), 0, self.rounds, LocalTraining(steps=self.steps))

    def proceed(self, view: View, memory: Retraining, answers: Mapping[str, Params]) -> Round:
        """Average, and the next round."""
        return answered(view, memory, answers, self.rounds, LocalTraining(steps=self.steps))

    def _chosen(self, model: Params) -> tuple[str, ...]:
        unknown = [name for name in self.names if name not in model]
        if unknown:
            raise ConfigError(
                f"options.not.names: the model has no parameter {unknown[0]!r}; it has {', '.join(sorted(model))}"
            )
        return self.names or first_layers(model, self.layers)


def first_layers(model: Params, count: int) -> tuple[str, ...]:
    """The weights of the first ``count`` layers: of convolutions where there are any, else of whatever has most dimensions.

    Names are put in order with their numbers as numbers, since a model's order of names means nothing.
    """
    most = max(tensor.dim() for tensor in model.values())
    return tuple(sorted((name for name, tensor in model.items() if tensor.dim() == most), key=_natural)[:count])


def negated(model: Params, names: tuple[str, ...]) -> dict[str, Any]:
    """``model`` with these parameters times −1."""
    return {name: -tensor if name in names else tensor for name, tensor in model.items()}


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


SEARCH: tuple[dict[str, Any], ...] = (
    {},
    {"rounds": 5},
    {"rounds": 10},
    {"layers": 2, "rounds": 5},
    {"layers": 2, "rounds": 10},
    {"layers": 3, "rounds": 10},
)
"""Settings to be compared on validation images, the first the defaults."""


METHOD = Method(
    name="not",
    source="Khalil et al., arXiv 2503.05657",
    summary="Negate the weights of the first layer, then fine-tune in rounds by those who stay.",
    needs_target=False,
    removes=False,
    options=Options,
    plan=in_rounds,
    pauses=True,
)
