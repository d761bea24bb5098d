"""Where the federation stands: its state and what is open, always what the store's events lead to.

An event is taken up here only after the store has it. ``load`` reads the newest snapshot and the events after it, and compares the model
with the one that the store recorded: a driver never goes on from anything else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from afuic.engines.live import open as opening
from afuic.engines.live.clock import Clock
from afuic.engines.live.open import Open, take_up
from afuic.errors import IllegalEvent, InvariantViolation, ProtocolError
from afuic.params import digest
from afuic.protocol import Rules, State, initial, step
from afuic.protocol.effects import Effect
from afuic.protocol.events import Event
from afuic.settings import Retention
from afuic.store.book import Book
from afuic.store.rows import Tip
from afuic.text import shown

log = logging.getLogger("afuic.live")


class Standing:
    """``verify_s``: how long a certificate waits for the hospital's own scores."""

    def __init__(self, rules: Rules, book: Book, clock: Clock, verify_s: float, retention: Retention) -> None:
        self.rules, self.book, self.clock, self.verify_s, self.retention = rules, book, clock, verify_s, retention
        self.seq = self.snapshot_seq = 0
        self.state = initial(book.theta0())
        self.open = Open()
        self._noticed: set[tuple[str, str]] = set()
        self.load()

    def load(self) -> None:
        """Take the state from the store; InvariantViolation where its events do not lead to the model that it recorded."""
        classes = opening.classes()
        self.seq, state, opened = self.book.resume(classes)
        self.state = initial(self.book.theta0()) if state is None else state
        self.open = opened if isinstance(opened, Open) else Open()
        self.snapshot_seq = self.seq
        for seq, event in self.book.events(self.seq, classes):
            after, effects = step(self.rules, self.state, event)
            self.open = take_up(self.open, event, effects, after, self.verify_s)
            self.state, self.seq = after, seq
            self.clock.start(event.t)
        tip = self.book.tip()
        self.clock.start(tip.t)
        self._compare(tip)

    def happen(self, event: Event, command: int | None = None) -> None:
        """Let an event happen: durable first, then true. ProtocolError or StoreError: it has not happened."""
        after, effects, opened = self._judged(event)
        self.seq = self.book.append(event, self.state, after, effects, at=self.clock.at(), command=command)
        for note in _new_notes(self.state, after):
            log.warning("%s", shown(note))
        self.state, self.open = after, opened

    def _judged(self, event: Event) -> tuple[State, tuple[Effect, ...], Open]:
        """What would come of an event; whatever its numbers make anything raise is an objection to the event."""
        try:
            after, effects = step(self.rules, self.state, event)
            return after, effects, take_up(self.open, event, effects, after, self.verify_s)
        except ProtocolError:
            raise
        except Exception as error:
            raise IllegalEvent(f"a {type(event).__name__} that cannot be taken up ({type(error).__name__})") from error

    def keep(self) -> None:
        """A snapshot when enough has happened since the last, and the retention's sweep after it."""
        if self.seq - self.snapshot_seq >= self.retention.snapshot_events:
            self.book.snapshot(self.seq, self.state, self.open)
            self.snapshot_seq = self.seq
            self.book.sweep(self.retention)
            self.book.testify()

    def notify(self) -> None:
        """Tell hospitals, through the inbox that they look into while they work, which tasks to stop."""
        wanted = set(_pairs(self.open))
        for client, task in wanted - self._noticed:
            self.book.notice(client, task)
        for client, task in self._noticed - wanted:
            self.book.clear(client, task)
        self._noticed = wanted

    def _compare(self, tip: Tip) -> None:
        found = digest(self.state.model)
        if (tip.seq, tip.digest) != (self.seq, found):
            raise InvariantViolation(
                f"store of {self.book.federation}: its {self.seq} events lead to model {found}, recorded is {tip.digest} after {tip.seq}; "
                f"were settings or software changed? Go back to those that wrote it, or restore the store from a backup"
            )


def _new_notes(before: State, after: State) -> Iterator[str]:
    """What did not go as planned in this step, by request."""
    for record in after.requests.values():
        known = before.requests.get(record.id)
        yield from (f"request {record.id}: {note}" for note in record.notes[len(known.notes) if known else 0 :])


def _pairs(open_: Open) -> Iterable[tuple[str, str]]:
    return ((client, task) for client, tasks in open_.stopped.items() for task in tasks)
