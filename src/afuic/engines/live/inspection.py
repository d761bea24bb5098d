"""Reads every model that is still needed, again and again: a damaged file is to be known while a backup has it, not when it is used.

One model at a time and not more than one a second, so that the loop waits for nothing; the result is in the store's status.
"""

from __future__ import annotations

import logging

from afuic.engines.live.clock import Clock
from afuic.errors import StoreError
from afuic.store.book import Book

EVERY_S, PAUSE_S = 6 * 3600.0, 1.0

log = logging.getLogger("afuic.live")


class Inspection:
    """Begins with the process, and anew ``EVERY_S`` after it has ended."""

    def __init__(self, book: Book, clock: Clock) -> None:
        self.book, self.clock = book, clock
        self._waiting: list[str] | None = None
        self._fault: str | None = None
        self._due = clock.now()

    def turn(self) -> None:
        """Check the next model if it is time."""
        t = self.clock.now()
        if t < self._due:
            return
        if self._waiting is None:
            self._waiting, self._fault = self.book.needed()[::-1], None
        if self._waiting:
            self._check(self._waiting.pop())
            self._due = t + PAUSE_S
        else:
            self.book.checked(self.clock.at(), self._fault)
            self._waiting, self._due = None, t + EVERY_S

    def _check(self, name: str) -> None:
        try:
            self.book.check_model(name)
        except StoreError as error:
            if self._fault is None:
                self._fault = str(error)
                self.book.checked(self.clock.at(), self._fault)
            log.error("check of the store: %s", error)
