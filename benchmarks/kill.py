"""SIGKILL to everything that writes, at seeded random instants, while three erasures are asked for: is anything lost or done twice?

Each run is a federation of its own on phantoms, with real training: one hospital leaves, patients of another are withdrawn, a third is away
when its erasure is asked for and comes back with an old update. Killed are the server, the process that asks (the API's writer), and
PostgreSQL's server in every second run. Kills of the server are aimed at unlearning, healing, purges and certificates while there are any,
else at random instants; what was under way is read from the store of the dead server. Afterwards everything acknowledged is looked for
in the store, which is then replayed. Writes benchmarks/results/kill.json. 200 kills take about an hour on two cores.

    python benchmarks/kill.py --kills 200
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import common
import killed
from process import Process
from verdict import faults, verdict

from afuic.certify.keys import make_key
from afuic.errors import StoreError
from afuic.rng import stream
from afuic.store.book import Book
from afuic.store.rows import RequestRow

PATIENCE_S = 300.0
PER_RUN = 20
ENDED = {"completed", "superseded", "withdrawn", "failed", "refused"}
WHOLE, PATIENTS, AWAY = "hospital-0", "hospital-1", "hospital-2"
MILESTONES = {0.1: "whole", 0.35: "patients", 0.5: "leave", 0.6: "away", 0.85: "return"}
AIMS = {
    "whole": ("EraseRequested", "CalibrationDone", "purge", "certify"),
    "patients": ("EraseRequested", "ScrubArrived", "purge", "record_verification"),
    "away": ("EraseRequested", "purge", "certify", "snapshot"),
}
AIM_S = 8.0
TARGETS = {
    "sqlite": ("server", "server", "asker", "server"),
    "postgresql": ("server", "database", "asker", "server", "database"),
}


class Run:
    """One federation under kills."""

    def __init__(self, folder: Path, seed: int, number: int, postgres: Any = None) -> None:
        self.folder, self.seed, self.postgres = folder, seed * 1000 + number, postgres
        self.draws = stream(seed, "kill", number)
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if number % 2 == 0:
            self.environment[killed.INLINE] = "1"
        self.url = None if postgres is None else postgres.database()
        if self.url is not None:
            self.environment[killed.DATABASE] = self.url
        self.starts: list[dict[str, float]] = []
        self.phases: Counter[str] = Counter()
        self.kills: Counter[str] = Counter()
        self.asked = 0
        self.offset, self.aims = 0, list[str]()
        self.aimed: Counter[str] = Counter()
        self.trial = killed.federation(folder, self.seed, self.url)
        make_key(self.trial.settings.signing_key)

    def play(self, targets: tuple[str, ...]) -> dict[str, Any]:
        """Kill ``targets`` one after the other, then let everything end; what was found."""
        self._serve()
        try:
            self._play(targets)
        finally:
            self.server.kill()
        return self._found()

    def _play(self, targets: tuple[str, ...]) -> None:
        due = dict(MILESTONES)
        for number, target in enumerate(targets):
            for share in [s for s in due if s * len(targets) <= number]:
                self._milestone(due.pop(share))
            getattr(self, f"_kill_{target}")()
        for what in due.values():
            self._milestone(what)
        self._end()

    def _serve(self) -> None:
        self.server = Process("serve", str(self.folder), str(self.seed), environment=self.environment)

    def _wait_ready(self) -> None:
        """Until the server stands; one that ended because its database was gone is started again, as a supervisor does."""
        known = bool(self.server.said)
        while (line := self.server.ready()) is None:
            self.server.kill()
            self._serve()
            known = False
        if not known:
            self.starts.append(json.loads(line))

    def _kill_server(self) -> None:
        """While an erasure is worked on, aimed at what is dangerous; else mostly while it works, sometimes while it starts."""
        if self.aims:
            self._wait_ready()
            self._aim(self.aims.pop())
        elif self.draws.random() < 0.8:
            self._wait_ready()
            time.sleep(self.draws.uniform(0.0, 2.0))
        else:
            time.sleep(self.draws.uniform(0.0, 4.0))
        self._struck("server", self.server.kill())
        self._serve()

    def _aim(self, what: str) -> None:
        """Until that has begun or happened since the last look, and a little longer; in vain it is a kill at a random instant."""
        path, until = self.folder / "acknowledged.jsonl", time.monotonic() + AIM_S
        while time.monotonic() < until:
            if f'"{what}"'.encode() in path.read_bytes()[self.offset :]:
                self.aimed[what] += 1
                break
            time.sleep(0.002)
        time.sleep(self.draws.uniform(0.0, 0.05))
        self.offset = path.stat().st_size

    def _struck(self, target: str, alive: bool) -> None:
        """Count a kill, and what was under way: nothing moves in the store of a server that is dead."""
        self.kills[target] += alive
        if alive and target == "server":
            self.phases[self._phase()] += 1

    def _kill_asker(self) -> None:
        """While it asks for something that will be refused, so that any number can be asked for."""
        self._wait_ready()
        self._ask("nobody", kill=True)

    def _kill_database(self) -> None:
        self._wait_ready()
        time.sleep(self.draws.uniform(0.0, 1.5))
        self.postgres.kill()
        self._struck("database", True)
        time.sleep(self.draws.uniform(0.0, 0.5))
        self.postgres.start()

    def _milestone(self, what: str) -> None:
        self._wait_ready()
        away = self.folder / f"away-{AWAY}"
        if what in AIMS:
            told = self.folder / "acknowledged.jsonl"
            self.offset = told.stat().st_size if told.exists() else 0
            self.aims = list(reversed(AIMS[what]))
        if what == "leave":
            self._until(lambda book: any(c.name == AWAY and c.task for c in book.status().clients))
            away.touch()
            self._until(lambda book: any(c.name == AWAY and not c.online for c in book.status().clients))
        elif what == "return":
            away.unlink()
        elif what == "patients":
            salted, ids = self.trial.patients(PATIENTS)
            self._ask(PATIENTS, len(ids), salted)
        else:
            self._until(lambda book: len(book.status().clients) == len(self.trial.names))
            self._ask({"whole": WHOLE, "away": AWAY}[what])

    def _ask(self, client: str, patients: int | None = None, salted: str | None = None, *, kill: bool = False) -> None:
        """Ask in a process of its own until it has been acknowledged; with ``kill`` the first such process is killed."""
        self.asked += 1
        command = {
            "kind": "erase",
            "request": f"request-{self.asked}",
            "client": client,
            "patients": patients,
            "salted": salted,
        }
        command |= {"reason": "kill campaign", "who": "operator", "key": f"key-{self.asked}"}
        while True:
            asker = Process("ask", str(self.folder), json.dumps(command), environment=self.environment)
            if kill and asker.ready() is not None:
                time.sleep(self.draws.uniform(0.0, 0.1))
                self._struck("asker", asker.kill())
                kill = False
            elif asker.process.wait() == 0:
                asker.close()
                return
            else:
                asker.close()

    def _end(self) -> None:
        self._wait_ready()
        self._until(lambda book: len(book.requests()) == self.asked and all(r.phase in ENDED for r in book.requests()))
        self._until(lambda book: len(book.certificates()) == sum(r.phase == "completed" for r in book.requests()))
        (self.folder / "stop").touch()
        code = self.server.process.wait(PATIENCE_S)
        self.server.close()
        if code:
            raise SystemExit(f"the server ended with {code}: {(self.folder / 'errors.log').read_text()[-2000:]}")

    def _until(self, holds: Any) -> None:
        until = time.monotonic() + PATIENCE_S
        while not self._holds(holds):
            if time.monotonic() > until:
                raise SystemExit(f"it never came to that; see {self.folder}/server.log: {self._phase()}")
            if self.server.process.poll() is not None:
                self._serve()
                self._wait_ready()
            time.sleep(0.1)

    def _holds(self, holds: Any) -> bool:
        try:
            with self._book() as book:
                return bool(holds(book))
        except StoreError:
            return False

    def _phase(self) -> str:
        """What is under way in the store: phases of requests, and "uncertified" for one that has ended without its certificate yet."""
        rows: list[RequestRow] = []
        certified: list[str] = []
        seen = self._holds(
            lambda book: (rows.extend(book.requests()), certified.extend(c.request for c in book.certificates()))
        )
        under_way = {r.phase for r in rows if r.phase not in ENDED}
        under_way |= {"uncertified" for r in rows if r.phase == "completed" and r.id not in certified}
        return ", ".join(sorted(under_way)) or ("training" if seen else "no store yet")

    @contextmanager
    def _book(self) -> Iterator[Book]:
        book = Book.open(self.url, self.folder / "store")
        try:
            yield book
        finally:
            book.close()

    def _found(self) -> dict[str, Any]:
        lines = (self.folder / "acknowledged.jsonl").read_text().splitlines()
        with self._book() as book:
            found = verdict(self.trial, book, [json.loads(line) for line in lines])
        kind = "sqlite" if self.url is None else "postgresql"
        return {
            "database": kind,
            "kills": dict(self.kills),
            "server_killed_during": dict(self.phases),
            "aimed": dict(self.aimed),
            "starts": self.starts,
            **found,
        }


def one(seed: int, number: int, kills: int, folder: Path) -> dict[str, Any]:
    """One run, every second one with a PostgreSQL server of its own."""
    sys.path.insert(0, str(common.ROOT))
    from tests.store.postgres import started  # noqa: PLC0415 - the tests are no package of this script's

    place = folder / f"run-{number}"
    place.mkdir(parents=True)
    server = started() if number % 2 else None
    order = TARGETS["postgresql" if server else "sqlite"]
    try:
        found = Run(place, seed, number, server).play(tuple(order[i % len(order)] for i in range(kills)))
    finally:
        if server is not None:
            server.stop()
    print(f"run {number} ({found['database']}): {found['kills']}, faults: {faults(found) or 'none'}", flush=True)
    return found


def campaign(kills: int, seed: int, folder: Path, jobs: int) -> dict[str, Any]:
    """As many runs as it takes: a kill that found its process ended already does not count."""
    runs: list[dict[str, Any]] = []
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        while (left := kills - sum(sum(run["kills"].values()) for run in runs)) > 0:
            counts = [min(PER_RUN, left - begun) for begun in range(0, left, PER_RUN)]
            numbers = range(len(runs), len(runs) + len(counts))
            runs += pool.map(one, repeat(seed), numbers, counts, repeat(folder))
    total = sum((Counter(run["kills"]) for run in runs), Counter[str]())
    return {"kills": dict(total), "faults": sum(len(faults(run)) for run in runs), "runs": runs}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=common.RESULTS / "kill.json", help="the document to write")
    parser.add_argument("--kills", type=int, default=200, help="kills of all kinds (default 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default 2)")
    parser.add_argument("--folder", type=Path, help="where the stores go and stay (default: a temporary folder)")
    options = parser.parse_args()
    head = common.origin("kill", options.seed)
    with tempfile.TemporaryDirectory(prefix="afuic-kill-") as scratch:
        found = campaign(options.kills, options.seed, options.folder or Path(scratch), options.jobs)
    common.write(options.out, head | found)
    sys.exit(1 if found["faults"] else 0)


if __name__ == "__main__":
    main()
