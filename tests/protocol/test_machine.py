"""Whatever happens in whatever order, the protocol keeps its promises: random worlds against an independent account."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from rule_sets import INEXACT, SETS
from shadow_book import Book, vec
from toys import TOYS

from afuic.errors import AlreadyErased, IllegalEvent, ProtocolError, UnknownClient
from afuic.protocol import check, effects, events, initial, step
from afuic.protocol.requests import TERMINAL

NAMES = ("a", "b", "c", "d")
PICK = st.integers(0, 999)
CLIENT = st.sampled_from(NAMES)
EIGHTHS = st.tuples(st.integers(-16, 16), st.integers(-16, 16))
GRAINS = 8.0


def params(numbers: tuple[int, int]) -> dict[str, torch.Tensor]:
    """A two-parameter model of eighths: sums of a few thousand of them are exact in float32."""
    return {"w": torch.tensor(numbers, dtype=torch.float32) / GRAINS}


def frozen(value: Any) -> Any:
    """``value`` with tensors as bytes, to compare states and effects bit for bit."""
    if isinstance(value, torch.Tensor):
        return (value.dtype, value.shape, value.numpy().tobytes())
    if isinstance(value, dict):
        return tuple((k, frozen(v)) for k, v in value.items())
    if isinstance(value, tuple):
        return tuple(frozen(v) for v in value)
    if is_dataclass(value) and not isinstance(value, type):
        return (type(value), *(frozen(getattr(value, f.name)) for f in fields(value)))
    return value


class Federation(RuleBasedStateMachine):
    """A world that does what it likes; the name of the rule set is set on a subclass."""

    name: str

    @initialize(start=EIGHTHS)
    def begin(self, start: tuple[int, int]) -> None:
        """Two hospitals begin."""
        self.rules = (SETS | TOYS)[self.name]
        self.state = initial(params(start))
        self.book = Book(self.rules, vec(self.state.model), vec(self.state.model))
        self.t = 0.0
        self.seen: dict[type, list[Any]] = {}
        self.asked = 0
        for name in ("a", "b"):
            self.go(events.ClientJoined(self.now(), name))

    # -- the harness --------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """A new time."""
        self.t += 1.0
        return self.t

    def go(self, event: Any) -> tuple[Any, ...]:
        """One legal event: pure, consistent, and what the book says."""
        note(repr(event))
        self.sound = False
        before, old = self.state, frozen(self.state)
        self.state, fx = step(self.rules, before, event)
        twin, fx_twin = step(self.rules, before, event)
        assert frozen(before) == old, "the old state was changed"
        assert frozen(self.state) == frozen(twin)
        assert frozen(fx) == frozen(fx_twin)
        check(self.state)
        self.book.follow(event, fx, before, self.state)
        self.compare()
        for effect in fx:
            self.seen.setdefault(type(effect), []).append(effect)
        self.sound = True
        return fx

    def refuse(self, event: Any, error: type[ProtocolError]) -> None:
        """One illegal event: a typed error, and nothing has changed."""
        old = frozen(self.state)
        with pytest.raises(error):
            step(self.rules, self.state, event)
        assert frozen(self.state) == old

    def compare(self) -> None:
        """The model is what the book says, and every update is accounted for."""
        model, expected = vec(self.state.model), self.book.model
        same = np.allclose(model, expected, atol=1e-4) if self.name in INEXACT else np.array_equal(model, expected)
        assert same, f"the model is {model}, the book says {expected}"
        assert self.book.balanced(), f"{self.book.admitted} let in, not all accounted for: {self.book.fates}"
        assert {r.id: r.phase.value for r in self.state.requests.values()} == {n: a.phase for n, a in self.book.asks.items()}
        assert {t.id for t in self.state.tasks.values()} == set(self.book.tasks)
        self.book.check_history(self.state)

    def any(self, kind: type, pick: int) -> Any:
        """One effect of this kind out of all so far, later ones first; None if there was none."""
        found = self.seen.get(kind, [])
        return found[-1 - pick % len(found)] if found else None

    def task(self, kind: type, pick: int) -> Any:
        """An open task of this kind, or now and then one of any time."""
        live = [e for e in self.seen.get(kind, []) if e.task in self.book.tasks]
        return live[pick % len(live)] if live and pick % 7 else self.any(kind, pick)

    # -- what can happen ----------------------------------------------------------------------------------------------

    @rule(client=CLIENT)
    def join(self, client: str) -> None:
        """A hospital joins, once."""
        if client in self.book.erased:
            self.refuse(events.ClientJoined(self.now(), client), AlreadyErased)
        elif client in self.book.epochs:
            self.refuse(events.ClientJoined(self.now(), client), IllegalEvent)
        else:
            self.go(events.ClientJoined(self.now(), client))

    @rule(client=CLIENT, back=st.booleans())
    def come_and_go(self, client: str, back: bool) -> None:
        """A hospital goes away or comes back."""
        event = (events.ClientReturned if back else events.ClientLeft)(self.now(), client)
        if client in self.book.epochs:
            self.go(event)
        else:
            self.refuse(event, UnknownClient)

    @rule(pick=PICK, delta=EIGHTHS)
    def update(self, pick: int, delta: tuple[int, int]) -> None:
        """An update arrives: fresh, stale, repeated, or of a cancelled task."""
        task = self.task(effects.Train, pick)
        self.go(events.UpdateArrived(self.now(), task.task, task.client, params(delta)))

    @rule(picks=st.lists(PICK, min_size=3, max_size=8), delta=EIGHTHS)
    def updates(self, picks: list[int], delta: tuple[int, int]) -> None:
        """Several of them, so that windows close."""
        for pick in picks:
            self.update(pick, delta)

    @rule(pick=PICK, kind=st.sampled_from(["nan", "inf", "shape", "type", "name", "client"]))
    def bad_update(self, pick: int, kind: str) -> None:
        """An update that may not enter."""
        task = self.task(effects.Train, pick)
        delta, owner = bad(kind), task.client
        if kind == "client":
            owner = next(n for n in self.book.epochs if n != task.client)
        self.go(events.UpdateArrived(self.now(), task.task, owner, delta))

    @rule(pick=PICK, delta=EIGHTHS, sound=st.sampled_from([True, True, True, True, False]))
    def answered(self, pick: int, delta: tuple[int, int], sound: bool) -> None:
        """An order is answered: in time, late, or by nonsense."""
        task = self.task(effects.Perform, pick)
        if task is not None:
            self.go(events.AnswerArrived(self.now(), task.task, task.client, params(delta) if sound else bad("nan")))

    @rule(picks=st.lists(PICK, min_size=2, max_size=6), delta=EIGHTHS)
    def several_answers(self, picks: list[int], delta: tuple[int, int]) -> None:
        """Several of them, so that rounds end."""
        for pick in picks:
            self.answered(pick, delta, True)

    @rule(pick=PICK, kind=st.sampled_from([effects.Unlearn, effects.Train, effects.Perform]))
    def fail(self, pick: int, kind: type) -> None:
        """A task dies."""
        task = self.task(kind, pick)
        if task is not None:
            self.go(events.TaskFailed(self.now(), task.task, task.client, "out of memory"))

    @rule(client=CLIENT, patients=st.sampled_from([None, None, 1, 3]))
    def erase(self, client: str, patients: int | None) -> None:
        """An erasure is asked for."""
        event = events.EraseRequested(self.now(), f"r{self.asked}", client, patients)
        if client not in self.book.epochs:
            self.refuse(event, UnknownClient)
        elif client in self.book.erased and (patients or not self.book.refined(client)):
            self.refuse(event, AlreadyErased)
        else:
            self.asked += 1
            self.go(event)

    @rule(pick=PICK, same=st.booleans())
    def ask_again(self, pick: int, same: bool) -> None:
        """A request is repeated, word by word or with other words."""
        known = list(self.state.requests.values())
        if known:
            r = known[pick % len(known)]
            patients = r.patients if same else 7
            event = events.EraseRequested(self.now(), r.id, r.client, patients, r.salted)
            if same:
                assert self.go(event) == ()
            else:
                self.refuse(event, IllegalEvent)

    @rule(pick=PICK)
    def withdraw(self, pick: int) -> None:
        """A request is taken back, if it still can be."""
        known = list(self.book.asks.items())
        if known:
            name, ask = known[-1 - pick % len(known)]
            event = events.RequestWithdrawn(self.now(), name)
            if ask.phase in {"waiting", "scrubbing", "healing", "working"}:
                self.go(event)
            else:
                self.refuse(event, IllegalEvent)

    @rule(pick=PICK, delta=EIGHTHS, outcome=st.sampled_from(["done", "done", "failed", "nan"]))
    def calibrated(self, pick: int, delta: tuple[int, int], outcome: str) -> None:
        """The server's calibration ends: in time, late, or not at all."""
        job = self.any(effects.Calibrate, 0 if pick % 3 else pick)
        if job is None:
            return
        model = {"w": job.student["w"] + params(delta)["w"]} if outcome == "done" else bad("nan")
        failed = events.CalibrationFailed(self.now(), job.job, "it diverged")
        self.go(failed if outcome == "failed" else events.CalibrationDone(self.now(), job.job, model))

    @rule(pick=PICK, delta=EIGHTHS, sound=st.sampled_from([True, True, True, False]))
    def scrubbed(self, pick: int, delta: tuple[int, int], sound: bool) -> None:
        """A client's own unlearning arrives."""
        task = self.task(effects.Unlearn, pick)
        if task is not None:
            delta_params = params(delta) if sound else bad("nan")
            self.go(events.ScrubArrived(self.now(), task.task, task.client, delta_params))

    @rule(pick=PICK)
    def timer(self, pick: int) -> None:
        """A timer fires, in any order."""
        timer = self.any(effects.SetTimer, pick)
        if timer is not None:
            self.go(events.TimerFired(self.now(), timer.request))

    @rule(pick=PICK)
    def purge(self, pick: int) -> None:
        """The durable copies are gone; saying so twice is an error."""
        purge = self.any(effects.Purge, pick)
        if purge is None:
            return
        if self.book.asks[purge.request].phase == "purging":
            self.go(events.Purged(self.now(), purge.request))
        else:
            self.refuse(events.Purged(self.now(), purge.request), IllegalEvent)

    @rule()
    def nonsense(self) -> None:
        """Events about what does not exist."""
        t = self.now()
        empty = params((0, 0))
        self.refuse(events.UpdateArrived(t, "nobody/0", "nobody", empty), UnknownClient)
        self.refuse(events.ScrubArrived(t, "nobody/0", "nobody", empty), UnknownClient)
        self.refuse(events.AnswerArrived(t, "nobody/0", "nobody", empty), UnknownClient)
        self.refuse(events.ClientJoined(t, ""), IllegalEvent)
        self.refuse(events.TaskFailed(t, "nobody/0", "nobody", "?"), UnknownClient)
        self.refuse(events.RequestWithdrawn(t, "nothing"), IllegalEvent)
        self.refuse(events.TimerFired(t, "nothing"), IllegalEvent)
        self.refuse(events.Purged(t, "nothing"), IllegalEvent)
        assert self.go(events.CalibrationDone(t, "heal/999", empty)) == ()

    # -- the end ------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Drive the world to its end: every request has to come to one."""
        if not getattr(self, "sound", False):
            return
        for name in self.book.epochs:
            self.go(events.ClientReturned(self.now(), name))
        for _ in range(60):
            if all(r.phase in TERMINAL for r in self.state.requests.values()):
                break
            self.one_round()
        phases = {r.id: r.phase for r in self.state.requests.values()}
        assert all(p in TERMINAL for p in phases.values()), phases
        assert self.state.heal is None

    def one_round(self) -> None:
        """Everything that is open ends well."""
        arrivals = (events.ScrubArrived, events.UpdateArrived, events.AnswerArrived)
        for kind, answer in zip((effects.Unlearn, effects.Train, effects.Perform), arrivals, strict=True):
            for task in [e for e in self.seen.get(kind, []) if e.task in self.book.tasks]:
                self.go(answer(self.now(), task.task, task.client, params((1, -1))))
        for job in [j for j in (self.state.heal, self.state.guard) if j is not None]:
            self.go(events.CalibrationDone(self.now(), job.id, dict(job.base)))
        for r in list(self.state.requests.values()):
            if self.book.asks[r.id].phase in {"rebuilding", "scrubbing"}:
                self.go(events.TimerFired(self.now(), r.id))
            if self.book.asks[r.id].phase == "purging":
                self.go(events.Purged(self.now(), r.id))


def bad(kind: str) -> dict[str, torch.Tensor]:
    """Parameters with one fault."""
    return {
        "nan": {"w": torch.tensor([float("nan"), 0.0])},
        "inf": {"w": torch.tensor([0.0, float("inf")])},
        "shape": {"w": torch.zeros(3)},
        "type": {"w": torch.zeros(2, dtype=torch.float64)},
        "name": {"v": torch.zeros(2)},
        "client": params((1, 1)),
    }[kind]


@pytest.mark.parametrize("name", [*SETS, *TOYS])
def test_every_history_keeps_the_promises(name: str) -> None:
    run_state_machine_as_test(type(f"Federation[{name}]", (Federation,), {"name": name}))
