"""A hospital remembers how far the server's records had come, and does nothing for a server that was set back."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from afuic.engines.hospital.watermark import Highest, lower
from afuic.engines.live.messages import seen_in
from afuic.store.rows import Watermark

from .conftest import Clinic, train

FIRST = Watermark(0, 10, "sha256:a", ("r-1",), "s1")
LATER = Watermark(0, 20, "sha256:b", ("r-1", "r-2"), "s2")


@pytest.mark.parametrize(
    ("mark", "before", "said"),
    [
        (FIRST, None, None),
        (FIRST, FIRST, None),
        (LATER, FIRST, None),
        (FIRST, LATER, "does not know the erasure r-2 any more"),
        (replace(LATER, links=19), LATER, "has 19 links and had 20"),
        (replace(LATER, restored=1, links=5), LATER, None),
        (Watermark(1, 5, "h", ("r-1",)), LATER, "does not know the erasure r-2"),
        (replace(LATER, links=900), replace(LATER, restored=1), "links"),
        (None, FIRST, "does not say any more"),
    ],
)
def test_what_is_lower(mark: Watermark | None, before: Watermark | None, said: str | None) -> None:
    found = lower(mark, before)
    assert found is None if said is None else said in str(found)


def test_a_server_that_was_set_back_is_refused_with_its_own_words(clinic: Clinic) -> None:
    document, tensors = clinic.desk.perform(*clinic.message(train(clinic.model), watermark=LATER))
    assert clinic.read((document, tensors)).failed is None
    assert seen_in(document) is None
    document, _ = clinic.desk.perform(*clinic.message(train(clinic.model, number=4, task="hospital-0/4"), watermark=FIRST))
    refused = clinic.read((document, b""))
    assert refused.failed is not None
    assert refused.failed.startswith("the server is behind what it was: it does not know the erasure r-2 any more")
    assert seen_in(document) == LATER
    clinic.shown.clear()
    assert clinic.ask(train(clinic.model, number=5, task="hospital-0/5")).failed is not None
    assert clinic.shown == []
    newest = replace(LATER, restored=1, links=3)
    assert clinic.ask(train(clinic.model, number=5, task="hospital-0/5"), watermark=newest).failed is None


def test_it_is_remembered_by_the_next_desk_and_by_its_owner_alone(clinic: Clinic) -> None:
    clinic.ask(train(clinic.model), watermark=LATER)
    path = clinic.site.state / "watermark.json"
    assert Highest(path).read() == LATER
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_damaged_memory_is_no_permission(clinic: Clinic) -> None:
    clinic.ask(train(clinic.model), watermark=LATER)
    (clinic.site.state / "watermark.json").write_text("{")
    assert clinic.ask(train(clinic.model, number=4, task="hospital-0/4"), watermark=FIRST).failed is not None


@pytest.mark.parametrize("mark", [{"restored": 1}, "x", replace(FIRST, links=-1), replace(FIRST, head=7)])
def test_what_is_no_watermark_is_refused(clinic: Clinic, mark: Any) -> None:
    assert "no watermark" in str(clinic.ask(train(clinic.model), watermark=mark).failed)
    assert not (clinic.site.state / "watermark.json").exists()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[" * 100_000,
        b'{"seen": 1}',
        b'{"seen": {"restored": 0}}',
        b'{"seen": {"restored": true, "links": 1, "head": "a"}}',
        b'{"seen": {"restored": 0, "links": 1, "head": "a", "requests": "abc"}}',
        b'{"seen": {"restored": 0, "links": 1e400, "head": ""}}',
    ],
)
def test_what_a_hospital_makes_up_is_none(document: bytes) -> None:
    assert seen_in(document) is None
