"""What is stated is what happened, in the published form; what must not be certified is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from erased import ALONE, DONE, FACTS, FORMAL, PURGE, REQUEST, hashed, patients, row

from afuic.certify import form
from afuic.certify.canonical import canonical
from afuic.certify.facts import Facts
from afuic.certify.limits import RESTS_ON
from afuic.certify.statement import parse, statement
from afuic.errors import CertificateError

DOCS = Path(__file__).parents[2] / "docs"
GOLDEN = Path(__file__).with_name("golden.json")
PUBLISHED = json.loads((DOCS / "certificate.schema.json").read_text(encoding="utf-8"))

CASES: dict[str, Facts] = {
    "whole": FACTS,
    "patients": patients(FACTS),
    "away": replace(FACTS, verification=None),
    "formal": FORMAL,
    "nothing": replace(FACTS, method="continue", done=replace(DONE, how="nothing", steps_removed=False, **ALONE)),
    "scrubbed": replace(
        patients(FACTS),
        done=replace(
            DONE, how="unlearned at the hospital", steps_removed=False, notes=("late\nanswer",), median=None, cosine=None
        ),
    ),
    "restarted": replace(FACTS, method="retrain", done=replace(DONE, how="restarted", **ALONE)),
    "later": replace(FACTS, number=3, previous=hashed(33)),
}


def of(facts: Facts) -> dict[str, Any]:
    return statement(facts)["predicate"]  # type: ignore[no-any-return]


def test_the_golden_statement() -> None:
    """Another byte is another form: then it needs another predicate type."""
    assert json.dumps(statement(FACTS), indent=1, sort_keys=True) + "\n" == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_every_case_fits_the_published_schema_and_reads_back(name: str) -> None:
    made = statement(CASES[name])
    jsonschema.validate(made, PUBLISHED, cls=jsonschema.Draft202012Validator)
    assert parse(canonical(made)).document() == made


def test_the_published_schema_is_up_to_date() -> None:
    jsonschema.Draft202012Validator.check_schema(PUBLISHED)
    assert form.schema() == PUBLISHED


def test_the_subject_is_the_released_model() -> None:
    made = statement(FACTS)
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["subject"] == [{"name": "eyes/model/42", "digest": {"afuicParams": FACTS.after.digest.removeprefix("sha256:")}}]


def test_the_reason_is_not_certified() -> None:
    assert "Example" not in json.dumps(statement(FACTS))


def test_times_are_utc() -> None:
    # 1 790 000 000 s = 20 717 days (2026-09-21) and 51 200 s (14:13:20)
    assert of(FACTS)["times"]["asked"] == "2026-09-21T14:13:20Z"


def test_what_is_missing_is_none_and_said() -> None:
    found = of(CASES["away"])
    assert found["evidence"]["empirical"]["scores"] == "none"
    assert found["times"]["verified"] is None
    assert found["evidence"]["formal"] == "none"
    assert any("nobody measured" in line for line in found["doesNotProve"])
    assert any("gives none" in line for line in found["doesNotProve"])


def test_a_teacher_that_knew_the_data_is_named() -> None:
    assert of(FACTS)["evidence"]["procedural"]["removal"]["throughTeacher"] == ["hospital-1@0"]
    assert any("its teacher knew" in line for line in of(FACTS)["doesNotProve"])
    books = replace(FACTS.books, entries=FACTS.books.entries[:2])
    clean = replace(FACTS, after=row(42, {}, ("hospital-2@0",)), books=books)
    assert of(clean)["evidence"]["procedural"]["removal"]["throughTeacher"] == []


def test_who_is_in_the_sum_and_who_taught_a_step_are_told_apart() -> None:
    models = of(FACTS)["models"]
    assert models["before"]["contributors"] == {"own": ["hospital-1@0"], "others": 1}
    assert models["after"]["contributors"] == {"own": [], "others": 1}
    assert models["after"]["taughtBy"] == {"own": ["hospital-1@0"], "others": 1}


def test_no_other_hospital_is_named() -> None:
    assert "hospital-2" not in json.dumps(statement(FACTS))
    made = statement(FACTS)
    made["predicate"]["models"]["before"]["contributors"]["own"].append("hospital-2@0")
    with pytest.raises(CertificateError, match="another hospital is named"):
        parse(canonical(made))


def test_a_method_that_removes_nothing_says_so() -> None:
    assert any("merely no longer takes part" in line for line in of(CASES["nothing"])["doesNotProve"])


def test_a_formal_statement_comes_with_what_it_rests_on() -> None:
    found = of(CASES["formal"])["evidence"]["formal"]
    assert (found["epsilon"], found["delta"], found["restsOn"]) == (1.0, 0.01, [*RESTS_ON["sifu"]])
    assert any("nobody checked" in line for line in of(CASES["formal"])["doesNotProve"])


def test_patients_are_a_count_and_a_digest() -> None:
    scope = of(CASES["patients"])["request"]["scope"]
    assert scope == {"hospital": "hospital-1", "whole": False, "patients": 3, "salted": hashed(77)}


def test_what_the_store_could_not_reach_comes_first() -> None:
    assert of(FACTS)["unreachable"][0] == PURGE.unreachable[0]
    assert any("backups" in line for line in of(FACTS)["unreachable"])


REFUSED: dict[str, tuple[Facts, str]] = {
    "left": (replace(FACTS, purge=replace(PURGE, left=(hashed(9),))), "1 purged tensors were found"),
    "unreleased": (replace(FACTS, request=replace(REQUEST, released_at=None)), "no model without the data"),
    "number": (replace(FACTS, number=2), "no previous one"),
    "salt": (replace(FACTS, request=replace(REQUEST, patients=2)), "salted digest"),
    "other": (replace(FACTS, done=replace(DONE, gone=("hospital-2@0",))), "another hospital is named"),
    "kept": (
        replace(
            FACTS, request=replace(REQUEST, client="hospital-2", who="operator:o"), done=replace(DONE, gone=("hospital-2@0",))
        ),
        "still in the sum",
    ),
    "order": (replace(FACTS, before=row(42, {}, ("hospital-1@0",))), "does not follow"),
    "nan": (replace(FACTS, done=replace(DONE, norm=float("nan"))), "finite"),
    "name": (replace(FACTS, federation="eyes\x1b[2J"), r"holds U\+001B"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_so_is_not_certified(name: str) -> None:
    facts, why = REFUSED[name]
    with pytest.raises(CertificateError, match=why):
        statement(facts)


def test_signed_bytes_of_another_form_are_refused() -> None:
    made = statement(FACTS)
    with pytest.raises(CertificateError, match="predicateType"):
        parse(canonical(made | {"predicateType": "urn:afuic:erasure:v3"}))
    with pytest.raises(CertificateError, match="v1, a form that was never released"):
        parse(canonical(made | {"predicateType": "urn:afuic:erasure:v1"}))
    with pytest.raises(CertificateError, match="note"):
        parse(canonical(made | {"note": "all is well"}))
    with pytest.raises(CertificateError, match="canonical"):
        parse(json.dumps(made).encode())
    with pytest.raises(CertificateError, match="nested deeper"):
        parse(b"[" * 100_000)


def test_a_root_that_is_not_of_the_entries_is_refused() -> None:
    made = statement(FACTS)
    made["predicate"]["ledger"]["entries"].pop()
    with pytest.raises(CertificateError, match="root"):
        parse(canonical(made))


def test_the_root_does_not_depend_on_the_order() -> None:
    entries = form.Statement.model_validate(statement(FACTS)).predicate.ledger.entries
    assert form.root_of(entries) == form.root_of(tuple(reversed(entries)))
    assert form.root_of(entries) != form.root_of(entries[1:])
