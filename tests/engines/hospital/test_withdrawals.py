"""Patients withdraw by id at the hospital; outside there is a salted digest and a count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from afuic.engines.hospital import withdrawals
from afuic.engines.hospital.withdrawals import Asked
from afuic.errors import DataError, StoreError
from tests.engines.hospital.conftest import NAME, Clinic, train


def files(clinic: Clinic, folder: str = "withdrawals") -> list[Path]:
    place = clinic.site.state / folder
    return sorted(place.iterdir()) if place.is_dir() else []


def test_what_may_be_said_is_a_count_and_a_salted_digest(clinic: Clinic) -> None:
    ids = clinic.group(0)
    asked = withdrawals.withdraw(clinic.site, [f" {ids[0]} ", *ids, ""], 1.0)
    assert asked.patients == len(ids)
    assert asked.salted is not None
    assert len(asked.salted) == len("sha256:") + 64
    group = withdrawals.standing(clinic.site).groups[asked.salted]
    assert group.ids == ids
    for text in (repr(asked), repr(group)):
        assert not [i for i in ids if i in text]
        assert group.salt not in text
    (path,) = files(clinic)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert len(files(clinic, "inbox")) == 1


def test_the_digest_is_of_the_salt_and_the_sorted_ids() -> None:
    import hashlib

    # the salt's bytes, then the ids sorted, each once, as JSON
    expected = hashlib.sha256(bytes([0xAB, 0xCD]) + b'["a", "b"]').hexdigest()
    assert withdrawals.salted(["b", "a", "b"], "abcd") == f"sha256:{expected}"


def test_two_hospitals_never_say_the_same_of_the_same_patients(clinic: Clinic, tmp_path: Path) -> None:
    other = clinic.site.model_copy(update={"state": tmp_path / "other"})
    first, second = (withdrawals.withdraw(site, clinic.group(0), 1.0) for site in (clinic.site, other))
    assert first.patients == second.patients
    assert first.salted != second.salted
    assert first.key != second.key


def test_asking_again_is_the_same_withdrawal(clinic: Clinic) -> None:
    first = withdrawals.withdraw(clinic.site, clinic.group(0), 1.0)
    assert withdrawals.withdraw(clinic.site, reversed(clinic.group(0)), 2.0) == first
    assert len(files(clinic)) == 1
    assert withdrawals.withdraw(clinic.site, clinic.group(1), 3.0) != first


def test_ids_that_do_not_exist_are_all_named_and_nothing_is_written(clinic: Clinic) -> None:
    unknown = [f"nobody-{k}" for k in range(12)]
    with pytest.raises(DataError) as caught:
        withdrawals.withdraw(clinic.site, [*clinic.group(0), *unknown], 1.0)
    assert "12 of 14 patients are not in it" in str(caught.value)
    assert all(repr(i) in str(caught.value) for i in unknown)
    assert clinic.group(0)[0] not in str(caught.value)
    assert files(clinic) == files(clinic, "inbox") == []


def test_one_withdraws_somebody_and_not_everybody(clinic: Clinic) -> None:
    every = sorted(set(clinic.lab.federation.clients[NAME].patients))
    with pytest.raises(DataError, match="no patient is named"):
        withdrawals.withdraw(clinic.site, [" "], 1.0)
    withdrawals.withdraw(clinic.site, every[:3], 1.0)
    with pytest.raises(DataError, match="ask for the erasure of the whole hospital"):
        withdrawals.withdraw(clinic.site, every[3:], 1.0)
    assert len(files(clinic)) == 1


def test_results_that_follow_from_the_withdrawn_are_deleted(clinic: Clinic) -> None:
    clinic.ask(train(clinic.model))
    assert files(clinic, "outbox")
    clinic.withdraw(0)
    assert files(clinic, "outbox") == []


def test_a_result_kept_under_another_standing_is_not_sent(clinic: Clinic) -> None:
    message = clinic.message(train(clinic.model))
    clinic.desk.perform(*message)
    saved = {path: path.read_bytes() for path in files(clinic, "outbox")}
    digests = clinic.withdraw(0)
    for path, content in saved.items():
        path.write_bytes(content)
    assert "have withdrawn here" in str(clinic.read(clinic.desk.perform(*message)).failed)
    assert files(clinic, "outbox") == []
    withdrawals.take_back(clinic.site, digests[0])
    shown = len(clinic.shown)
    assert clinic.read(clinic.desk.perform(*message)).delta is not None
    assert len(clinic.shown) == 2 * shown


def test_taken_back_means_that_the_server_decides(clinic: Clinic) -> None:
    digests = clinic.withdraw(0)
    assert clinic.ask(train(clinic.model, 1)).failed is not None
    withdrawals.take_back(clinic.site, digests[0])
    # a server that still names the group has not let it go: its patients stay out
    assert clinic.ask(train(clinic.model, 1), withdrawn=digests).delta is not None
    assert not clinic.digests() & clinic.of(*clinic.group(0))
    assert clinic.ask(train(clinic.model, 1)).delta is not None
    again = withdrawals.withdraw(clinic.site, clinic.group(0), 9.0)
    assert again.salted not in digests
    with pytest.raises(StoreError, match="only what was asked for here can be taken back"):
        withdrawals.take_back(clinic.site, "sha256:" + "0" * 64)


def test_a_hospital_leaves_once(clinic: Clinic) -> None:
    first = withdrawals.withdraw_all(clinic.site, 1.0)
    assert withdrawals.withdraw_all(clinic.site, 2.0) == first
    assert first == Asked(first.key)
    assert withdrawals.standing(clinic.site).fenced
    withdrawals.take_all_back(clinic.site)
    assert not withdrawals.standing(clinic.site).fenced
    assert withdrawals.withdraw_all(clinic.site, 3.0) != first


@pytest.mark.parametrize("change", [
    {"ids": ["somebody-else"]},
    {"ids": "p"},
    {"salt": "zz"},
    {"salt": 1},
    {"taken_back": "yes"},
    {"asked_at": None},
    {"format": "afuic-withdrawal/9"},
])  # fmt: skip
def test_an_edited_record_is_found_out_and_nothing_is_done(clinic: Clinic, change: dict[str, object]) -> None:
    digests = clinic.withdraw(0)
    (path,) = files(clinic)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(StoreError, match="edited or damaged; restore it from a backup"):
        withdrawals.standing(clinic.site)
    assert clinic.ask(train(clinic.model, 1), withdrawn=digests).failed == "StoreError at the hospital; its own log says more"
    assert clinic.shown == []


def test_a_record_that_is_lost_stops_training(clinic: Clinic) -> None:
    digests = clinic.withdraw(0)
    files(clinic)[0].unlink()
    assert "restore the folder of withdrawals" in str(clinic.ask(train(clinic.model, 1), withdrawn=digests).failed)
    assert clinic.shown == []
