"""What do the others lose beside a hospital that sends what is meant to harm the server? And does any of many thousand changed replies?

The first: four hospitals in this process train on phantoms for a server with its store. For each kind of poison two federations take
turns, a slice at a time: in one the fourth hospital is away, in the other it sends that. Compared are the updates of the other three for
each second of a clock that counts this process's CPU time and, while there is nothing to do, the pauses: neither other programs on the
machine nor waits for the disk count. A server that a reply ends is started again after ``RESTART_S``. The second: replies of an honest
hospital, changed at random, nested documents among the pieces put in, are read, judged and taken up by the core; nothing may come of one
but an event, a failure or something held. Writes benchmarks/results/poison.json.

    python benchmarks/poison.py
"""

from __future__ import annotations

import argparse
import logging
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import common
import killed
import numpy as np
import torch

from afuic.certify.keys import make_key
from afuic.engines.flower_post import UNSIGNED
from afuic.engines.live import building, hearing
from afuic.engines.live.calibrating import Inline
from afuic.engines.live.certifying import signer
from afuic.engines.live.clock import Clock
from afuic.engines.live.driver import Driver
from afuic.engines.live.gate import Held
from afuic.engines.live.messages import Answer, pack_answer
from afuic.engines.live.starting import book_of
from afuic.engines.live.transport import Reply
from afuic.engines.standin import Habits, StandIn, performing
from afuic.errors import ProtocolError
from afuic.params import Params
from afuic.protocol import step
from afuic.rng import stream
from afuic.store import codec

BAD, WORK_S, PAUSE_S, RESTART_S = "hospital-3", 0.3, 0.02, 5.0
SLICE_S, SLICES, FLOOD = 4.0, 3, 50
NESTED = b"[" * 1_000_000

Spoil = Callable[[Reply], Reply]


def documented(change: Callable[[bytes], bytes]) -> Spoil:
    """Another document."""
    return lambda reply: replace(reply, document=change(reply.document))


def tensored(change: Callable[[Params], Params]) -> Spoil:
    """Another model."""
    return lambda reply: replace(reply, tensors=pack_answer(Answer(reply.task, change(codec._read(reply.tensors))))[1])


def headed(reply: Reply) -> Reply:
    """A safetensors header that is nested, of the length that a header may have."""
    header = b'{"__metadata__":' + b"[" * 1000 + b"]" * 1000 + b"}"
    return replace(reply, tensors=struct.pack("<Q", len(header)) + header + reply.tensors[8 + len(header) :])


KINDS: dict[str, Spoil] = {
    "a megabyte of brackets": documented(lambda _: NESTED),
    "nested objects": documented(lambda _: b'{"a":' * 200_000),
    "a nested safetensors header": headed,
    "UTF-16": documented(lambda document: document.decode().encode("utf-16")),
    "a number of a million digits": documented(lambda document: document.replace(b"null", b"9" * 1_000_000, 1)),
    "NaN in the document": documented(lambda document: document.replace(b"null", b"NaN", 1)),
    "NaN in the model": tensored(lambda model: {name: t * float("nan") for name, t in model.items()}),
    "wrong shapes": tensored(lambda model: {name: t.flatten()[:1] for name, t in model.items()}),
    "unsigned replies": lambda reply: Reply(reply.task, reply.client, failure=UNSIGNED),
    "replies to another's tasks": lambda reply: replace(reply, task="hospital-0/1"),
    "a flood of replies": lambda reply: reply,
}


@dataclass
class Ticks:
    """Seconds of CPU of this process, and what was added to them."""

    added: float = 0.0

    def __call__(self) -> float:
        return time.process_time() + self.added


@dataclass
class Trial:
    """A federation, of which a slice at a time is run. ``kind`` None: the fourth hospital is away."""

    folder: Path
    seed: int
    kind: str | None
    deaths: int = 0
    rates: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.made = killed.federation(self.folder, self.seed, None)
        make_key(self.made.settings.signing_key)
        self.start()

    def start(self) -> None:
        """A server begins, or goes on."""
        settings, self.ticks = self.made.settings, Ticks()
        worker, clock = building.worker(settings), Clock(self.ticks)
        self.book = book_of(settings, worker)
        clock.start(self.book.tip().t)
        spoil = (lambda reply: reply) if self.kind is None else KINDS[self.kind]
        hospitals = StandIn(
            dict.fromkeys(self.made.names, Habits(WORK_S)),
            performing(self.made.worker, self.made.groups),
            clock.now,
            self.folder / "hospitals",
            self.seed,
            spoil=lambda reply: spoil(reply) if reply.client == BAD else reply,
            gone=lambda client: self.kind is None and client == BAD,
        )
        if self.kind == "a flood of replies":
            hospitals.receive = flooding(hospitals.receive, clock)  # type: ignore[method-assign]
        parts: dict[str, Any] = {"clock": clock, "calibrator": Inline(worker), "certifier": signer(settings.signing_key)}
        self.driver = Driver(settings, building.rules(settings), worker, self.book, hospitals, **parts)

    def others(self) -> int:
        """Updates of the other hospitals that have entered."""
        return sum(c.applied for c in self.driver.standing.state.clients.values() if c.name != BAD)

    def slice(self) -> None:
        """Run for ``SLICE_S`` of the clock and note the others' rate."""
        begun, before, lost = self.driver.clock.now(), self.others(), 0.0
        while (passed := self.driver.clock.now() - begun + lost) < SLICE_S:
            try:
                busy = self.driver.turn()
            except (Exception, RecursionError):
                self.deaths, lost = self.deaths + 1, lost + RESTART_S
                self.book.close()
                self.start()
                continue
            self.ticks.added += 0.0 if busy else PAUSE_S
        self.rates.append((self.others() - before) / passed)

    def close(self) -> None:
        """The server ends."""
        self.book.close()


def flooding(receive: Callable[[], list[Reply]], clock: Clock) -> Callable[[], list[Reply]]:
    """``receive``, with ``FLOOD`` replies more that nobody asked for, each turn others."""

    def flooded() -> list[Reply]:
        t = clock.now()
        return [*(Reply(f"{BAD}/{n}{t:.4f}", BAD, b"[" * 1000) for n in range(FLOOD)), *receive()]

    return flooded


def beside(kind: str, folder: Path, seed: int) -> dict[str, Any]:
    """The others' updates a second beside this poison, against those without the fourth hospital, slices taken in turns."""
    without, poisoned = Trial(folder / "without", seed, None), Trial(folder / "poisoned", seed, kind)
    for _ in range(SLICES + 1):
        without.slice()
        poisoned.slice()
    held = Counter(row.reason[:80] for row in poisoned.book.quarantined(10_000) if row.client == BAD)
    bad = poisoned.driver.standing.state.clients[BAD]
    entered, row = bad.applied, next(c for c in poisoned.book.status().clients if c.name == BAD)
    for trial in (without, poisoned):
        trial.close()
    ratios = [p / w for p, w in zip(poisoned.rates[1:], without.rates[1:], strict=True)]  # the first slice warms up
    return {
        "kind": kind,
        "updates_per_s": {"without": common.spread(without.rates[1:]), "poisoned": common.spread(poisoned.rates[1:])},
        "ratio": common.spread(ratios) | {"whole": sum(poisoned.rates[1:]) / sum(without.rates[1:])},
        "server_ended": poisoned.deaths,
        "held": sum(held.values()),
        "reasons": dict(held.most_common(3)),
        "failures_in_a_row": row.failures,
        "its_updates_that_entered": entered,
    }


def fuzz(count: int, folder: Path, seed: int) -> dict[str, Any]:
    """What came of ``count`` changed replies to an open task; ``escaped``: exceptions that reading, judging or the core let through."""
    trial = Trial(folder / "fuzz", seed, None)
    while not (trial.others() > 5 and trial.driver.standing.open.work):
        trial.slice()
    standing, gate = trial.driver.standing, trial.driver.gate
    work = next(work for work in standing.open.work.values() if work.client != BAD)
    delta = {name: 0.01 * torch.ones_like(t) for name, t in standing.state.model.items()}
    honest = Reply(work.task, work.client, *pack_answer(Answer(work.task, delta)))
    draws, found, escaped = stream(seed, "fuzz"), Counter[str](), list[str]()
    for number in range(count):
        reply = changed(honest, draws)
        try:
            meaning = hearing.meaning(reply, standing.state, standing.open, gate, trial.driver.clock.now(), lambda task: False)
            found[kind_of(meaning)] += 1
            if kind_of(meaning) == "UpdateArrived":
                step(standing.rules, standing.state, meaning)  # type: ignore[arg-type]
        except ProtocolError:
            found["refused by the core"] += 1
        except Exception as error:
            escaped.append(f"reply {number}: {type(error).__name__}: {error}"[:200])
    trial.close()
    return {"replies": count, "came_of_them": dict(found), "escaped": len(escaped), "first": escaped[:5]}


def kind_of(meaning: object) -> str:
    """What a reply meant; of a failure, whether something was held."""
    held = isinstance(meaning, Held) or getattr(meaning, "held", None) is not None
    return "held" if held else type(meaning).__name__


def changed(reply: Reply, draws: np.random.Generator) -> Reply:
    """One to three changes in the document, in the tensors (mostly in their header) or in both."""
    document, tensors = reply.document, reply.tensors
    for _ in range(int(draws.integers(1, 4))):
        if draws.random() < 0.6:
            document = spliced(document, len(document), draws)
        else:
            header = 8 + int.from_bytes(tensors[:8], "little")
            tensors = spliced(tensors, min(header, len(tensors)) if draws.random() < 0.7 else len(tensors), draws)
    return replace(reply, document=document, tensors=tensors)


def spliced(content: bytes, within: int, draws: np.random.Generator) -> bytes:
    """With a piece put in somewhere within the first bytes, in the place of a few that are taken out."""
    place, new = int(draws.integers(0, within + 1)), piece(draws)
    cut = len(new) if draws.random() < 0.3 else int(draws.integers(0, 12))
    return content[:place] + new + content[place + cut :]


def piece(draws: np.random.Generator) -> bytes:
    """Random bytes, a word of JSON, or something nested, closed or not."""
    kind = int(draws.integers(0, 4))
    if kind == 0:
        return draws.bytes(int(draws.integers(1, 9)))
    if kind == 1:
        words = (
            b"NaN",
            b"-Infinity",
            b"1e999",
            b"9" * 5000,
            b"null",
            b'"task":1',
            b"\\ud800",
            b"\xef\xbb\xbf",
            b"\0",
            b"{}",
            b"[]",
            b'"',
        )
        return words[int(draws.integers(0, len(words)))]
    opening, closing = ((b"[", b"]"), (b'{"a":', b"}"), (b'[{"failed":[', b"]}]"))[int(draws.integers(0, 3))]
    depth = int(10 ** draws.uniform(0, 5 if kind == 2 else 2))
    return opening * depth + (b"1" + closing * depth if draws.random() < 0.5 else b"")


def measured(kinds: Iterable[str], replies: int, seed: int) -> dict[str, Any]:
    """The whole document but for its head."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows = []
        for number, kind in enumerate(kinds):
            rows.append(beside(kind, folder / str(number), seed))
            print(f"{kind}: {rows[-1]['ratio']}, ended {rows[-1]['server_ended']}, held {rows[-1]['held']}", flush=True)
        return {"slice_s": SLICE_S, "slices": SLICES, "poisons": rows, "fuzz": fuzz(replies, folder, seed)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=common.RESULTS / "poison.json", help="the document to write")
    parser.add_argument("--replies", type=int, default=27_000, help="changed replies (default 27000)")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS), help="poisons (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("afuic").setLevel(logging.CRITICAL)
    head = common.origin("poison", options.seed)
    common.write(options.out, head | measured(options.kinds, options.replies, options.seed))


if __name__ == "__main__":
    main()
