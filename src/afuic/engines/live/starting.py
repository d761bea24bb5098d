"""From ``federation.toml`` to a driver that runs: the store is made or opened, everything else built beside it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from afuic import settings as configured
from afuic.engines.live import building
from afuic.engines.live.calibrating import Process
from afuic.engines.live.certifying import disowned, signer
from afuic.engines.live.clock import Clock
from afuic.engines.live.driver import Driver
from afuic.engines.live.transport import Transport
from afuic.engines.worker import Worker
from afuic.errors import ConfigError, Halted, StoreError
from afuic.settings import Server
from afuic.store.book import Book

SAY_EVERY_S = 60.0

log = logging.getLogger("afuic.live")


def serve(settings: Server, transport: Transport, stop: Callable[[], bool]) -> None:
    """Run the federation until ``stop``. Whatever this process had begun before is gone on with.

    A store that is not what it was is served to readers, and no work is handed out from it: an operator has to see to it.
    """
    building.validation(settings.validation, settings.images)
    worker = building.worker(settings)
    book = book_of(settings, worker)
    try:
        halted = book.standstill() or disowned(book)
        if halted is None:
            try:
                driver_of(settings, worker, book, transport).run(stop)
            except Halted as error:
                halted = str(error)
        if halted is not None:
            stand_still(book, transport, stop, halted)
    finally:
        book.close()


def stand_still(book: Book, transport: Transport, stop: Callable[[], bool], halted: str, pause_s: float = 1.0) -> None:
    """Until ``stop``: say why no work is handed out, in the log and in the store's status. What hospitals send is not looked at."""
    said = float("-inf")
    while not stop():
        if time.monotonic() - said >= SAY_EVERY_S:
            said = time.monotonic()
            log.error("no work is handed out: %s", halted)
        try:
            book.heartbeat(time.time(), halted)
        except StoreError as error:
            log.error("%s", error)
        transport.present()
        transport.receive()
        time.sleep(pause_s)


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
        return Book.create(
            settings.database, settings.store, settings.federation.name, agreed, worker.initial(), settings.witness
        )
    book = Book.open(settings.database, settings.store, write=True, witness=settings.witness)
    if book.agreed != agreed:
        book.close()
        raise ConfigError(
            f"{settings.store}: was made with other [federation] or [images] settings; go back to those, or begin a new federation in "
            f"another folder"
        )
    return book
