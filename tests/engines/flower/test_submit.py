"""Runs that end while they are being stopped: Flower says no to the stop, and the submission goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afuic.engines.flower_submit import Flower
from afuic.errors import EngineError


class Answering(Flower):
    """What Flower's commands answer where a run is in ``statuses``, one status for each time that it is asked for."""

    def __init__(self, folder: Path, *statuses: str) -> None:
        super().__init__(folder)
        self.statuses = list(statuses)

    def _answer(self, *arguments: str) -> dict[str, Any]:
        if arguments[0] == "list":
            return {"success": True, "runs": [{"run-id": "7", "status": self.statuses.pop(0)}]}
        return {"success": False, "error-message": "Run 7 couldn't be stopped."}


def test_a_run_that_ends_while_it_is_being_stopped_needs_no_stop(tmp_path: Path) -> None:
    flower = Answering(tmp_path, "running", "finished:failed")
    flower.stop()
    assert flower.statuses == []


def test_a_run_that_goes_on_and_cannot_be_stopped_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"flwr stop: Run 7 couldn't be stopped"):
        Answering(tmp_path, "running", "running").stop()
