"""A scripted world around the protocol: a test says what happens, and asks what was handed out."""

from __future__ import annotations

from typing import Any, TypeVar

import torch

from afuic.params import Params
from afuic.protocol import Rules, State, check, effects, events, initial, step
from afuic.protocol.requests import Record

E = TypeVar("E")


def vector(*numbers: float) -> dict[str, torch.Tensor]:
    """The parameters of a tiny model."""
    return {"w": torch.tensor(numbers, dtype=torch.float32)}


def values(params: Params | None) -> list[float]:
    """The numbers of a tiny model."""
    assert params is not None
    return params["w"].tolist()  # type: ignore[no-any-return]


class World:
    """Two hospitals, ``a`` and ``b``, unless told otherwise, and a model of two parameters at [0, 0]."""

    def __init__(self, rules: Rules, clients: str = "ab", origin: Params | None = None) -> None:
        self.rules = rules
        self.state: State = initial(origin or vector(0, 0))
        self.effects: list[Any] = []
        self.t = 0.0
        for name in clients:
            self.go(events.ClientJoined, name)

    def go(self, kind: Any, *args: Any) -> tuple[Any, ...]:
        """The next event; its effects are returned and kept."""
        self.t += 1.0
        self.state, fx = step(self.rules, self.state, kind(self.t, *args))
        check(self.state)
        self.effects += fx
        return fx

    @property
    def model(self) -> list[float]:
        """The numbers of the present model."""
        return values(self.state.model)

    def every(self, kind: type[E]) -> list[E]:
        """All effects of this kind so far."""
        return [e for e in self.effects if isinstance(e, kind)]

    def last(self, kind: type[E]) -> E:
        """The newest effect of this kind."""
        return self.every(kind)[-1]

    def open_task(self, client: str) -> Any:
        """The effect that handed the client its open task."""
        task = self.state.task_of(client)
        assert task is not None
        handed = (*self.every(effects.Train), *self.every(effects.Unlearn), *self.every(effects.Perform))
        return next(e for e in handed if e.task == task.id)

    def train(self, client: str, *delta: float) -> tuple[Any, ...]:
        """The client's open training task ends with this update."""
        return self.go(events.UpdateArrived, self.open_task(client).task, client, vector(*delta))

    def unlearn(self, client: str, *delta: float) -> tuple[Any, ...]:
        """The client's open unlearning task ends with this change."""
        return self.go(events.ScrubArrived, self.open_task(client).task, client, vector(*delta))

    def answer(self, client: str, *delta: float) -> tuple[Any, ...]:
        """The open order of the client, or with an empty name of the server, is answered."""
        return self.go(events.AnswerArrived, self.open_task(client).task, client, vector(*delta))

    def erase(self, request: str, client: str, patients: int | None = None) -> tuple[Any, ...]:
        """An erasure is asked for."""
        return self.go(events.EraseRequested, request, client, patients)

    def withdraw(self, request: str) -> tuple[Any, ...]:
        """A request is taken back."""
        return self.go(events.RequestWithdrawn, request)

    def timer(self, request: str) -> tuple[Any, ...]:
        """A request's timer fires."""
        return self.go(events.TimerFired, request)

    def calibrate(self, *change: float) -> tuple[Any, ...]:
        """The newest calibration ends with its student changed by this much."""
        job = self.last(effects.Calibrate)
        return self.go(events.CalibrationDone, job.job, {"w": job.student["w"] + vector(*change)["w"]})

    def record(self, request: str) -> Record:
        """What the core keeps for a request."""
        return self.state.requests[request]

    def phase(self, request: str) -> str:
        """Where a request stands."""
        return self.record(request).phase.value
