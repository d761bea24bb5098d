"""Stores under test: the same contract over SQLite and over PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from afuic.store.book import Book

from .little import Little, vector
from .postgres import Postgres, started

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.deployment)]


@dataclass(frozen=True)
class Place:
    """Where a store is: the database's URL (None: SQLite in the folder) and the folder."""

    url: str | None
    folder: Path

    def create(self) -> Book:
        """A new store of a federation whose model is [0, 0]."""
        return Book.create(self.url, self.folder, "tests", "sha256:agreed", vector(0, 0))

    def open(self, *, write: bool = False) -> Book:
        """The store that is there."""
        return Book.open(self.url, self.folder, write=write)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests that want one."""
    server = started()
    yield server
    server.stop()


@pytest.fixture(params=BOTH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place where there is nothing yet."""
    url = request.getfixturevalue("postgres").database() if request.param == "postgresql" else None
    return Place(url, tmp_path / "store")


@pytest.fixture
def book(place: Place) -> Iterator[Book]:
    """A new store, open for writing."""
    made = place.create()
    yield made
    made.close()


@pytest.fixture
def little(book: Book) -> Little:
    """Hospitals a and b on a new store, each with a task."""
    from afuic.protocol import events

    driver = Little(book)
    driver.happen(events.ClientJoined, "a")
    driver.happen(events.ClientJoined, "b")
    return driver
