"""The database server is killed under a writer: what was acknowledged is there, what was not can be done again, nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afuic.errors import StoreError
from afuic.params import digest
from afuic.protocol import events as ev
from afuic.store.book import Book

from .little import Little, vector
from .postgres import Postgres, started

pytestmark = pytest.mark.deployment


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    own = started()
    yield own
    own.stop()


@pytest.fixture
def little(server: Postgres, tmp_path: Path) -> Iterator[Little]:
    book = Book.create(server.database(), tmp_path / "store", "f", "x", vector(0, 0))
    driver = Little(book)
    driver.happen(ev.ClientJoined, "a")
    yield driver
    book.close()


def test_a_killed_server_loses_no_acknowledged_event(server: Postgres, little: Little) -> None:
    for number in range(3):
        little.train("a", number, 1)
        server.kill()
        with pytest.raises(StoreError, match="cannot be used"):
            little.train("a", number, 2)
        server.start()
        little.train("a", number, 2)
        again = Little(little.book)
        assert (again.seq, again.state.applied) == (little.seq, 2 * number + 2)
    assert little.book.check() == 0.0


def test_a_commit_whose_answer_got_lost_is_not_done_twice(little: Little) -> None:
    """The connection breaks after the server has committed and before the writer hears of it."""
    engine, real = little.book._database.engine, little.book._database.engine.dialect.do_commit
    broken = False

    def do_commit(connection: Any) -> None:
        nonlocal broken
        real(connection)
        if not broken:
            broken = True
            connection.dbapi_connection.close()  # type: ignore[attr-defined] # what is asked of it from now on fails
            raise engine.dialect.dbapi.OperationalError("server closed the connection unexpectedly")  # type: ignore[union-attr]

    engine.dialect.do_commit = do_commit  # type: ignore[method-assign]
    task = little.state.task_of("a")
    assert task is not None
    with pytest.raises(StoreError):
        little.train("a", 2, 4)
    engine.dialect.do_commit = real  # type: ignore[method-assign]
    assert little.book.tip().seq == 2, "the event is there, although the writer does not know"
    little.train("a", 2, 4)
    assert little.book.tip().seq == 2
    assert [row.task for row in little.book.contributions()] == ["a/0"]
    again = Little(little.book)
    assert (again.state.applied, digest(again.state.model)) == (1, digest(little.state.model))


def test_another_event_than_the_doubtful_one_is_refused(little: Little) -> None:
    little.book._seq -= 1
    with pytest.raises(StoreError, match="has 1 events where this process knows 0; start it again"):
        little.train("a", 2, 4)


def test_the_server_is_asked_for_durable_commits(little: Little) -> None:
    with little.book._database.reading() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "repeatable read"
    with little.book._database.owning() as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "read committed"
