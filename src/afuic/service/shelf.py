"""The store as the API holds it: opened when it is first needed, because the API may start before the server has made it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from afuic.store.book import Book


class Shelf:
    """One Book for all threads."""

    def __init__(self, books: Callable[[], Book]) -> None:
        self._books = books
        self._book: Book | None = None
        self._lock = threading.Lock()

    def book(self) -> Book:
        """The federation's store; StoreError while there is none."""
        with self._lock:
            if self._book is None:
                self._book = self._books()
            return self._book

    def close(self) -> None:
        """Close it, if it was opened."""
        with self._lock:
            if self._book is not None:
                self._book.close()
                self._book = None
