"""A federation of three hospitals with a real store, and its API with a token for each role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from fastapi import FastAPI

from afuic.config import Config
from afuic.protocol import initial, step
from afuic.protocol.events import ClientJoined, EraseRequested, Event, RequestWithdrawn, UpdateArrived
from afuic.service import tokens
from afuic.service.app import create_app
from afuic.service.tokens import Token
from afuic.settings import Api, Hospital, Images, Server
from afuic.store.book import Book
from tests.protocol.rule_sets import SETS

THETA0 = {"w": torch.tensor([0.0, 0.0])}
RULES = SETS["afuic-no-calibration-set"]
SALTED = "sha256:" + "5" * 64
HOSPITALS = ("hospital-1", "hospital-2", "hospital-3")


class Driver:
    """The server's part of the test: events into the store, as the driver would put them there."""

    def __init__(self, url: str | None, folder: Path) -> None:
        self.book = Book.create(url, folder, "phantoms", "sha256:" + "0" * 64, THETA0)
        self.state = initial(THETA0)
        self.t = 0.0
        self.rules = RULES

    def feed(self, event: Event, command: int | None = None) -> None:
        after, effects = step(self.rules, self.state, event)
        self.book.append(event, self.state, after, effects, at=1000.0 + event.t, command=command)
        self.state = after

    def train(self, client: str, *delta: float) -> None:
        """One update of the client."""
        self.t += 1
        task = self.state.task_of(client)
        assert task is not None
        self.feed(UpdateArrived(self.t, task.id, client, {"w": torch.tensor(delta)}))

    def populate(self) -> None:
        """The hospitals join and send an update each: version 3."""
        for name in HOSPITALS:
            self.feed(ClientJoined(0.0, name))
        for place, name in enumerate(HOSPITALS, 1):
            self.train(name, float(place), 0.0)

    def take_up(self) -> None:
        """Whatever was asked for becomes an event."""
        for command in self.book.commands():
            self.t += 1
            event: Event = RequestWithdrawn(self.t, command.request)
            if command.kind == "erase":
                event = EraseRequested(self.t, command.request, command.client, command.patients, command.salted)
            self.feed(event, command.id)

    def take_back(self) -> None:
        """The same where healing takes a while, so that a request can still be taken back."""
        self.rules = SETS["afuic-no-guard"]
        self.take_up()


def request(app: FastAPI, method: str, path: str, **how: Any) -> httpx.Response:
    """One call of the application, without a socket."""

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.request(method, path, **how)

    return asyncio.run(call())


@dataclass
class Service:
    """The API, a token for each caller, and the driver behind it."""

    settings: Server
    secrets: dict[str, str]
    driver: Driver
    app: FastAPI

    def call(self, who: str | None, method: str, path: str, **how: Any) -> httpx.Response:
        headers = how.pop("headers", {}) | ({"Authorization": f"Bearer {self.secrets[who]}"} if who else {})
        return request(self.app, method, path, headers=headers, **how)

    def get(self, who: str | None, path: str) -> httpx.Response:
        return self.call(who, "GET", f"/v1/{path}")

    def ask(self, who: str | None, key: str = "key-1", **body: Any) -> httpx.Response:
        wanted = {"client": "hospital-1", "reason": "left the study"} | body
        return self.call(who, "POST", "/v1/requests", json=wanted, headers={"Idempotency-Key": key})

    def audit(self) -> list[tuple[str, str, str, str]]:
        """Who, what, concerning whom and what came of it, oldest first."""
        return [(row.who, row.action, row.subject, row.outcome) for row in reversed(self.driver.book.audited(1000))]


def issue(folder: Path) -> dict[str, str]:
    """tokens.json with one token for each caller; the tokens."""
    callers = [("operator", "operator", None), ("auditor", "auditor", None), *((name, "hospital", name) for name in HOSPITALS)]
    made: dict[str, tuple[str, Token]] = {name: tokens.issue(name, role, hospital) for name, role, hospital in callers}  # type: ignore[arg-type]
    tokens.write(folder / "tokens.json", [entry for _, entry in made.values()])
    return {name: secret for name, (secret, _) in made.items()}


def configured(folder: Path, **api: Any) -> Server:
    """Settings with the tokens in ``folder``."""
    return Server(
        federation=Config(),
        images=Images(class_names=("a", "b")),
        hospitals=tuple(Hospital(name=name, node_key=f"ssh-ed25519 {name}") for name in HOSPITALS),
        store=folder / "store",
        api=Api(tokens=folder / "tokens.json", certificate=None, key=None, **api),
    )


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes the service, with settings of its API."""
    made: list[Service] = []

    def build(**api: Any) -> Service:
        secrets, settings = issue(tmp_path), configured(tmp_path, **api)
        driver = Driver(None, settings.store)
        app = create_app(settings, lambda: Book.open(None, settings.store))
        made.append(Service(settings, secrets, driver, app))
        return made[-1]

    yield build
    for service in made:
        service.app.state.shelf.close()
        service.driver.book.close()


@pytest.fixture
def service(make: Callable[..., Service]) -> Service:
    return make()


@pytest.fixture
def trained(service: Service) -> Service:
    """Three hospitals have joined and sent an update each: version 3."""
    service.driver.populate()
    return service
