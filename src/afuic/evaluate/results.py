"""The written result of a run, as one typed document, so that reports, tables and readers elsewhere need nothing else of afuic.

``docs/results.schema.json`` is generated from these classes, and ``docs/results.md`` explains every field in words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from afuic.config import tuples
from afuic.document import parse_json
from afuic.errors import StoreError

VERSION = "afuic-results/1"
CONTINUE, NOT_ERASED = "continue", "not erased"
"""The method under which the hospital merely leaves, and what is said of it wherever others say when they released a model."""

Share = Annotated[float, Field(ge=0, le=1)]
Excess = Annotated[float, Field(ge=-1, le=1)]
Nats = Annotated[float, Field(ge=0)]
Divergence = Annotated[float, Field(ge=0, le=0.6932)]
Gap = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
PhaseName = Literal["before", "released", "final"]
AfterName = Literal["released", "final"]


class Record(BaseModel):
    """A frozen part of the results that refuses fields it does not know, values of another type, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _of_lists(cls, values: Any) -> Any:
        return {k: tuples(v) for k, v in values.items()} if isinstance(values, dict) else values


class Requested(Record):
    """One erasure request."""

    id: str = Field(description="name of the request, unique in the run")
    client: str = Field(description="hospital whose data is to be erased")
    patients: Count | None = Field(description="number of patients to erase; null: the whole hospital")
    t: Seconds = Field(description="when it was asked, virtual seconds from the start")
    target_online: bool = Field(description="whether the hospital could be reached when it was asked")


class Client(Record):
    """One hospital."""

    images: Count = Field(description="training images held at the start")
    triggered: Count = Field(description="of these, images that carry the trigger and the target's label")
    slowness: float = Field(gt=0, description="time for one task over a median hospital's")


class Sizes(Record):
    """How many images the measures rest on: few of them err by chance, and no gap smaller than that counts."""

    test: tuple[Count, ...] = Field(description="test images of each class, in the order of the labels")
    forget: Count = Field(description="images to erase")
    members: Count = Field(description="of these, images without the trigger")
    attacked: Count = Field(description="test images of other classes than the trigger's; 0: no trigger")
    hospitals: dict[str, Count] = Field(description="each hospital's own test images")
    curve: tuple[Count, Count, Count] = Field(description="test images, images to erase and attacked images of a curve's point")


class Point(Record):
    """One point of a curve, measured on a fixed random subset of the test and forget images."""

    t: Seconds = Field(description="virtual seconds from the start of the run")
    version: Count = Field(description="number of steps the global model has taken")
    accuracy: Share = Field(description="accuracy on test images")
    forget_accuracy: Share = Field(description="accuracy on the images to erase, with the labels they were held with")
    forget_loss: Nats = Field(description="mean cross-entropy on the images to erase, nats")
    asr: Share | None = Field(description="triggered test images of other classes taken for the target class; null: no trigger")
    asr_excess: Excess | None = Field(description="asr minus the same share without the trigger; null: no trigger")


class Phase(Point):
    """The global model at one moment, measured on all images."""

    balanced_accuracy: Share = Field(description="mean recall over the classes present")
    auroc: Share | None = Field(
        description="mean one-versus-rest area under the ROC curve over the classes present; null: fewer than two are"
    )
    ece: Share = Field(description="expected calibration error, 15 equal-width bins")
    asr_clean: Share | None = Field(description="the images of asr, without the trigger, taken for the target class")
    mia_auc: Share | None = Field(
        description="AUC of the population membership attack; 0.5: no better than chance; null: fewer than two images on a side"
    )
    js_to_retrain: Divergence | None = Field(None, description="mean Jensen-Shannon divergence to the retrained models, nats")
    js_floor: Divergence | None = Field(None, description="the same between retrained models; null below two of them")
    sensitivity: tuple[Share | None, ...] = Field(description="recall of each class; null: no test image of it")
    hospitals: dict[str, Share | None] = Field(description="accuracy on each hospital's own test images; null: it has none")


class Resurfacing(Record):
    """The highest values on the curve from the release on; null where nothing was measured."""

    asr_excess_max: Excess | None = Field(description="highest excess attack success")
    forget_accuracy_max: Share | None = Field(description="highest accuracy on the images to erase")


class Spread(Record):
    """One measure over the retrained runs."""

    mean: float = Field(description="mean over the runs")
    sd: Annotated[float, Field(ge=0)] | None = Field(description="sample standard deviation (n - 1); null for one run")


class Healing(Record):
    """How long the server healed one request; gaps are the mean KL to the model before removal on images held out, in nats."""

    request: str = Field(description="id of the request")
    steps: Count = Field(description="optimizer steps it took")
    gap_before: Gap | None = Field(description="gap after removal, before healing; null: not measured")
    gap_after: Gap | None = Field(description="gap when healing stopped; null: not measured")


class Method(Record):
    """What one method did and what it cost. Times are virtual seconds."""

    source: str = Field(description="where the method comes from")
    oracle: bool = Field(description="whether it was shown the trigger, which no real server knows")
    erasure_latency_s: Seconds | None = Field(description="from the request to the release; null: never released")
    latency_to_retrain: Annotated[float, Field(ge=0)] | None = Field(description="that latency over retraining's")
    stall_client_s: Seconds = Field(description="idle client-seconds of the other hospitals caused by the request")
    updates_lost: Count = Field(description="updates of the others applied before the release and absent after it")
    updates_quarantined: Count = Field(description="late updates of the erased hospital that were refused")
    bytes_moved: Count = Field(description="bytes sent over links because of the erasure")
    bytes_stored: Count = Field(description="bytes kept so that erasure is possible")
    server_s: Seconds = Field(description="seconds the server worked for the erasure")
    needs_target: bool = Field(description="whether the erased hospital had to take part")
    healing: tuple[Healing, ...] = Field((), description="how long each request was healed; empty: none was")
    failed: str | None = Field(description="why no model was released; null: one was")
    digest: str = Field(description="sha256 of the final model")
    events: Count = Field(description="events the protocol handled")
    phases: dict[PhaseName, Phase] = Field(
        description="before the request, at the release, at the end; some may be absent after a failure"
    )
    gaps: dict[AfterName, dict[str, float | None]] = Field(
        description="(value - retraining's mean) / retraining's standard deviation for each measure; null: undefined"
    )
    resurfacing: Resurfacing = Field(description="worst values from the release on")
    updates_after_release_per_client: Annotated[float, Field(ge=0)] = Field(
        description="mean updates of a hospital after the release"
    )
    curve: tuple[Point, ...] = Field(description="measures against the clock, in the order of time")


class Retrained(Record):
    """The reference: models trained from nothing without the erased data, each from its own initial model."""

    runs: Count = Field(description="number of retrained models that did not fail")
    failed: dict[str, str] = Field({}, description="why each of the others failed, by its name")
    phases: dict[AfterName, dict[str, Spread]] = Field(description="each measure when retraining ended, and at the end")
    resurfacing: tuple[Resurfacing, ...] = Field(description="worst values of each run")
    released_t: tuple[Seconds, ...] = Field((), description="when each run ended its retraining; empty: not noted")
    curves: tuple[tuple[Point, ...], ...] = Field(description="the curve of each run, on the clock of the experiment")


class Results(Record):
    """results.json: everything measured in one run."""

    version: Literal["afuic-results/1"] = Field(alias="schema", description="version of this document's format")
    name: str = Field(description="name of the experiment")
    seed: Annotated[int, Field(ge=0)] = Field(description="seed from which all randomness is derived")
    commit: str | None = Field(
        description="commit of afuic, +changes where the source differed from it; null outside a checkout"
    )
    versions: dict[str, str] = Field(description="versions of the software that decides the numbers")
    machine: dict[str, str | int] = Field(description="the machine it ran on")
    config: dict[str, JsonValue] = Field(description="the full configuration, every default written out")
    requests: tuple[Requested, ...] = Field(description="the erasure requests in the order of time")
    clients: dict[str, Client] = Field(description="the hospitals by name")
    sizes: Sizes | None = Field(None, description="how many images the measures rest on; null: not noted")
    methods: dict[str, Method] = Field(min_length=1, description="the methods by name, in the order they were asked for")
    retrained: Retrained | None = Field(description="the retrained reference; null when it was not run")
    dropped: dict[str, Count] = Field(
        default_factory=dict, description="images removed, or counted at another site, before anything was trained, by reason"
    )
    warnings: tuple[str, ...] = Field(
        (), description="what a reader has to know before any number: nothing was trained, for example"
    )

    def outcome(self, name: str) -> str:
        """What came of a method, in a few words: ``released after 26 s``, ``not erased``, ``never released``."""
        if name == CONTINUE:
            return NOT_ERASED
        latency = self.methods[name].erasure_latency_s
        return "never released" if latency is None else f"released after {latency:.0f} s"

    def to_json(self) -> str:
        """The document as written to results.json, ending in a newline."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of results.json."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "$id": VERSION} | Results.model_json_schema(by_alias=True)


def load(path: Path) -> Results:
    """Read and check results.json; StoreError when it is missing, not JSON, of another schema version, or out of range."""
    try:
        values = parse_json(path.read_bytes())
    except FileNotFoundError:
        raise StoreError(f"{path}: no such results file; finish a run there first") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: not a readable JSON file ({error}); restore it or run again") from None
    found = values.get("schema") if isinstance(values, dict) else None
    if found != VERSION:
        raise StoreError(
            f"{path}: its schema is {found!r}, this afuic reads {VERSION!r}; run again, or use the afuic that wrote it"
        )
    try:
        return Results.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise StoreError(f"{path}: {fault(error)}; restore it or run again") from None


def repairs(dropped: Mapping[str, int]) -> tuple[str, ...]:
    """What was removed or moved before anything was trained, a sentence for each kind that occurred."""
    return tuple(f"{count} {_REPAIRS.get(kind, kind)}" for kind, count in dropped.items() if count)


_REPAIRS = {
    "train_in_test": "training images were removed: byte for byte test images",
    "val_in_test": "validation images were removed: byte for byte test images",
    "train_in_val": "training images were removed: byte for byte validation images",
    "train_repeated": "training images were removed: byte for byte another training image, which was kept",
    "train_two_labels": "of the images removed as copies had another label than the one that was kept",
    "train_moved_site": "training images count at another site than their own: most of their patient's are there",
    "test_moved_site": "test images count at another site than their own: most of their patient's are there",
    "test_unknown_site": "test images were removed: their site has no training images",
}


def fault(error: ValidationError) -> str:
    """What is wrong with a document, and where, in a few words: the first of its faults."""
    item = error.errors()[0]
    place = ".".join(str(part) for part in item["loc"]) or "the document"
    more = f" (and {error.error_count() - 1} more faults)" if error.error_count() > 1 else ""
    return f"{place}: {item['msg'].lower()}{more}"


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2, ensure_ascii=False))  # noqa: T201
