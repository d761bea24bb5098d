"""FedAsync in delta form: every update is a step of its own.

Xie et al. (arXiv 1903.03934, Algorithm 1) mix models: θ ← (1−α)θ + α·x_k, where x_k = θ_b + Δ_k was trained from the old θ_b. That
equals θ + α·Δ_k − α(θ − θ_b): a stale client also drags the model back towards its base. The delta form drops that last
term, θ ← θ + α·Δ_k, so that contributions add up and can be taken out again; for τ = 0 the two are the same.
"""

from __future__ import annotations

from afuic.aggregate.contribution import Contribution


def take(
    buffer: tuple[Contribution, ...], new: Contribution, size: int
) -> tuple[tuple[Contribution, ...], tuple[Contribution, ...]]:
    """Apply at once; ``size`` is not used."""
    return buffer, (new,)
