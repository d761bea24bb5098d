"""Patients withdraw by id at the hospital; outside there is a salted digest and a count."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from afuic.data.npz import read_arrays
from afuic.engines.hospital import data, withdrawals
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


def test_an_id_that_is_written_otherwise_is_hinted_at(clinic: Clinic) -> None:
    first = clinic.group(0)[0]
    with pytest.raises(DataError, match=rf"'{first.upper()}' \(did you mean '{first}'\?\)"):
        withdrawals.withdraw(clinic.site, [first.upper()], 1.0)
    assert files(clinic) == []


@pytest.mark.parametrize("word", ["None", "-", "nan"])
def test_a_word_for_missing_withdraws_nobody_in_silence(clinic: Clinic, word: str) -> None:
    with pytest.raises(DataError, match=f"'{word}'"):
        withdrawals.withdraw(clinic.site, [*clinic.group(0), word], 1.0)
    assert files(clinic) == []


@pytest.mark.parametrize(("listed", "why"), [(("P 7", "p7"), "more than one way"), (("p\u200b7",), "which nobody sees")])
def test_a_list_that_is_not_sure_withdraws_nobody(clinic: Clinic, listed: tuple[str, ...], why: str) -> None:
    with pytest.raises(DataError, match=why):
        withdrawals.withdraw(clinic.site, listed, 1.0)
    assert files(clinic) == []


def renamed(clinic: Clinic, old: str, new: str) -> None:
    """The hospital's file with a patient's id written otherwise, by somebody else's program."""
    arrays = read_arrays(clinic.site.data)
    arrays["patient"] = np.where(arrays["patient"] == old, new, arrays["patient"])
    np.savez(clinic.site.data, **arrays)


@pytest.mark.parametrize(("held", "listed"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFD", "NFD")])
def test_an_id_matches_in_either_of_unicodes_forms(
    clinic: Clinic, held: Literal["NFC", "NFD"], listed: Literal["NFC", "NFD"]
) -> None:
    renamed(clinic, clinic.group(0)[0], unicodedata.normalize(held, "M\u00fcller"))
    asked = withdrawals.withdraw(clinic.site, [unicodedata.normalize(listed, " M\u00fcller")], 1.0)
    group = withdrawals.standing(clinic.site).groups[str(asked.salted)]
    assert group.ids == ("M\u00fcller",)
    assert withdrawals.salted(["M\u00fcller"], group.salt) == asked.salted


def test_a_group_that_was_recorded_in_another_form_still_holds(clinic: Clinic) -> None:
    old = withdrawals.Group(withdrawals.salted(["Mu\u0308ller"], "ab" * 32), 1.0, ("Mu\u0308ller",), "ab" * 32)
    folder = clinic.site.state / "withdrawals"
    folder.mkdir(parents=True, mode=0o700)
    (folder / f"{old.salted.removeprefix('sha256:')}.json").write_text(
        json.dumps({"format": withdrawals.GROUP_FORMAT, **vars(old)})
    )
    found = withdrawals.standing(clinic.site).groups[old.salted]
    assert found.among(frozenset({"M\u00fcller", "x"})) == ("M\u00fcller",)
    renamed(clinic, clinic.group(0)[0], "M\u00fcller")
    assert withdrawals.withdraw(clinic.site, ["M\u00fcller"], 2.0).salted == old.salted


@pytest.mark.parametrize("spelt", ["7", "007", "7.0", " 7", "\uff17"])
def test_nobody_comes_back_by_another_spelling(clinic: Clinic, spelt: str) -> None:
    renamed(clinic, clinic.group(0)[0], "007")
    asked = withdrawals.withdraw(clinic.site, ["007"], 1.0)
    renamed(clinic, "007", spelt)
    group = withdrawals.standing(clinic.site).groups[str(asked.salted)]
    assert group.among(frozenset(data.read(clinic.site).client.patients)) == (spelt.strip(),)


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
