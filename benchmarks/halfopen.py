"""Half-finished TLS handshakes against a federation of this machine: how many updates the hospitals still get in.

The federation is the one of `afuic deploy local`: TLS, node keys, nginx, a supervisor. Quiet windows and windows under the flood take
turns, each of the same length. The flood is a process that holds so many connections to the public port of 127.0.0.1, each with the
first message of a handshake and nothing more, and opens another for each that is closed. It is bounded in number and in time, and yields
to everybody (nice 19), since an attacker would not use the server's processors. Counted are updates that entered, by the store. A window
under the flood is compared with the mean of the two quiet ones beside it. Writes benchmarks/results/halfopen.json.

    python benchmarks/halfopen.py --pairs 5 --window 60
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import selectors
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import common

from afuic.config import parse
from afuic.deploy import local, running
from afuic.deploy.processes import SERVED
from afuic.settings import SERVER_FILE, Server, load
from afuic.store.book import Book
from afuic.store.files import write_json

HOSPITALS = ("hospital-0", "hospital-1", "hospital-2")
CONFIG: dict[str, Any] = {
    "name": "halfopen",
    "methods": ["afuic"],
    "data": {"name": "phantom", "calibration": 40, "partition": {"kind": "iid", "clients": 3, "min_images": 8}},
    "training": {"steps": 4, "batch": 8},
}
ENOUGH = 0.9
PATIENCE_S, SETTLE_S, BATCH = 600.0, 5.0, 50


def hello() -> bytes:
    """How a TLS handshake begins."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def flood(port: int, connections: int, until: float, counts: Any) -> None:
    """Hold half-finished handshakes until a moment of the monotonic clock. ``counts``: opened, refused, held at most."""
    os.nice(19)
    resource.setrlimit(resource.RLIMIT_NOFILE, (connections + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    first, held, over = hello(), set[socket.socket](), selectors.DefaultSelector()
    with closing(over):
        while time.monotonic() < until:
            for _ in range(min(BATCH, connections - len(held))):
                _open(port, first, held, over, counts)
            counts[2] = max(counts[2], len(held))
            for key, _ in over.select(0.05):
                _hear(key.fileobj, held, over)
        for connection in held:
            connection.close()


def _open(port: int, first: bytes, held: set[socket.socket], over: selectors.BaseSelector, counts: Any) -> None:
    try:
        connection = socket.create_connection(("127.0.0.1", port), 2.0)
        connection.sendall(first)
    except OSError:
        counts[1] += 1
        return
    connection.setblocking(False)
    held.add(connection)
    over.register(connection, selectors.EVENT_READ)
    counts[0] += 1


def _hear(connection: Any, held: set[socket.socket], over: selectors.BaseSelector) -> None:
    """What the server answers is thrown away; where it closes, another one is opened later."""
    try:
        if connection.recv(65536):
            return
    except OSError:
        pass
    over.unregister(connection)
    held.discard(connection)
    connection.close()


class Federation:
    """One federation and what its store and its supervisor say."""

    def __init__(self, folder: Path, seed: int) -> None:
        local.create(folder, parse(CONFIG | {"seed": seed}), HOSPITALS, {})
        self.settings, self.place = load(folder / SERVER_FILE, Server), running.place(folder)

    def applied(self) -> dict[str, int]:
        """Updates that entered, by hospital."""
        book = Book.open(self.settings.database, self.settings.store)
        try:
            return {client.name: client.applied for client in book.status().clients}
        finally:
            book.close()

    def trained(self) -> None:
        """Return when each hospital has sent an update."""
        until = time.monotonic() + PATIENCE_S
        while not self._all_have():
            if time.monotonic() > until:
                sys.exit(f"after {PATIENCE_S:.0f} s still not all have trained; see {self.place.log}")
            time.sleep(1.0)

    def _all_have(self) -> bool:
        from afuic.errors import StoreError  # noqa: PLC0415

        try:
            found = self.applied()
        except StoreError:
            return False
        return all(found.get(name) for name in HOSPITALS)

    def starts(self) -> Counter[str]:
        """How often each process has been started."""
        return Counter({name: life["starts"] for name, life in running.read_status(self.place).items()})

    def window(self, kind: str, seconds: float) -> dict[str, Any]:
        """Watch for so long; what entered, and which processes did not do their work meanwhile."""
        began, before, starts = time.monotonic(), self.applied(), self.starts()
        idle: set[str] = set()
        while (left := began + seconds - time.monotonic()) > 0:
            idle |= {name for name, life in running.read_status(self.place).items() if life["stage"] not in SERVED}
            time.sleep(min(0.5, left))
        took, after = time.monotonic() - began, self.applied()
        updates = {name: after[name] - before[name] for name in HOSPITALS}
        return {
            "kind": kind,
            "seconds": round(took, 2),
            "updates": updates,
            "a_minute": round(60 * sum(updates.values()) / took, 2),
            "restarts": dict(self.starts() - starts),
            "not_at_work": sorted(idle),
            "load": round(os.getloadavg()[0], 2),
        }


def play(federation: Federation, pairs: int, seconds: float, connections: int, tell: Any) -> list[dict[str, Any]]:
    """Quiet, flood, quiet, flood … quiet."""
    windows: list[dict[str, Any]] = []
    for number in range(2 * pairs + 1):
        if number % 2:
            counts = multiprocessing.Array("l", 3)
            until = time.monotonic() + SETTLE_S + seconds
            attacker = multiprocessing.Process(
                target=flood, args=(federation.settings.engine.public_port, connections, until, counts), daemon=True
            )
            attacker.start()
            time.sleep(SETTLE_S)
            windows.append(federation.window("flood", seconds))
            attacker.join()
            windows[-1] |= dict(zip(("opened", "refused", "held_at_most"), counts, strict=True))
        else:
            time.sleep(SETTLE_S)
            windows.append(federation.window("quiet", seconds))
        print(windows[-1], flush=True)
        tell(windows)
    return windows


def found(windows: list[dict[str, Any]]) -> dict[str, Any]:
    """Each window under the flood to the mean of its neighbours, all of them to all quiet ones, and what was lost."""
    rates, floods = [window["a_minute"] for window in windows], range(1, len(windows), 2)
    ratios = [2 * rates[k] / (rates[k - 1] + rates[k + 1]) for k in floods]
    quiet = statistics.fmean(rates[::2])
    return {
        "ratios": [round(ratio, 3) for ratio in ratios],
        "ratio": {name: round(value, 3) for name, value in common.spread(ratios).items()},
        "flood_to_quiet": round(statistics.fmean(rates[k] for k in floods) / quiet, 3),
        "quiet_to_quiet": {
            name: round(value, 3) for name, value in common.spread([rate / quiet for rate in rates[::2]]).items()
        },
        "restarts": dict(sum((Counter(window["restarts"]) for window in windows), Counter[str]())),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=common.RESULTS / "halfopen.json", help="the document to write")
    parser.add_argument("--pairs", type=int, default=5, help="windows under the flood, each between two quiet ones (default 5)")
    parser.add_argument("--window", type=float, default=60.0, help="seconds of a window (default 60)")
    parser.add_argument("--connections", type=int, default=2040, help="half-finished handshakes held at once (default 2040)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    head = common.origin("halfopen", options.seed) | {
        "connections": options.connections,
        "window_s": options.window,
        "hospitals": len(HOSPITALS),
    }
    with tempfile.TemporaryDirectory(prefix="afuic-halfopen-") as scratch:
        federation = Federation(Path(scratch) / "federation", options.seed)
        running.detach(federation.place, "local", tied=True)
        try:
            federation.trained()
            windows = play(
                federation,
                options.pairs,
                options.window,
                options.connections,
                lambda some: write_json(options.out, head | {"finished": False, "windows": some}),
            )
        finally:
            running.stop(federation.place)
    document = head | {"finished": True, **found(windows), "windows": windows}
    common.write(options.out, document)
    sys.exit(0 if document["flood_to_quiet"] >= ENOUGH else 1)


if __name__ == "__main__":
    main()
