"""FedRecovery (Zhang et al., IEEE TIFS 18, 2023): subtract a weighted sum of the client's gradient residuals, add Gaussian noise.

The residual of a round is how far the client's presence moved the model away from where the others alone would have taken it; rounds
are weighted by how far the model moved in them (Algorithm 2). The server does it all from its history, no client is asked.
Rounds are blocks of an asynchronous history here (``blocks``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from afuic.erase.method import Method
from afuic.erase.peers.blocks import Block, blocks, contributors
from afuic.erase.peers.calibrating import InRounds, in_rounds
from afuic.erase.peers.noise import Noise, perturb
from afuic.erase.rounds import SERVER, Round, View
from afuic.params import Params, add, dot, sub, total


class FedRecovery(InRounds):
    """``strength`` 1 is the paper's. The weights add up to 1, so that as published about one round's residual is subtracted."""

    strength: float = Field(5.0, gt=0, description="factor on the weighted sum of residuals; 1: as published")
    sigma: float = Field(0.01, ge=0, description="standard deviation of the noise on each parameter")

    def begin(self, view: View) -> Round:
        """w̄ = w − strength · Σ_i p_i δ_i, and the order for its noise."""
        model = sub(view.model, weighted(view, self.strength))
        return Round(model, (perturb(model, Noise(sigma=self.sigma)),), model)

    def proceed(self, view: View, memory: Params, answers: Mapping[str, Params]) -> Round:
        """The noise added, the model is released."""
        return Round(add(memory, answers[SERVER]))


def weighted(view: View, strength: float = 1.0) -> dict[str, Any]:
    """strength · Σ_i p_i δ_i with p_i = ‖a_i‖²/Σ_j ‖a_j‖², a_i the whole change of block i (Algorithm 2, step 8).

    Over the blocks in which the client took part, as it does in every round of the paper: where it sent nothing it moved nothing.
    """
    others = max(1, contributors(view.history) - 1)
    rounds = [block for block in blocks(view.history) if any(past.contributor in view.gone for past in block)]
    sizes = [_moved(view, block) for block in rounds]
    whole = sum(sizes)
    out = total((), view.model)
    for block, size in zip(rounds, sizes, strict=True):
        if size > 0:
            out = add(out, residual(view, block, others), strength * size / whole)
    return out


def residual(view: View, block: Block, others: int) -> Params:
    """δ = A_u − Σ_{j≠u} A_j/(n − 1): what the client added less what each of the ``others`` did on average (Eq. 13).

    A share stands for −η∇f/n, so that this is (η/n)·(Σ_{j≠u} ∇f_j/(n − 1) − ∇f_u) of the paper.
    """
    theirs = total((past.share for past in block if past.contributor not in view.gone), view.model)
    own = total((past.share for past in block if past.contributor in view.gone), view.model)
    return add(own, theirs, -1.0 / others)


def _moved(view: View, block: Block) -> float:
    change = total((past.share for past in block), view.model)
    return dot(change, change)


SEARCH: tuple[dict[str, Any], ...] = (
    {},
    {"strength": 1.0},
    {"strength": 2.0},
    {"strength": 3.0},
    {"strength": 1.0, "sigma": 0.05},
    {"strength": 3.0, "sigma": 0.001},
)

METHOD = Method(
    name="fedrecovery",
    source="Zhang et al., FedRecovery, IEEE TIFS 18 (2023)",
    summary="Subtract a weighted sum of the client's residuals along the history and add Gaussian noise.",
    needs_target=False,
    removes=True,
    options=FedRecovery,
    plan=in_rounds,
    history=True,
    pauses=True,
)
