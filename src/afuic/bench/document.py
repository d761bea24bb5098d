"""What a suite has measured, as one typed document that carries its own digest: tables and figures are made from it alone.

``docs/bench.schema.json`` is generated from these classes, and ``docs/bench.md`` explains them in words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, Strict, ValidationError

from afuic.document import parse_json
from afuic.errors import StoreError
from afuic.evaluate.results import Client, Count, Healing, Record, Requested, Seconds, Share, Sizes, fault
from afuic.store.files import read_json

VERSION = "afuic-bench/1"
FILE, RECORD = "bench.json", "suite.json"
"""The document, and what says which suite was begun in a folder."""
ARM_DEPTH = 6
"""Levels of the document down to an arm: cases, NAME, seeds, N, arms, ROW."""
Values = dict[str, float | None]
Phases = dict[str, Values]
"""Phase ("released", "final", "after", "extra") → measure → value; null: undefined or not measured."""
Column = Annotated[tuple[float | None, ...], Strict(False)]
Shares = Annotated[tuple[Share | None, ...], Strict(False)]
"""Arrays within objects, which ``Record`` does not walk through."""
Outcome = Literal["released", "diverged", "failed"]


class Costs(Record):
    """What an erasure cost. Times are virtual seconds."""

    latency_s: Seconds | None = Field(description="from the request to the release; null: never released")
    latency_to_retrain: Annotated[float, Field(ge=0)] | None = Field(description="that latency over retraining's")
    stall_client_s: Seconds | None = Field(description="idle client-seconds of the others caused by the request")
    updates_lost: Count | None = Field(description="updates of the others applied before the release and absent after it")
    updates_quarantined: Count | None = Field(description="updates that were refused")
    bytes_moved: Count | None = Field(description="bytes sent over links because of the erasure")
    bytes_stored: Count | None = Field(description="most bytes kept at once so that erasure is possible")
    server_s: Seconds | None = Field(description="seconds the server worked for the erasure")
    staleness: Count | None = Field(description="versions between the first request and the last release; null: never released")
    updates_after: Annotated[float, Field(ge=0)] | None = Field(description="mean updates of a hospital after the release")


class Spent(Record):
    """What the computation itself took on the machine it ran on: never compared, since another machine takes another time."""

    seconds: Seconds | None = Field(None, description="wall-clock seconds; null: it was stopped in between")
    cpu_s: Seconds | None = Field(None, description="CPU seconds; null: it was stopped in between")
    own_s: Seconds | None = Field(
        None, description="of these, outside training, calibration and evaluation: protocol, ledger, files"
    )
    checkpoint_bytes: Count | None = Field(None, description="size of its last checkpoint on disk")


class Curve(Record):
    """Measures against the clock, column by column, each of one length; null: not measured."""

    t: tuple[Seconds, ...] = Field(description="virtual seconds from the start of the run")
    accuracy: tuple[Share | None, ...] = Field(description="accuracy on test images")
    forget_accuracy: tuple[Share | None, ...] = Field(description="accuracy on the images to erase")
    forget_loss: tuple[float | None, ...] = Field(description="mean cross-entropy on the images to erase, nats")
    asr_excess: tuple[float | None, ...] = Field(description="excess attack success; null: no trigger")


class Arm(Record):
    """One row in one seed: a method with its options."""

    outcome: Outcome = Field(description="released; diverged: its model became NaN; failed: a request was not granted")
    reason: str | None = Field(description="why it diverged or failed")
    notes: tuple[str, ...] = Field((), description="what else its requests' records say: that healing failed, for example")
    commit: str | None = Field(
        description="commit it was run at, +changes where the source differed; several where it was resumed"
    )
    costs: Costs
    spent: Spent
    healing: tuple[Healing, ...] = Field((), description="how long each request was healed")
    digest: str | None = Field(description="sha256 of the final model")
    released_t: Seconds | None = Field(description="when the last request was released, on the curve's clock")
    phases: Phases = Field(description="values by phase and measure")
    z: Phases = Field(description="(value - retraining's mean) / its standard deviation, by phase and measure")
    hospitals: dict[str, dict[str, Share | None]] = Field(description="by phase: accuracy on each hospital's test images")
    sensitivity: dict[str, Shares] = Field(description="by phase: recall of each class")
    curve: Curve | None = Field(description="from the request on; null: nothing was measured")
    before: Values | None = Field(
        None, description="the model at the request where the method trained otherwise from the start"
    )
    past: Curve | None = Field(None, description="its curve up to the request; null, both: the shared one's")


class Retrained(Record):
    """The reference in one seed: models trained from nothing without the data, each from its own initial model."""

    runs: Count = Field(description="retrained models that did not diverge")
    diverged: Count = Field(description="retrained models that did, or could not be run for another reason")
    latency_s: Seconds | None = Field(description="retraining's latency, of the first of them")
    costs: Costs | None = Field(description="what the first of them cost; null: all diverged")
    commits: tuple[str, ...] = Field((), description="commits that they were run at; empty where that was not noted")
    phases: dict[str, dict[str, Column]] = Field(description="by phase and measure: one value for each model")
    left_out: dict[str, dict[str, Column]] = Field(
        description="z of each model against all others: what cannot be told apart looks like"
    )
    released_t: tuple[Seconds, ...] = Field(description="when each ended its retraining")
    curves: tuple[Curve, ...] = Field(description="the curve of each")


class Seed(Record):
    """One seed of a case."""

    requests: tuple[Requested, ...]
    clients: dict[str, Client] = Field(description="the hospitals; empty where that was not noted")
    sizes: Sizes | None = Field(None, description="how many images the measures rest on; null: not noted")
    before: Values = Field(description="the shared model at the first request, by measure")
    past: Curve | None = Field(description="the shared curve up to the first request")
    commit: str | None = Field(None, description="commit that the shared past was run at; null: not noted")
    retrained: Retrained
    arms: dict[str, Arm] = Field(description="by row; a row that has not been run is absent")


class Row(Record):
    """What a row of the tables stands for."""

    method: str
    source: str = Field(description="where the method comes from")
    options: dict[str, JsonValue] = Field(description="options other than the method's own defaults")
    oracle: bool = Field(description="whether it was shown the trigger, which no real server knows")
    needs_target: bool = Field(description="whether the erased hospital has to take part")
    pauses: bool = Field(description="whether training pauses until the release")


class Case(Record):
    """A federation and what was asked of it."""

    x: float | None = Field(description="where it lies on the suite's sweep")
    config: dict[str, JsonValue] = Field(description="the configuration of the first seed, every default written out")
    rows: dict[str, Row] = Field(description="in the order of the tables")
    seeds: dict[str, Seed] = Field(description="by seed")


class Sweep(Record):
    """What the suite varies."""

    label: str
    by: str = Field(description="x: the cases' own; otherwise a measured cost")
    costs: tuple[str, ...] = Field(description="what is drawn against it")


class Document(Record):
    """bench.json: everything that was measured in one suite."""

    version: Literal["afuic-bench/1"] = Field(alias="schema", description="version of this document's format")
    suite: str
    question: str
    commit: str | None = Field(description="commit of afuic that wrote it; the arms say which they were run at")
    versions: dict[str, str]
    machine: dict[str, str | int]
    changes: tuple[str, ...] = Field(description="overrides given on the command line, for every case")
    retrained: Count = Field(description="retrained references for each seed")
    sweep: Sweep | None
    skipped: dict[str, str] = Field(description="cases that could not be run here, and why")
    missing: tuple[str, ...] = Field(description="arms that were asked for and are not in it: the run goes on or was stopped")
    cases: dict[str, Case]
    digest: str = Field("", description="sha256 over everything else, so that an edited file is noticed")

    def to_json(self) -> str:
        """The document as written, with its digest, ending in a newline; a line for each arm, so that versions of it can be compared."""
        values = self.model_dump(mode="json", by_alias=True)
        return _lines(values | {"digest": digest(values)}, ARM_DEPTH) + "\n"


def _lines(value: Any, depth: int) -> str:
    """JSON with line breaks between the entries of objects down to ``depth`` levels, none below."""
    if depth == 0 or not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return (
        "{\n" + ",\n".join(f"{json.dumps(key, ensure_ascii=False)}:{_lines(v, depth - 1)}" for key, v in value.items()) + "\n}"
    )


def digest(values: Mapping[str, Any]) -> str:
    """sha256 of the document as canonical JSON (sorted keys, no spaces) without its own digest."""
    content = {key: value for key, value in values.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of bench.json."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "$id": VERSION} | Document.model_json_schema(by_alias=True)


class Begun(Record):
    """suite.json: what has been begun in a folder. ``arms``: by task, the fingerprint of its settings."""

    suite: str
    changes: tuple[str, ...]
    cases: tuple[str, ...]
    seeds: tuple[int, ...]
    arms: dict[str, str]


def begun(folder: Path) -> Begun | None:
    """What was begun in a folder, None where nothing was. StoreError: its record is damaged."""
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        return Begun.model_validate_json(json.dumps(read_json(path)))
    except ValidationError as error:
        raise StoreError(f"{path}: {fault(error)}; it was edited or damaged: restore it or choose another folder") from None


def load(place: Path) -> Document:
    """Read and check the document in a suite's folder, or a file of it.

    StoreError: it is missing, not JSON, of another schema version, edited since it was written, or out of range.
    """
    path = place / FILE if place.is_dir() else place
    try:
        values = parse_json(path.read_bytes())
    except FileNotFoundError:
        going = (path.parent / RECORD).exists()
        what = (
            "no case has a finished seed yet; go on with the suite" if going else "no such results; finish a suite there first"
        )
        raise StoreError(f"{path}: {what} (afuic bench run)") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: not a readable JSON file ({error}); restore it or run the suite again") from None
    found = values.get("schema") if isinstance(values, dict) else None
    if found != VERSION:
        raise StoreError(
            f"{path}: its schema is {found!r}, this afuic reads {VERSION!r}; use the afuic that wrote it, or run again"
        )
    if values.get("digest") != digest(values):
        raise StoreError(f"{path}: its content does not fit its digest, so it was edited or damaged; restore it or run again")
    try:
        return Document.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise StoreError(f"{path}: {fault(error)}; restore it or run the suite again") from None


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2, ensure_ascii=False))  # noqa: T201
