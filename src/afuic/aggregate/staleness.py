"""How much an update still counts when the model has moved on by τ steps since it was sent."""

from __future__ import annotations

import math

from afuic.config import Staleness


def weight(law: Staleness, tau: int) -> float:
    """s(τ) in (0, 1], with s(0) = 1 in every law.

    ``tau`` counts the aggregation steps between the model a client trained from and the present one.
    constant, hinge, polynomial: arXiv 1903.03934, section 5 (hinge there is 1/(a(τ−b)+1)); exponential: arXiv 2604.26809.
    """
    if tau < 0:
        raise ValueError(f"staleness is {tau}: an update cannot come from a later model")
    if law.law == "hinge":
        return 1.0 if tau <= law.b else 1.0 / (law.a * (tau - law.b) + 1.0)
    if law.law == "polynomial":
        return float((1.0 + tau) ** -law.a)
    return math.exp(-law.a * tau) if law.law == "exponential" else 1.0
