"""A request while the disk is full: it is not acknowledged, the asker is told to ask again, and asking again is asking once."""

from __future__ import annotations

import sys

import pytest

from tests.service.conftest import Service

if sys.platform == "win32":
    pytest.skip("a full disk is made with a limit that only Unix has", allow_module_level=True)

from tests.engines.live.test_full_disk import full


def test_what_cannot_be_written_is_not_acknowledged_and_can_be_asked_again(trained: Service) -> None:
    with full():
        refused = trained.ask("operator")
        assert trained.get("operator", "status").status_code == 200
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert "ask again" in refused.json()["error"]
    assert trained.driver.book.commands() == []
    first, again = trained.ask("operator"), trained.ask("operator")
    assert (first.status_code, again.status_code) == (202, 200)
    assert [command.request for command in trained.driver.book.commands()] == [first.json()["id"]]
