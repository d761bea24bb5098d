"""The processes that benchmarks/kill.py kills: a server with its hospitals, and one that asks for an erasure as the API does.

    python benchmarks/killed.py serve FOLDER       until FOLDER/stop is there
    python benchmarks/killed.py ask FOLDER COMMAND  the command as JSON

What has been acknowledged is noted in FOLDER/acknowledged.jsonl, which no kill of a process can take back. The database's URL, where it is
not SQLite, comes in the environment, since it holds a password.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from afuic.config import Config, parse
from afuic.engines.live import building
from afuic.engines.live.calibrating import Inline, Process
from afuic.engines.live.certifying import signer
from afuic.engines.live.clock import Clock
from afuic.engines.live.driver import Driver
from afuic.engines.live.starting import book_of
from afuic.engines.standin import Habits, StandIn, performing
from afuic.engines.trial import Trial, trial
from afuic.settings import Engine, Retention
from afuic.store.book import Book
from afuic.store.rows import Command

DATABASE, INLINE = "AFUIC_KILL_DATABASE", "AFUIC_KILL_INLINE"
BEGINS = ("purge", "certify", "snapshot", "record_verification")
CONFIG: dict[str, Any] = {
    "name": "kill",
    "methods": ["afuic"],
    "data": {"name": "phantom", "calibration": 40, "partition": {"kind": "iid", "clients": 4, "min_images": 8}},
    "training": {"steps": 2, "batch": 8},
    "options": {
        "afuic": {
            "heal": {"steps": 8, "batch": 32},
            "guard": {"versions": 12, "calibration": {"steps": 1}},
            "patients": "scrub",
            "patients_client": {"steps": 2, "batch": 8},
            "deadline_s": 5.0,
        }
    },
}


def config(seed: int) -> Config:
    """The federation of a run."""
    return parse(CONFIG | {"seed": seed})


def federation(folder: Path, seed: int, url: str | None) -> Trial:
    """The trial federation in ``folder``."""
    more = {"database": url, "retention": Retention(snapshot_events=40, versions=5)}
    return trial(config(seed), folder, **more, engine=Engine(task_deadline_s=4.0), verify_deadline_s=5.0)


def note(folder: Path, line: dict[str, Any]) -> None:
    """Append a line at once: the system has it when this returns."""
    handle = os.open(folder / "acknowledged.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(handle, (json.dumps(line) + "\n").encode())
    os.close(handle)


def serve(folder: Path, seed: int) -> None:
    """A server that goes on from whatever is in the folder."""
    begun = time.monotonic()
    made = federation(folder, seed, os.environ.get(DATABASE))
    settings, worker = made.settings, building.worker(made.settings)
    book, clock = book_of(settings, worker), Clock()
    book.append = witnessed(book, folder)  # type: ignore[method-assign]
    for name in BEGINS:
        setattr(book, name, announced(getattr(book, name), name, folder))
    clock.start(book.tip().t)
    kinds = {name: Habits(0.15 * 2**n, twice=0.15, lost=0.03, dies=0.05) for n, name in enumerate(made.names)}
    hospitals = StandIn(
        kinds,
        performing(made.worker, made.groups),
        clock.now,
        folder / "hospitals",
        seed,
        told=lambda client, tasks: [note(folder, {"told": task}) for task in tasks] and None,
        gone=lambda client: (folder / f"away-{client}").exists(),
    )
    calibrator = Inline(worker) if os.environ.get(INLINE) else Process(settings)
    parts = {"clock": clock, "calibrator": calibrator, "certifier": signer(settings.signing_key), "away_s": 0.3}
    driver = Driver(settings, building.rules(settings), worker, book, hospitals, **parts)
    standing = driver.standing
    print(
        json.dumps(
            {"seconds": time.monotonic() - begun, "events": standing.seq, "replayed": standing.seq - standing.snapshot_seq}
        ),
        flush=True,
    )
    driver.run((folder / "stop").exists, pause_s=0.02)
    book.close()


def witnessed(book: Book, folder: Path) -> Any:
    """The book's ``append``, which notes what it has made durable."""
    append = book.append

    def appended(event: Any, *states: Any, **more: Any) -> int:
        seq = append(event, *states, **more)
        note(folder, {"seq": seq, "kind": type(event).__name__, "task": getattr(event, "task", None)})
        return seq

    return appended


def announced(method: Any, name: str, folder: Path) -> Any:
    """A method of the book that notes when it begins, so that a kill can be aimed at its middle."""

    def begun(*arguments: Any, **more: Any) -> Any:
        note(folder, {"begins": name})
        return method(*arguments, **more)

    return begun


def ask(folder: Path, values: dict[str, Any]) -> None:
    """Ask once, and again as an asker does who is not sure; what is acknowledged is noted."""
    book = Book.open(os.environ.get(DATABASE), folder / "store")
    print("ready", flush=True)
    for _ in range(5):
        command, _ = book.ask(Command(0, **values, asked_at=time.time()))
        note(folder, {"asked": command.request})
        book.audit(time.time(), command.who, "operator", "erase", command.request, "accepted")
    book.close()


def main() -> None:
    """The command line."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "serve":
        logging.basicConfig(filename=folder / "server.log", level=logging.INFO, format="%(asctime)s %(message)s")
        serve(folder, int(sys.argv[3]))
    else:
        ask(folder, json.loads(sys.argv[3]))


if __name__ == "__main__":
    main()
