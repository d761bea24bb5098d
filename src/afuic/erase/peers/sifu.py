"""SIFU (Fraboni et al., arXiv 2211.11656): go back to where the client had hardly mattered, blur that with noise, train on without it.

How much the model could differ had the client never been there is bounded by Ψ, the added-up lengths of what it contributed
(Theorem 1). Noise of standard deviation σ hides a difference of Ψ* = ε·σ/√(2·ln(1.25/δ)) up to (ε, δ) (Theorem 2), so the server goes back
to the last version with Ψ ≤ Ψ*, adds that noise, and has the others train on in synchronous rounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from pydantic import Field

from afuic.erase.ledger import client_of
from afuic.erase.method import Method
from afuic.erase.peers.averaging import Retraining, answered, train
from afuic.erase.peers.calibrating import InRounds, in_rounds
from afuic.erase.peers.noise import Noise, perturb
from afuic.erase.rounds import SERVER, LocalTraining, Round, View
from afuic.params import Params, add, norm, sub, total

SAME = 1e-3
RESTS_ON = (
    "losses with a positive semi-definite quadratic form, so that a difference never grows while training goes on (a network's are not);"
    " the others' updates arriving as they would have without the client; ε ≤ 1, where the Gaussian mechanism's bound is proven"
)


@dataclass(frozen=True)
class Guarantee:
    """(ε, δ)-unlearning of the released model, the noise σ that it takes, and what has to be true for it to hold."""

    epsilon: float
    delta: float
    sigma: float
    rests_on: str


class Sifu(InRounds):
    """The budget (ε, δ) and σ decide how far back to go, ``rounds`` how long to train on."""

    epsilon: float = Field(1.0, gt=0, description="ε of the guarantee; its proof needs ε ≤ 1")
    delta: float = Field(0.01, gt=0, lt=1, description="δ of the guarantee")
    sigma: float = Field(0.025, gt=0, description="standard deviation of the noise on each parameter")
    rounds: int = Field(20, ge=0, description="synchronous rounds of retraining")
    training: LocalTraining = LocalTraining(steps=40)

    @property
    def guarantee(self) -> Guarantee:
        """What a table may say of it."""
        return Guarantee(self.epsilon, self.delta, self.sigma, RESTS_ON)

    @property
    def budget(self) -> float:
        """Ψ* = ε·σ/√(2·ln(1.25/δ)) (after Theorem 2)."""
        return self.epsilon * self.sigma / math.sqrt(2 * math.log(1.25 / self.delta))

    def begin(self, view: View) -> Round:
        """Back to θ^T, with the order for its noise."""
        model = rolled_back(view, self.budget)
        return Round(model, (perturb(model, Noise(sigma=self.sigma)),), Retraining(model, -1))

    def proceed(self, view: View, memory: Retraining, answers: Mapping[str, Params]) -> Round:
        """The noise, then round after round."""
        if memory.done < 0:
            return train(view, add(memory.model, answers[SERVER]), 0, self.rounds, self.training)
        return answered(view, memory, answers, self.rounds, self.training)


def rolled_back(view: View, budget: float) -> Params:
    """θ^T, T the last version with Ψ ≤ ``budget``: θ_0 and every update up to it.

    Where θ_0 and the history do not add up to the model, because a release has overwritten it meanwhile, Ψ is not known and T = 0.
    """
    if not _adds_up(view):
        return view.origin
    limit = _exceeded(view, budget)
    return add(view.origin, total((p.share for p in takewhile(lambda p: p.version < limit, view.history)), view.origin))


def _exceeded(view: View, budget: float) -> float:
    """The first version with Ψ > budget: Ψ(n, W) is the most over clients c of Σ ‖what c added‖ up to n (Theorem 1, contraction 1)."""
    sums: dict[str, float] = {}
    for past in view.history:
        if past.contributor in view.gone:
            name = client_of(past.contributor)
            sums[name] = sums.get(name, 0.0) + norm(past.share)
            if sums[name] > budget:
                return past.version
    return math.inf


def _adds_up(view: View) -> bool:
    gap = sub(view.model, add(view.origin, total((past.share for past in view.history), view.origin)))
    return norm(gap) <= SAME * (1.0 + norm(view.model))


SEARCH: tuple[dict[str, Any], ...] = (
    {},
    {"training": {"steps": "none"}},
    {"sigma": 0.1, "training": {"steps": "none"}},
    {"epsilon": 10.0, "sigma": 0.1, "training": {"steps": "none"}},
    {"rounds": 40, "training": {"steps": "none"}},
    {"rounds": 10},
)

METHOD = Method(
    name="sifu",
    source="Fraboni et al., SIFU, arXiv 2211.11656",
    summary="Go back to a version that the client had hardly shaped, add calibrated noise, retrain without it.",
    needs_target=False,
    removes=True,
    options=Sifu,
    plan=in_rounds,
    history=True,
    pauses=True,
)
