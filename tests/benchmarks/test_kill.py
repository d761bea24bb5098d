"""A short kill campaign on each database; the long one is benchmarks/kill.py, whose committed numbers are checked here too."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.conftest import ROOT
from tests.store.postgres import Postgres, started


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    server = started()
    yield server
    server.stop()


def play(folder: Path, number: int, server: Postgres | None, targets: tuple[str, ...]) -> dict[str, Any]:
    import kill

    return kill.Run(folder, 1, number, server).play(targets)


def check(found: dict[str, Any]) -> None:
    import verdict

    assert verdict.faults(found) == []
    assert found["requests"]["completed"] == 3
    assert found["acknowledged"]["events"] > 50


@pytest.mark.deployment
@pytest.mark.skipif(sys.platform == "win32", reason="kills process groups")
def test_nothing_acknowledged_is_lost_or_done_twice_however_often_the_server_is_killed(tmp_path: Path) -> None:
    check(play(tmp_path, 0, None, ("server", "asker", "server", "server")))


@pytest.mark.deployment
@pytest.mark.slow
def test_nor_when_the_database_server_is(tmp_path: Path, postgres: Postgres) -> None:
    check(play(tmp_path, 1, postgres, ("database", "server", "database")))


def test_the_committed_campaign_found_nothing() -> None:
    import verdict

    document = json.loads((ROOT / "benchmarks" / "results" / "kill.json").read_text(encoding="utf-8"))
    assert sum(document["kills"].values()) >= 200
    assert set(document["kills"]) == {"server", "asker", "database"}
    assert {run["database"] for run in document["runs"]} == {"sqlite", "postgresql"}
    assert [verdict.faults(run) for run in document["runs"]] == [[]] * len(document["runs"])
    assert document["faults"] == 0
