"""The results document: what is written is what is read, what is broken is refused in words, and the published schema is this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from afuic.config import Config
from afuic.errors import StoreError
from afuic.evaluate import results

DOCS = Path(__file__).parents[2] / "docs"

POINT = {"t": 60.0, "version": 9, "accuracy": 0.8, "forget_accuracy": 0.7, "forget_loss": 1.2, "asr": 0.1, "asr_excess": -0.02}
PHASE = POINT | {
    "balanced_accuracy": 0.78,
    "auroc": 0.95,
    "ece": 0.04,
    "asr_clean": 0.12,
    "mia_auc": 0.52,
    "js_to_retrain": 0.03,
    "js_floor": None,
    "sensitivity": [0.9, None],
    "hospitals": {"hospital-0": 0.8, "hospital-1": None},
}
METHOD = {
    "source": "Cai & Zhang 2026",
    "oracle": False,
    "erasure_latency_s": 12.5,
    "latency_to_retrain": 0.05,
    "stall_client_s": 0.0,
    "updates_lost": 0,
    "updates_quarantined": 2,
    "bytes_moved": 1000,
    "bytes_stored": 2000,
    "server_s": 12.5,
    "needs_target": False,
    "healing": [{"request": "r1", "steps": 350, "gap_before": 1.9, "gap_after": 0.08}],
    "failed": None,
    "digest": "sha256:00",
    "events": 321,
    "phases": {"before": PHASE, "released": PHASE, "final": PHASE},
    "gaps": {"released": {"accuracy": -0.4}, "final": {"accuracy": None}},
    "resurfacing": {"asr_excess_max": 0.05, "forget_accuracy_max": None},
    "updates_after_release_per_client": 51.5,
    "curve": [POINT],
}
DOCUMENT: dict[str, Any] = {
    "schema": "afuic-results/1",
    "name": "demo",
    "seed": 0,
    "commit": None,
    "versions": {"afuic": "0.1.0"},
    "machine": {"cpu": "x86-64", "cores": 2},
    "config": Config().model_dump(mode="json"),
    "requests": [{"id": "r1", "client": "hospital-0", "patients": None, "t": 50.0, "target_online": True}],
    "clients": {"hospital-0": {"images": 100, "triggered": 50, "slowness": 1.1}},
    "methods": {"afuic": METHOD},
    "retrained": {
        "runs": 1,
        "failed": {},
        "phases": {"released": {}, "final": {"accuracy": {"mean": 0.8, "sd": None}}},
        "resurfacing": [{"asr_excess_max": 0.01, "forget_accuracy_max": 0.6}],
        "curves": [[POINT]],
    },
    "dropped": {"train_repeated": 2, "train_moved_site": 0},
    "warnings": [],
}


def write(path: Path, values: Any) -> Path:
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def test_a_document_survives_writing_and_reading(tmp_path: Path) -> None:
    first = results.load(write(tmp_path / "results.json", DOCUMENT))
    assert first.methods["afuic"].phases["final"].sensitivity == (0.9, None)
    later = json.loads(first.to_json())
    assert (later.pop("sizes"), later["retrained"].pop("released_t")) == (None, []), "older documents lack these"
    assert later == DOCUMENT
    second = tmp_path / "again.json"
    second.write_text(first.to_json(), encoding="utf-8")
    assert results.load(second) == first


def test_the_document_fits_the_published_schema() -> None:
    published = json.loads((DOCS / "results.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(DOCUMENT, published, cls=jsonschema.Draft202012Validator)


def test_the_published_schema_is_up_to_date() -> None:
    expected = json.dumps(results.schema(), indent=2, ensure_ascii=False) + "\n"
    found = (DOCS / "results.schema.json").read_text(encoding="utf-8")
    assert found == expected, "run: python -m afuic.evaluate.results > docs/results.schema.json"


def test_every_field_is_documented() -> None:
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    schema = results.schema()
    parts = [schema, *schema["$defs"].values()]
    fields = {name for part in parts for name in part.get("properties", {})}
    assert len(fields) > 50
    assert [name for name in sorted(fields) if f"`{name}`" not in text] == []


def test_every_field_has_a_description_in_the_schema() -> None:
    schema = results.schema()
    parts = {"Results": schema, **schema["$defs"]}
    bare = [
        f"{part}.{name}"
        for part, body in parts.items()
        for name, field in body.get("properties", {}).items()
        if "description" not in field
    ]
    assert bare == []


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such results file"):
        results.load(tmp_path / "results.json")


@pytest.mark.parametrize("text", ["{", "", "\x00", "[1, 2"])
def test_a_file_that_is_not_json_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match="not a readable JSON file"):
        results.load(path)


@pytest.mark.parametrize("values", [DOCUMENT | {"schema": "afuic-results/2"}, {}, [], 3])
def test_another_schema_version_is_told(tmp_path: Path, values: Any) -> None:
    with pytest.raises(StoreError, match="this afuic reads 'afuic-results/1'"):
        results.load(write(tmp_path / "results.json", values))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("methods.afuic.phases.final.accuracy", 1.5),
        ("methods.afuic.phases.final.forget_loss", "nan"),
        ("methods.afuic.updates_lost", -1),
        ("clients.hospital-0.slowness", 0),
        ("retrained.runs", -1),
        ("requests.0.target_online", "perhaps"),
        ("methods.afuic.surplus", 1),
    ],
)
def test_a_broken_value_is_named_with_its_place(tmp_path: Path, place: str, value: Any) -> None:
    broken = json.loads(json.dumps(DOCUMENT))
    *parents, last = place.split(".")
    node: Any = broken
    for part in parents:
        node = node[int(part) if isinstance(node, list) else part]
    node[last] = value
    with pytest.raises(StoreError, match=place):
        results.load(write(tmp_path / "results.json", broken))


def test_a_folder_is_no_results_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a readable JSON file"):
        results.load(tmp_path)
