"""From ``federation.toml`` to a driver that runs: the store is made or opened, everything else built beside it."""

from __future__ import annotations

from collections.abc import Callable

from afuic import settings as configured
from afuic.engines.live import building
from afuic.engines.live.calibrating import Process
from afuic.engines.live.certifying import signer
from afuic.engines.live.clock import Clock
from afuic.engines.live.driver import Driver
from afuic.engines.live.transport import Transport
from afuic.engines.worker import Worker
from afuic.errors import ConfigError
from afuic.settings import Server
from afuic.store.book import Book


def serve(settings: Server, transport: Transport, stop: Callable[[], bool]) -> None:
    """Run the federation until ``stop``. Whatever this process had begun before is gone on with."""
    worker = building.worker(settings)
    book = book_of(settings, worker)
    try:
        driver_of(settings, worker, book, transport).run(stop)
    finally:
        book.close()


def driver_of(settings: Server, worker: Worker, book: Book, transport: Transport) -> Driver:
    """The driver with its usual parts: the machine's clock, calibration in a process of its own, certificates signed."""
    return Driver(
        settings,
        building.rules(settings),
        worker,
        book,
        transport,
        clock=Clock(),
        calibrator=Process(settings),
        certifier=signer(settings.signing_key),
    )


def book_of(settings: Server, worker: Worker) -> Book:
    """The federation's store, open for writing, made if it is not there; ConfigError where it belongs to other settings."""
    agreed = configured.agreed(settings.federation, settings.images)
    if not Book.exists(settings.database, settings.store):
        return Book.create(settings.database, settings.store, settings.federation.name, agreed, worker.initial())
    book = Book.open(settings.database, settings.store, write=True)
    if book.agreed != agreed:
        book.close()
        raise ConfigError(
            f"{settings.store}: was made with other [federation] or [images] settings; go back to those, or begin a new federation in "
            f"another folder"
        )
    return book
