"""The protocol as a pure core: ``step(rules, state, event) -> (state, effects)``. No clock, no files, no network, no randomness."""

from __future__ import annotations

from afuic.protocol import effects, events
from afuic.protocol.invariants import check
from afuic.protocol.state import Rules, State, initial
from afuic.protocol.step import step

__all__ = ["Rules", "State", "check", "effects", "events", "initial", "step"]
