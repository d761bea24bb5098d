"""A hospital whose network is cut while it trains, on Flower's real programs: the others go on, it comes back by itself, and what it did
meanwhile is applied once, or not at all where its erasure was asked for.

The tests share one federation and run in their order, each leaving it running.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from afuic.config import parse
from afuic.deploy import local
from afuic.engines import flower_commands as commands
from afuic.engines.flower_commands import Program
from afuic.engines.live.open import classes
from afuic.settings import Engine
from afuic.store.book import Book
from afuic.store.rows import ClientRow, Command
from tests.engines.flower.conftest import CONFIG
from tests.engines.flower.running import Running, wait
from tests.engines.flower.wires import SERVER_ADDRESS, Network, within

pytestmark = [pytest.mark.deployment, pytest.mark.slow]
HERE, CUT_OFF = "hospital-0", "hospital-1"
PATIENCE_S = 1800.0


class Apart(Running):
    """One hospital is in a network of its own."""

    far = ""

    def start(self, program: Program, name: str = "") -> None:
        name = name or program.name
        inside = ("ip", "netns", "exec", self.far) if name.endswith(CUT_OFF) else ()
        super().start(Program(program.name, (*inside, *program.argv), program.env), name)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Skips where namespaces cannot be made: without root, or in a container that does not allow it."""
    if sys.platform != "linux":
        pytest.skip("network namespaces are Linux's")
    made = Network(f"afuic{os.getpid()}")
    try:
        made.make()
    except OSError as error:
        made.remove()
        pytest.skip(f"network namespaces cannot be made here ({error})")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def federation(network: Network, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("cut") / "federation"
    with within(network.near):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(local, "Engine", lambda: Engine(public_host=SERVER_ADDRESS))
            local.create(folder, parse(CONFIG | {"training": {"steps": 20, "batch": 8}}), (HERE, CUT_OFF), {CUT_OFF: 50.0})
        running = Apart(folder, {**environment, "PATH": os.environ["PATH"]})
        running.far = network.far
        try:
            running.server()
            assert running.submit() == 0, running.said("submit")
            for name in running.names:
                running.join(name)
            yield running
        finally:
            running.close()


@pytest.fixture
def book(federation: Running) -> Iterator[Book]:
    opened = Book.open(federation.settings.database, federation.settings.store)
    yield opened
    opened.close()


def client(book: Book, name: str) -> ClientRow:
    return next(row for row in book.status().clients if row.name == name)


def until(federation: Running, what: str, done: Callable[[], bool]) -> None:
    """Programs of the hospital that gave up are started again, as a supervisor would."""

    def looked() -> bool:
        if not federation.running(f"node-{CUT_OFF}"):
            time.sleep(2.0)
            federation.node(CUT_OFF)
        if not federation.running(f"exec-{CUT_OFF}"):
            program = commands.hospital_superexec(federation.hospital(CUT_OFF), federation.site(CUT_OFF))
            federation.start(program, f"exec-{CUT_OFF}")
        return done()

    wait(what, looked, PATIENCE_S)


def kept(federation: Running) -> list[str]:
    """Tasks whose results the cut-off hospital keeps, since nobody has confirmed them."""
    tasks = []
    for path in (federation.site(CUT_OFF).state / "outbox").glob("*.json"):
        with suppress(OSError, ValueError):
            tasks.append(json.loads(json.loads(path.read_bytes())["document"])["task"])
    return tasks


def at_work(federation: Running) -> bool:
    """It has received a task that it has not answered."""
    answered = re.findall(r"(INFO|WARNING|ERROR) task '", federation.said(f"exec-{CUT_OFF}"))
    return federation.said(f"node-{CUT_OFF}").count("Received successfully") > len(answered)


def cut_at_work(federation: Running, network: Network, book: Book) -> str:
    """Cut the network while the hospital works on a task; returns when it has done it and the server has noticed."""
    wait("it is at work", lambda: at_work(federation), PATIENCE_S)
    task = client(book, CUT_OFF).task
    assert task is not None
    network.forward(False)
    wait("its result is kept", lambda: task in kept(federation), PATIENCE_S)
    wait("it is missed", lambda: not client(book, CUT_OFF).online, PATIENCE_S)
    return task


def entered(book: Book, name: str) -> list[str]:
    return [row.task for row in book.contributions(name, 10_000)]


def ended(book: Book) -> set[str]:
    """Tasks that an event has ended, in whatever way."""
    record = book.record(classes(), lambda name: {})
    return {getattr(event, "task", "") for _, event, _ in record}


def test_the_others_train_on_and_the_hospital_comes_back_by_itself(federation: Running, network: Network, book: Book) -> None:
    wait("both have trained", lambda: all(entered(book, name) for name in (HERE, CUT_OFF)), PATIENCE_S)
    task = cut_at_work(federation, network, book)
    assert task not in entered(book, CUT_OFF)
    before = client(book, HERE).applied
    wait("the other trains on", lambda: client(book, HERE).applied >= before + 3, PATIENCE_S)
    mine = len(entered(book, CUT_OFF))
    network.forward(True)
    until(federation, "it is back", lambda: client(book, CUT_OFF).online)
    until(federation, "its updates enter", lambda: len(entered(book, CUT_OFF)) >= mine + 2)
    until(federation, "the old task has ended", lambda: task in ended(book))
    assert entered(book, CUT_OFF).count(task) <= 1
    assert set(Counter(entered(book, HERE) + entered(book, CUT_OFF)).values()) == {1}
    assert book.check() < 1e-4


def test_what_it_did_while_its_erasure_was_asked_for_never_enters(federation: Running, network: Network, book: Book) -> None:
    wait("both have trained", lambda: all(entered(book, name) for name in (HERE, CUT_OFF)), PATIENCE_S)
    task = cut_at_work(federation, network, book)
    mine = entered(book, CUT_OFF)
    book.ask(Command(0, "erase", "cut-off", CUT_OFF, None, None, "leaves", "operator", "once", time.time()))
    wait("its erasure has been released", lambda: _phase(book) in {"purging", "completed"}, PATIENCE_S)
    network.forward(True)
    until(federation, "it is back", lambda: client(book, CUT_OFF).online)
    until(federation, "the request has ended", lambda: bool(book.certificates()))
    assert _phase(book) == "completed"
    before = client(book, HERE).applied
    until(federation, "the other trains on", lambda: client(book, HERE).applied >= before + 3)
    assert entered(book, CUT_OFF) == mine
    assert task not in mine
    assert client(book, CUT_OFF).erased
    assert book.check() < 1e-4


def _phase(book: Book) -> str:
    row = book.request("cut-off")
    return "asked" if row is None else row.phase
