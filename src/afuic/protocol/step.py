"""The one door: ``step`` takes a state and an event and returns the next state and what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from afuic.protocol import calibrated, erasure, events, training, working
from afuic.protocol.effects import Effect
from afuic.protocol.events import Event
from afuic.protocol.state import Rules, State
from afuic.protocol.turn import Turn

HANDLERS: Mapping[type, Callable[[Turn, Any], None]] = {
    events.ClientJoined: training.joined,
    events.ClientLeft: training.left,
    events.ClientReturned: training.returned,
    events.UpdateArrived: training.arrived,
    events.TaskFailed: training.failed,
    events.ScrubArrived: erasure.scrubbed,
    events.AnswerArrived: working.answered,
    events.EraseRequested: erasure.requested,
    events.RequestWithdrawn: erasure.withdrawn,
    events.TimerFired: erasure.timer,
    events.Purged: erasure.purged,
    events.CalibrationDone: calibrated.done,
    events.CalibrationFailed: calibrated.failed,
}


def step(rules: Rules, state: State, event: Event) -> tuple[State, tuple[Effect, ...]]:
    """The state after ``event`` and the effects, in order. Pure: the same arguments give the same bytes.

    Raises ProtocolError (UnknownClient, AlreadyErased, IllegalEvent) for an event that cannot be; ``state`` is then still valid.
    """
    turn = Turn(rules, state, event.t)
    HANDLERS[type(event)](turn, event)
    erasure.settle(turn, state.paused)
    return turn.state, tuple(turn.effects)
