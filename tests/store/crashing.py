"""Kill a writer again and again, at instants drawn at random, and look each time at what it has left. Run as a program of its own.

The writer is a forked process. It counts what it does to the disk and the database (every statement, commit, sync, rename, deletion) and
kills itself with SIGKILL before the n-th of these. What it had been told was durable it has written down, outside of the store. Syncing is
counted and not done: the process dies here, not the machine.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.engine import Engine

from afuic.protocol import check
from afuic.store import schema
from afuic.store.blobs import Blobs
from afuic.store.book import Book
from tests.store.little import CLASSES, Little, vector

INSTANTS = 2500


def doomed(after: int) -> None:
    """From now on this process lives for so many writes."""
    left = after

    def count(*_: Any, **__: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            count()
            return real(*args, **kwargs)

        return wrapped

    os.fsync = counted(lambda _: None)
    Path.replace = counted(Path.replace)  # type: ignore[method-assign]
    Path.unlink = counted(Path.unlink)  # type: ignore[method-assign]
    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)


def write(url: str | None, folder: Path, told: Path, draws: random.Random) -> None:
    """Be a federation until the end comes. A line is written when an append has returned: its number and the model's digest."""
    doomed(draws.randrange(INSTANTS))
    line = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    little = Little(Book.open(url, folder, write=True))
    while True:
        before = little.seq
        little.live(draws)
        for seq in range(before + 1, little.seq + 1):
            os.write(line, f"{seq} {little.book.tip().digest if seq == little.seq else '-'}\n".encode())


def look(url: str | None, folder: Path, told: Path) -> dict[str, int]:
    """Open what a killed writer has left and go through all of it; counts, for the test to judge."""
    book = Book.open(url, folder, write=True)
    try:
        little = Little(book)
        check(little.state)
        book.check()
        _nothing_lost(book, told)
        _nothing_twice(book, little)
        _nothing_left(book, folder)
        completed = [row for row in book.requests() if row.phase == "completed"]
        assert all(book.purge_report(row.id) is not None for row in completed)
        return {"events": little.seq, "completed": len(completed), "replayed": little.replayed}
    finally:
        book.close()


def _nothing_lost(book: Book, told: Path) -> None:
    digests = {seq: digest for seq, _, digest in book.record(CLASSES, lambda name: {name: vector(0)["w"]})}
    assert list(digests) == list(range(1, len(digests) + 1)), "events are not numbered one by one"
    lines = [line.split() for line in told.read_text().splitlines()] if told.exists() else []
    for seq, digest in lines:
        assert digest in {"-", digests[int(seq)]}, f"event {seq} was acknowledged with another model"
    acknowledged = int(lines[-1][0]) if lines else 0
    assert acknowledged <= book.tip().seq, "an acknowledged event is gone"


def _nothing_twice(book: Book, little: Little) -> None:
    rows = book.contributions(limit=100_000)
    assert sum(row.version is not None for row in rows) == little.state.applied
    with book._database.reading() as connection:
        table = schema.events
        tasks = connection.execute(
            select(table.c.task).where(table.c.kind == "UpdateArrived", table.c.task != "gone/0")
        ).scalars()
        names = list(tasks)
    assert len(names) == len(set(names)) == len(rows), "a task's result is there twice"


def _nothing_left(book: Book, folder: Path) -> None:
    with book._database.reading() as connection:
        used = set(connection.execute(select(schema.uses.c.digest)).scalars())
    blobs = Blobs(folder / "blobs")
    assert {p for p in blobs.folder.rglob("*") if p.is_file()} == {blobs.path(name) for name in used}, "files that nobody needs"
    for row in book.requests():
        report = book.purge_report(row.id)
        assert report is None or report.left == (), report


def main(url: str, folder: str, seed: str, kills: str) -> None:
    """Kill so many writers; what was found after the last, as JSON, with how often a purge was interrupted."""
    place, told, where = Path(folder) / "store", Path(folder) / "told", url or None
    Book.create(where, place, "f", "x", vector(0, 0)).close()
    found: dict[str, int] = {}
    for number in range(int(kills)):
        child = os.fork()
        if child == 0:
            try:
                write(where, place, told, random.Random(f"{seed} {number}"))
            except BaseException as error:
                sys.stderr.write(f"writer {number}: {type(error).__name__}: {error}\n")
            os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"writer {number} ended by itself"
        assert os.WTERMSIG(status) == signal.SIGKILL
        found = look(where, place, told)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
