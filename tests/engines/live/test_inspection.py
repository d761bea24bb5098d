"""Models are read again while the loop runs, and copies elsewhere are looked for at a purge."""

from __future__ import annotations

import pytest

from afuic.engines.live.inspection import EVERY_S, PAUSE_S
from afuic.engines.standin import Habits
from afuic.store.files import read_tensors
from tests.engines.live.conftest import Make


def test_a_damaged_model_is_found_and_told_without_being_asked_for(live: Make) -> None:
    found = live()
    found.until(lambda: found.book.status().version > 2)

    def passed() -> str | None:
        """One pass of the check, without anything else going on; what it told."""
        found.hands.move(EVERY_S)
        for _ in range(len(found.book.needed()) + 2):
            found.driver.inspection.turn()
            found.hands.move(PAUSE_S)
        status = found.book.status()
        assert status.checked_at is not None
        return status.fault

    assert passed() is None
    path = found.book.model_path(0)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert str(path) in str(passed())
    path.write_bytes(content)
    assert passed() is None


def test_the_loop_checks_by_itself(live: Make) -> None:
    found = live(habits={f"hospital-{n}": Habits(away=((0.0, 1e12),)) for n in range(3)})
    found.until(lambda: found.book.status().checked_at is not None, step_s=1.0)


def test_copies_elsewhere_are_looked_for_by_pieces_of_what_goes_and_named(live: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = live(), list[list[bytes]]()
    found.until(lambda: len({row.client for row in found.book.contributions()}) == 3)
    gone = {row.version: read_tensors(found.book.model_path(row.version)) for row in found.book.versions() if row.kept}

    def elsewhere(pieces: list[bytes]) -> tuple[str, ...]:
        asked.append(pieces)
        return ("the SuperLink's database-wal: in use",)

    found.driver.ending.elsewhere = elsewhere  # type: ignore[assignment]
    request = found.ask("hospital-1")
    found.until(lambda: found.book.certificate(request) is not None)
    numbers = b"".join(t.numpy().tobytes() for tensors in gone.values() for _, t in sorted(tensors.items()))
    assert asked[0]
    assert any(piece in numbers for piece in asked[0])
    report = found.book.purge_report(request)
    assert report is not None
    assert "the SuperLink's database-wal: in use" in report.unreachable
    assert "the SuperLink's database-wal: in use" in found.book.certificate(request).envelope or report.left == ()  # type: ignore[union-attr]
