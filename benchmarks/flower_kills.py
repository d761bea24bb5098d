"""SIGKILL to Flower's real processes and ours, at seeded random instants, while a federation trains and three erasures are asked for.

The federation is the one of `afuic deploy local`: TLS, node keys, nginx, a supervisor. Killed are the ServerApp, the SuperLink, SuperNodes,
SuperExecs, ClientApps, the API, nginx, and once the supervisor's guardian, which takes everything with it. A hospital leaves and patients
of another withdraw at the same moment, while the API is killed; a third request is taken back. What hospitals, askers and readers of the
store were told is noted as it happens, and afterwards looked for in the store, which is replayed. kill.py does the same to a fast
stand-in, hundreds of times. Writes benchmarks/results/flower_kills.json as it goes. 20 kills take about half an hour.

    python benchmarks/flower_kills.py --kills 20
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import common
import torch
from verdict import FINAL, faults, verdict

from afuic.config import parse
from afuic.deploy import dividing, local, running
from afuic.deploy.kernel import Family
from afuic.engines.hospital import withdrawals
from afuic.engines.live.open import classes
from afuic.engines.trial import Trial
from afuic.engines.worker import Worker
from afuic.errors import Denied, StoreError, Unreachable
from afuic.learning.networks import Network
from afuic.rng import stream
from afuic.service.client import Client
from afuic.service.schemas import Ask
from afuic.settings import HOSPITAL_FILE, SERVER_FILE, Access, Server, Site, load
from afuic.store.book import Book
from afuic.store.files import write_json

T = TypeVar("T")
PATIENCE_S = 1500.0
HOSPITALS = ("hospital-0", "hospital-1", "hospital-2")
PATIENTS, WHOLE, BACK = HOSPITALS
KINDS = ("serverapp", "superlink", "supernode", "clientapp", "server-superexec", "superexec", "api", "nginx", "everything")
WEIGHTS = (5, 4, 3, 3, 1, 1, 1, 1, 1)
TWO_AT_ONCE, THIRD = 0.2, 0.5
CONFIG: dict[str, Any] = {
    "name": "flower-kills",
    "methods": ["afuic"],
    "data": {"name": "phantom", "calibration": 40, "partition": {"kind": "iid", "clients": 3, "min_images": 8}},
    "training": {"steps": 8, "batch": 8},
    "options": {
        "afuic": {
            "heal": {"steps": 20, "batch": 32},
            "guard": {"versions": 60, "calibration": {"steps": 1}},
            "patients": "scrub",
            "patients_client": {"steps": 4, "batch": 8},
            "deadline_s": 300.0,
        }
    },
}


class Witness(threading.Thread):
    """Notes what others were told: events that the store had, and results that a hospital threw away because the server has them."""

    def __init__(self, folder: Path, settings: Server) -> None:
        super().__init__(daemon=True)
        self.folder, self.settings = folder, settings
        self.lines: list[dict[str, Any]] = []
        self.begun = time.monotonic()
        self.seq, self.ended = 0, threading.Event()
        self.results: dict[Path, str] = {}
        self.withdrawing: set[str] = set()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            self.look()

    def look(self) -> None:
        """At every outbox, then at the store."""
        for name in HOSPITALS:
            self._outbox(name, self.folder / "hospitals" / name / "state" / "outbox")
        try:
            with_book(self.settings, self._store)
        except StoreError:
            return

    def _outbox(self, name: str, outbox: Path) -> None:
        there = set(outbox.glob("*.json"))
        for path in there - set(self.results):
            try:
                self.results[path] = json.loads(json.loads(path.read_bytes())["document"])["task"]
            except (OSError, ValueError, KeyError):
                continue
        for path in [p for p in self.results if p.parent == outbox and p not in there]:
            task = self.results.pop(path)
            if name not in self.withdrawing:
                self.lines.append({"told": task})

    def _store(self, book: Book) -> None:
        if book.tip().seq == self.seq:
            return
        for seq, event, _ in book.record(classes(), lambda name: {}):
            if seq > self.seq:
                line = {"seq": seq, "kind": type(event).__name__, "task": getattr(event, "task", None)}
                self.lines.append(line | {"at_s": round(time.monotonic() - self.begun, 1)})
                self.seq = seq


def with_book(settings: Server, read: Callable[[Book], T]) -> T:
    """What ``read`` makes of the store, which is open only for so long."""
    book = Book.open(settings.database, settings.store)
    try:
        return read(book)
    finally:
        book.close()


class Campaign:
    """One federation under kills."""

    def __init__(self, folder: Path, kills: int, seed: int, tell: Callable[[dict[str, Any]], None]) -> None:
        self.folder, self.tell = folder, tell
        self.draws = stream(seed, "flower kills")
        local.create(folder, parse(CONFIG | {"seed": seed}), HOSPITALS, {BACK: 3.0})
        self.settings, self.place = load(folder / SERVER_FILE, Server), running.place(folder)
        self.witness = Witness(folder, self.settings)
        self.begun = self.witness.begun
        drawn = [kind for kind, weight in zip(KINDS, WEIGHTS, strict=True) for _ in range(weight)]
        self.order = [drawn[i] for i in self.draws.permutation(len(drawn))] * (kills // len(drawn) + 1)
        self.kills: list[dict[str, Any]] = []
        self.asking: list[threading.Thread] = []
        self.total, self.third = kills, ""

    def play(self) -> dict[str, Any]:
        """All kills, the end of every request, the stop; what was found."""
        running.detach(self.place, "local", tied=False)
        try:
            self._until("all have joined and trained", lambda book: len(self._trained(book)) == len(HOSPITALS))
            self.witness.start()
            for number in range(self.total):
                self._one(number)
            for thread in self.asking:
                thread.join(PATIENCE_S)
            self._until("every request has ended", lambda book: len(book.requests()) == 3 and self._ended(book))
            last = self._seq()
            self._until("those that stay train on", lambda book: book.tip().seq > last + 5)
            status = self._patiently("operator", lambda client: client.status())
            left = self._stop()
        finally:
            running.stop(self.place)
        return {"orphans": left, "hospitals": {c.name: c.applied for c in status.clients}, **self._found()}

    def _one(self, number: int) -> None:
        time.sleep(self.draws.uniform(45.0, 60.0))
        kind = self._milestone(number) or self.order[number]
        seq, phase = self._seq(), self._phase()
        name = self._kill(kind)
        struck = round(time.monotonic() - self.begun, 1)
        self.kills.append({"kind": kind, "process": name, "at_s": struck, "seq": seq, "during": phase})
        print(f"{number + 1}: {self.kills[-1]}", flush=True)
        self.tell({"kills": self.with_pauses()})
        self._keep()

    def with_pauses(self) -> list[dict[str, Any]]:
        """Each kill with the seconds until the store had a result that arrived afterwards; none where there was none yet."""
        arrivals = [line["at_s"] for line in self.witness.lines if line.get("kind") in {"UpdateArrived", "ScrubArrived"}]

        def pause(at: float) -> float | None:
            return next((round(arrival - at, 1) for arrival in arrivals if arrival > at), None)

        return [kill | {"next_update_s": pause(kill["at_s"])} for kill in self.kills]

    def _milestone(self, number: int) -> str | None:
        """Ask for what is due. While the two are asked for, and while the third is taken back, the API dies."""
        due = {round(share * self.total): share for share in (TWO_AT_ONCE, THIRD)}.get(number)
        if due == TWO_AT_ONCE:
            self._later(self._ask_patients)
            self._later(lambda: self._ask(WHOLE, "whole"))
            time.sleep(self.draws.uniform(0.0, 1.5))
            return "api"
        if due == THIRD:
            self.third = self._ask(BACK, "third")
            self._later(self._take_back)
            return "api"
        return None

    def _later(self, what: Callable[[], Any]) -> None:
        self.asking.append(threading.Thread(target=what))
        self.asking[-1].start()

    def _ask(self, client: str, key: str) -> str:
        ask = Ask(client=client, reason="kill campaign")
        row, _ = self._patiently("operator", lambda connection: connection.erase(ask, key))
        self.witness.lines.append({"asked": row.id})
        return row.id

    def _ask_patients(self) -> None:
        """By the command, at the hospital, until it has been acknowledged; the results it throws away were not confirmed."""
        home = self.folder / "hospitals" / PATIENTS
        known = sorted(set(_images(home)))[:5]
        (home / "withdrawn.csv").write_text("patient\n" + "\n".join(known) + "\n")
        self.witness.withdrawing.add(PATIENTS)
        argv = [
            sys.executable,
            "-m",
            "afuic.cli",
            "erase",
            "--patients",
            str(home / "withdrawn.csv"),
            "--reason",
            "x",
            "--home",
            str(home),
        ]
        while (done := subprocess.run(argv, capture_output=True, text=True, check=False)).returncode:
            print(done.stderr.strip().splitlines()[-1:], flush=True)
            time.sleep(1.0)
        self.witness.lines.append({"asked": re.findall(r"\br-[0-9a-f]+", done.stdout)[0]})
        time.sleep(2.0)
        self.witness.withdrawing.discard(PATIENTS)

    def _take_back(self) -> None:
        """Before its release, or the server says that it is too late."""
        with suppress(Denied):
            self._patiently("operator", lambda connection: connection.withdraw(self.third))

    def _patiently(self, role: str, ask: Callable[[Client], T]) -> T:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                with Client(load(self.folder / role / "client.toml", Access)) as connection:
                    return ask(connection)
            except Unreachable:
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)

    def _kill(self, kind: str) -> str:
        """Strike one process of that kind, once there is one; its name."""
        while True:
            names = self._names(kind)
            name = names[int(self.draws.integers(len(names)))]
            pids = self._pids(kind, name)
            if pids:
                pid = pids[int(self.draws.integers(len(pids)))]
                os.kill(pid, signal.SIGKILL)
                if kind == "everything":
                    self._again()
                return name
            time.sleep(0.1)

    def _names(self, kind: str) -> tuple[str, ...]:
        if kind in {"supernode", "superexec", "clientapp"}:
            return tuple(f"{h}-{'supernode' if kind == 'supernode' else 'superexec'}" for h in HOSPITALS)
        return ("server-superexec" if kind == "serverapp" else kind,)

    def _pids(self, kind: str, name: str) -> list[int]:
        if kind == "everything":
            guardian = running.running(self.place)
            return [] if guardian is None else [guardian]
        pid = running.read_status(self.place).get(name, {}).get("pid")
        if pid is None:
            return []
        return [p for p in descendants(pid) if named(p) == kind] if kind in {"serverapp", "clientapp"} else [pid]

    def _again(self) -> None:
        """As after a power cut, when all has ended."""
        while Family(self.place.mark).members():
            time.sleep(0.2)
        running.detach(self.place, "local", tied=False)

    def _until(self, what: str, holds: Callable[[Book], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not self._holds(holds):
            if time.monotonic() > until:
                raise SystemExit(f"after {PATIENCE_S:.0f} s still not: {what}; see {self.place.log}")
            time.sleep(0.5)

    def _holds(self, holds: Callable[[Book], bool]) -> bool:
        try:
            return with_book(self.settings, holds)
        except StoreError:
            return False

    def _trained(self, book: Book) -> list[str]:
        return [client.name for client in book.status().clients if client.applied]

    def _ended(self, book: Book) -> bool:
        rows = book.requests()
        return all(r.phase in FINAL for r in rows) and len(book.certificates()) == sum(r.phase == "completed" for r in rows)

    def _seq(self) -> int:
        return with_book(self.settings, lambda book: book.tip().seq)

    def _phase(self) -> str:
        rows = with_book(self.settings, lambda book: book.requests())
        return ", ".join(sorted({r.phase for r in rows if r.phase not in FINAL})) or "training"

    def _stop(self) -> int:
        """Stop everything; how many processes are left that have to do with the folder."""
        self.witness.ended.set()
        self.witness.join()
        running.stop(self.place)
        self.witness.look()
        return len(related(self.folder))

    def _keep(self) -> None:
        """What the verdict will rest on, beside the federation's folder."""
        write_json(self.folder.with_name("told.json"), {"lines": self.witness.lines, "kills": self.kills})

    def _found(self) -> dict[str, Any]:
        """The verdict."""
        self._keep()
        groups = {
            digest: group.ids
            for name in HOSPITALS
            for digest, group in withdrawals.standing(_site(self.folder / "hospitals" / name)).groups.items()
        }
        trial = Trial(self.settings, _worker(self.settings), groups)
        return with_book(self.settings, lambda book: verdict(trial, book, self.witness.lines))


def descendants(pid: int) -> list[int]:
    """The processes that one has started and that still run, with theirs."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [found for child in children for found in (child, *descendants(child))]


def named(pid: int) -> str:
    """What a process calls itself."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def related(folder: Path) -> list[int]:
    """Every process but this one whose command line or environment names the folder, whatever the supervisor thinks."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in said:
                found.append(int(entry.name))
    return found


def _images(home: Path) -> list[str]:
    from afuic.engines.hospital import data  # noqa: PLC0415

    return list(data.read(_site(home)).client.patients)


def _site(home: Path) -> Site:
    return load(home / HOSPITAL_FILE, Site)


def _worker(settings: Server) -> Worker:
    """What the simulator would compute with: everybody's images, and one thread, as server and hospitals have."""
    torch.set_num_threads(1)
    federation = dividing.divided(settings.federation)
    network = Network(settings.federation.model.name, federation.channels, federation.size, len(federation.class_names))
    return Worker(settings.federation, federation, network, patients=dict.fromkeys(federation.clients, ()))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=common.RESULTS / "flower_kills.json", help="the document to write")
    parser.add_argument("--kills", type=int, default=20, help="kills of all kinds (default 20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the federation goes and stays (default: a temporary folder)")
    options = parser.parse_args()
    head = common.origin("flower_kills", options.seed)
    with tempfile.TemporaryDirectory(prefix="afuic-flower-kills-") as scratch:
        folder = options.folder or Path(scratch) / "federation"
        campaign = Campaign(
            folder, options.kills, options.seed, lambda part: write_json(options.out, head | part | {"finished": False})
        )
        found = campaign.play()
    wrong = problems(found)
    counts = dict(Counter(kill["kind"] for kill in campaign.kills))
    common.write(
        options.out, head | {"finished": True, "counts": counts, "faults": wrong, "kills": campaign.with_pauses(), **found}
    )
    sys.exit(1 if wrong else 0)


def problems(found: dict[str, Any]) -> list[str]:
    """What is wrong, in words. Whether a late update of a hospital that left shows is chance here."""
    wrong = faults(found | {"late_update_quarantined": True})
    return wrong + ([f"orphans: {found['orphans']}"] if found["orphans"] else [])


if __name__ == "__main__":
    main()
