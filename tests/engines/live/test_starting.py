"""From settings to a server that runs, with the parts that a real one has."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from afuic.certify.keys import make_key
from afuic.engines.live import building
from afuic.engines.live.clock import Clock
from afuic.engines.live.replaying import replay
from afuic.engines.live.standing import Standing
from afuic.engines.live.starting import book_of, serve
from afuic.engines.standin import Habits, StandIn, performing
from afuic.engines.trial import Trial, trial
from afuic.errors import ConfigError, DataError, InvariantViolation
from afuic.store.book import Book
from afuic.store.rows import Command
from tests.engines.live.conftest import Make, config

PATIENCE_S = 1800.0


@pytest.fixture
def made(tmp_path: Path) -> Trial:
    return trial(config(), tmp_path)


def test_it_serves_an_erasure_to_its_certificate_and_stops(made: Trial, tmp_path: Path) -> None:
    settings, until = made.settings, time.monotonic() + PATIENCE_S
    make_key(settings.signing_key)
    habits = dict.fromkeys(made.names, Habits(work_s=0.02))
    hospitals = StandIn(habits, performing(made.worker, made.groups), time.monotonic, tmp_path / "hospitals")
    asked = False

    def stop() -> bool:
        nonlocal asked
        if not Book.exists(settings.database, settings.store):
            return time.monotonic() > until
        book = Book.open(settings.database, settings.store)
        if not asked and len(book.status().clients) == len(made.names):
            command = Command(0, "erase", "r", made.names[0], None, None, "a test", "operator", "k", time.time())
            asked = book.ask(command)[1]
        done = bool(book.certificates()) or time.monotonic() > until
        book.close()
        return done

    serve(settings, hospitals, stop)
    book = Book.open(settings.database, settings.store)
    assert [(row.number, row.request) for row in book.certificates()] == [(0, "r")]
    assert replay(book, building.rules(settings), made.worker, made.groups).same
    book.close()


def test_a_store_of_other_settings_is_refused(made: Trial) -> None:
    book_of(made.settings, building.worker(made.settings)).close()
    changed = made.settings.model_copy(update={"federation": made.settings.federation.model_copy(update={"seed": 1})})
    with pytest.raises(ConfigError, match="other \\[federation\\]"):
        book_of(changed, building.worker(changed))


def test_calibration_images_are_checked(made: Trial, tmp_path: Path) -> None:
    away = made.settings.model_copy(update={"calibration": tmp_path / "none.npz"})
    with pytest.raises(ConfigError, match="no such file"):
        building.worker(away)
    images = made.settings.images.model_copy(update={"size": 32})
    with pytest.raises(DataError, match="save them as uint8"):
        building.worker(made.settings.model_copy(update={"images": images}))


def test_the_servers_rules_keep_nothing_ready_for_methods_it_does_not_use(made: Trial) -> None:
    federation = made.settings.federation.model_copy(update={"methods": ("afuic", "federaser")})
    rules = building.rules(made.settings.model_copy(update={"federation": federation}))
    assert rules.method.method.name == "afuic"
    assert not rules.history


def test_a_store_whose_events_lead_elsewhere_is_refused(live: Make) -> None:
    found = live()
    found.turns(20)
    settings = found.trial.settings
    aggregation = settings.federation.aggregation.model_copy(update={"lr": 0.25})
    federation = settings.federation.model_copy(update={"aggregation": aggregation})
    rules = building.rules(settings.model_copy(update={"federation": federation}))
    with pytest.raises(InvariantViolation, match="were settings or software"):
        Standing(rules, found.book, Clock(), 1.0, settings.retention)
