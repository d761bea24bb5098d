"""A deployment's server with hospitals in this process, on phantoms, whose clock stands still unless it is moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from afuic.certify.keys import make_key
from afuic.config import Config, parse
from afuic.engines.live import building
from afuic.engines.live.calibrating import Inline
from afuic.engines.live.certifying import signer
from afuic.engines.live.clock import Clock
from afuic.engines.live.driver import Driver
from afuic.engines.live.starting import book_of
from afuic.engines.standin import Habits, StandIn, performing
from afuic.engines.trial import Trial, trial
from afuic.errors import Halted
from afuic.store.book import Book
from afuic.store.rows import Command

CONFIG: dict[str, Any] = {
    "name": "trial",
    "methods": ["afuic"],
    "data": {"name": "phantom", "calibration": 40, "partition": {"kind": "iid", "clients": 3, "min_images": 8}},
    "training": {"steps": 2, "batch": 8},
    "options": {"afuic": {"heal": {"steps": 4, "batch": 32}, "guard": {"versions": 4, "calibration": {"steps": 1}}}},
}
SCRUB = {"patients": "scrub", "deadline_s": 30.0, "patients_client": {"steps": 2, "batch": 8}}


def config(**options: Any) -> Config:
    """The federation's configuration, with options of the method."""
    return parse(CONFIG | {"options": {"afuic": {**CONFIG["options"]["afuic"], **options}}})


@dataclass
class Hands:
    """A clock that is moved by hand: ``ticks`` is what the machine counts, ``wall`` what it shows."""

    ticks: float = 0.0
    wall: float = 1_700_000_000.0

    def move(self, seconds: float) -> None:
        self.ticks += seconds
        self.wall += seconds


@dataclass
class Live:
    """A federation whose server can be stopped and started again."""

    trial: Trial
    folder: Path
    habits: dict[str, Habits]
    hands: Hands = field(default_factory=Hands)
    standin: dict[str, Any] = field(default_factory=dict)
    driver: Driver = None  # type: ignore[assignment]
    asked: int = 0

    def start(self) -> Driver:
        """A server process begins, on whatever there is in the folder."""
        clock = Clock(lambda: self.hands.ticks, lambda: self.hands.wall)
        settings = self.trial.settings
        worker = building.worker(settings)
        measure = building.yardstick(worker, building.validation(settings.validation, settings.images))
        book = book_of(settings, worker)
        if (halted := book.standstill()) is not None:
            book.close()
            raise Halted(halted)
        clock.start(book.tip().t)
        perform = performing(self.trial.worker, self.trial.groups)
        hospitals = StandIn(self.habits, perform, clock.now, self.folder / "hospitals", **self.standin)
        parts = {"clock": clock, "calibrator": Inline(worker, measure), "certifier": signer(settings.signing_key)}
        self.driver = Driver(settings, building.rules(settings), worker, book, hospitals, **parts, away_s=0.5)
        return self.driver

    def stop(self) -> None:
        """It ends, as if killed: nothing is said to anybody."""
        self.book.close()

    @property
    def book(self) -> Book:
        return self.driver.book

    @property
    def state(self) -> Any:
        return self.driver.standing.state

    def ask(self, client: str, patients: int | None = None, salted: str | None = None, kind: str = "erase", **more: str) -> str:
        """Ask through the store, as the API does."""
        self.asked += 1
        request = more.get("request", f"request-{self.asked}")
        at = self.hands.wall
        self.book.ask(Command(0, kind, request, client, patients, salted, "a test", "operator", f"key-{self.asked}", at))
        return request

    def ask_patients(self, client: str) -> str:
        salted, ids = self.trial.patients(client)
        return self.ask(client, len(ids), salted)

    def turns(self, count: int, step_s: float = 0.1) -> None:
        for _ in range(count):
            self.driver.turn()
            self.hands.move(step_s)

    def until(self, holds: Callable[[], bool], most: int = 600, step_s: float = 0.1) -> None:
        """Turn until something holds."""
        for _ in range(most):
            if holds():
                return
            self.turns(1, step_s)
        raise AssertionError(f"still not so after {most} turns: {self.phases()}")

    def phases(self) -> dict[str, str]:
        return {row.id: row.phase for row in self.book.requests()}

    def ended(self, requests: Sequence[str] = ()) -> bool:
        found = self.phases()
        return all(phase in {"completed", "superseded", "withdrawn", "failed"} for phase in found.values()) and set(
            requests
        ) <= set(found)


Make = Callable[..., Live]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Make]:
    """Makes a federation and starts its server; ``options`` are the method's, ``settings`` the server's, ``habits`` the hospitals'."""
    made: list[Live] = []

    def make(
        options: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        habits: dict[str, Habits] | None = None,
        **standin: Any,
    ) -> Live:
        found = trial(config(**options or {}), tmp_path, **settings or {})
        if not found.settings.signing_key.exists():
            make_key(found.settings.signing_key)
        plain = {name: Habits(work_s=0.1 * (1 + 3 * index)) for index, name in enumerate(found.names)}
        made.append(Live(found, tmp_path, plain | (habits or {}), standin=standin))
        made[-1].start()
        return made[-1]

    yield make
    for found in made:
        found.stop()
