"""The document: what is written is what is read, what was edited or is of another version is refused, the published schema is this one."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from afuic.bench import document
from afuic.errors import StoreError

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def written(by_hand, tmp_path: Path) -> Path:
    path = tmp_path / document.FILE
    path.write_text(by_hand.to_json(), encoding="utf-8")
    return path


def test_what_is_written_is_what_is_read(by_hand, written) -> None:
    found = document.load(written)
    assert found.model_copy(update={"digest": ""}) == by_hand
    assert document.load(written.parent) == found
    assert found.to_json() == written.read_text(encoding="utf-8")


def test_each_arm_has_a_line_of_its_own_so_that_versions_can_be_compared(written) -> None:
    lines = written.read_text(encoding="utf-8").splitlines()
    # three seeds of three rows
    assert sum('{"outcome":' in line for line in lines) == 9
    assert all(line.startswith(('"afuic":{', '"other":{', '"cheat":{')) for line in lines if '{"outcome":' in line)


def test_a_file_edited_by_hand_is_refused(written) -> None:
    text = written.read_text(encoding="utf-8")
    assert "0.84" in text
    written.write_text(text.replace("0.84", "0.85"), encoding="utf-8")
    with pytest.raises(StoreError, match="does not fit its digest, so it was edited or damaged; restore it or run again"):
        document.load(written)


def test_another_schema_version_is_refused_before_anything_else(written) -> None:
    values = json.loads(written.read_text(encoding="utf-8")) | {"schema": "afuic-bench/0"}
    written.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(StoreError, match="schema is 'afuic-bench/0', this afuic reads 'afuic-bench/1'"):
        document.load(written)


def test_a_document_that_breaks_the_schema_is_refused_even_with_a_fitting_digest(written) -> None:
    values = json.loads(written.read_text(encoding="utf-8")) | {"retrained": -1}
    written.write_text(json.dumps(values | {"digest": document.digest(values)}), encoding="utf-8")
    with pytest.raises(StoreError, match="retrained: input should be greater than or equal to 0"):
        document.load(written)


def test_a_suite_that_has_only_begun_is_told_from_one_that_is_not_there(tmp_path) -> None:
    (tmp_path / document.RECORD).touch()
    with pytest.raises(
        StoreError, match=r"bench.json: no case has a finished seed yet; go on with the suite \(afuic bench run\)"
    ):
        document.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "why"), [(None, "no such results"), ("{", "not a readable JSON"), ("[]", "schema is None")]
)
def test_what_is_no_document_is_refused_in_words(tmp_path, content, why) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(StoreError, match=why):
        document.load(path)


def test_the_document_fits_the_published_schema(written) -> None:
    published = json.loads((DOCS / "bench.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(json.loads(written.read_text(encoding="utf-8")), published, cls=jsonschema.Draft202012Validator)


def test_the_published_schema_is_up_to_date() -> None:
    expected = json.dumps(document.schema(), indent=2, ensure_ascii=False) + "\n"
    found = (DOCS / "bench.schema.json").read_text(encoding="utf-8")
    assert found == expected, "run: python -m afuic.bench.document > docs/bench.schema.json"
