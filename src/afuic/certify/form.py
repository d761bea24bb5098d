"""The form of a certificate: an in-toto Statement v1 that says what was done, on which grade of evidence, and what that leaves open.

``docs/certificate.schema.json`` is generated from these classes and ``docs/deployment/certificate.md`` explains every field. A value of
them agrees with itself: whoever makes or reads one need not check that again. Another form is another ``PREDICATE`` type; nothing unknown
is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from afuic.certify.canonical import canonical, sha256
from afuic.scores import Measured

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:afuic:erasure:v2"
EARLIER = "urn:afuic:erasure:v1"
"""The form before the first release: nobody has certificates of it that count, and none is read."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
Utc = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
Count = Annotated[int, Field(ge=0)]
Nats = Annotated[float, Field(ge=0)]
How = Literal["subtracted", "overwritten", "restarted", "unlearned at the hospital", "nothing"]
TAKEN_OUT = frozenset({"subtracted", "overwritten", "restarted"})
"""Ways after which nothing of the erased is in the sum under their name."""
Steps = Literal["removed", "kept"]


class Part(BaseModel):
    """A frozen part of a certificate; unknown fields, NaN and infinity are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )


class Record(Part):
    """How far the chain of the server's records had come: no record from before can be changed without changing the head."""

    links: Count = Field(description="how many links it had")
    head: Digest = Field(description="digest of all of them")


class Place(Part):
    """Where the certificate stands in its federation's chain."""

    federation: Text = Field(description="name of the federation")
    agreed: Digest = Field(description="digest of the settings that server and hospitals share")
    number: Count = Field(description="certificates are numbered from 0, without gaps")
    previous: Digest | None = Field(description="digest of certificate number - 1; null for number 0 alone")
    record: Record


class Scope(Part):
    """What was to be erased: a whole hospital, or a group of its patients by salted digest and count."""

    hospital: Text = Field(description="name of the hospital")
    whole: bool = Field(description="everything that it contributed, and it takes part no more")
    patients: Annotated[int, Field(ge=1)] | None = Field(description="how many patients; null: the whole hospital")
    salted: Digest | None = Field(
        description="salted digest of their identifiers; hospital alone holds the salt and the identifiers"
    )


class Request(Part):
    """The request that was fulfilled."""

    id: Text = Field(description="identifier of the request")
    scope: Scope
    asked_by: Text = Field(description="name of the token that asked; no person's name belongs there")
    covers: tuple[Text, ...] = Field(description="requests of the same hospital that this one included and that ended with it")


class Times(Part):
    """Moments by the server's clock, UTC. A clock that was set back meanwhile shows as an odd order."""

    asked: Utc = Field(description="the request was durable at the server")
    fenced: Utc = Field(description="from here on nothing of the scope entered the model")
    released: Utc = Field(description="the released model became the federation's model")
    purged: Utc = Field(description="the store was scanned after the purge")
    verified: Utc | None = Field(description="the hospital's scores arrived; null: it sent none in time")
    issued: Utc = Field(description="this certificate was signed")


class Named(Part):
    """Contributors, hospital@epoch: those of the request's hospital by name, the others counted. A certificate names nobody else."""

    own: tuple[Text, ...] = Field(description="contributors of the request's hospital, sorted")
    others: Count = Field(description="how many contributors of other hospitals")

    @model_validator(mode="after")
    def _sorted(self) -> Named:
        _agrees(list(self.own) == sorted(set(self.own)), "contributors are not sorted, or named twice")
        return self


class Model(Part):
    """A version of the federation's model."""

    version: Count
    digest: Digest = Field(description="digest over the parameters' names, shapes, types and bytes")
    contributors: Named = Field(description="whoever is in the sum that it is")
    taught_by: Named = Field(
        description="whoever the teachers of the server's steps in it had learned from; their sums may be gone"
    )


class Models(Part):
    """The model at the fence and the released one."""

    before: Model
    after: Model


class Method(Part):
    """The erasure method and every one of its options."""

    name: Text
    source: Text = Field(description="where the method comes from")
    options: dict[str, JsonValue]


class Software(Part):
    """What says that it did this."""

    name: Literal["afuic"]
    version: Text


class Fence(Part):
    """What was kept out."""

    quarantined: Count = Field(description="results of this hospital that arrived after the fence and never entered")


class Removal(Part):
    """What was taken out of the model, and how."""

    how: How
    contributors: tuple[Text, ...] = Field(description="contributors that were erased, hospital@epoch")
    norm: Annotated[float, Field(ge=0)] = Field(description="Euclidean norm of what they had put into the model, at the fence")
    server_steps: Steps = Field(
        description="what became of the server's own earlier steps whose teachers had learned from them"
    )
    through_teacher: tuple[Text, ...] = Field(
        description="of these, whoever a teacher in the released model's healing had learned from"
    )
    updates_lost: Count = Field(description="updates of the others that the removal cost")


class Purge(Part):
    """What was deleted in the server's store, and the scan afterwards; a certificate is issued only when it found nothing."""

    removed: tuple[Digest, ...] = Field(description="digests of the tensors that were deleted")
    removed_bytes: Count
    found_by_scan: Literal[0] = Field(description="how many of them a scan of the store found afterwards")


class Procedural(Part):
    """Grade procedural: what the server says that it did, to be checked against its store and its records."""

    fence: Fence
    removal: Removal
    purge: Purge
    notes: tuple[Text, ...] = Field(description="what did not go as planned")


class Healing(Part):
    """How healing went: mean KL divergence to the model before the removal, on the server's own held-out images."""

    steps: Count
    gap_before: Nats
    gap_after: Nats


class Scores(Part):
    """What the erased hospital measured with the released model on its own images; numbers only."""

    hospital: Text
    numbers: Measured

    @model_validator(mode="after")
    def _some(self) -> Scores:
        _agrees(bool(self.numbers), "scores without a number")
        return self


class Empirical(Part):
    """Grade empirical: measurements."""

    healing: Healing | Literal["none"]
    scores: Scores | Literal["none"] = Field(description="none: the hospital was away or did not answer in time")


class Formal(Part):
    """Grade formal: a mathematical statement, and what has to be true for it to hold. Nobody checked that for this certificate."""

    kind: Literal["(epsilon, delta)-unlearning"]
    epsilon: Annotated[float, Field(gt=0)]
    delta: Annotated[float, Field(gt=0, lt=1)]
    sigma: Annotated[float, Field(ge=0)] = Field(description="standard deviation of the noise on each parameter")
    rests_on: tuple[Text, ...] = Field(min_length=1)


class Evidence(Part):
    """What speaks for the erasure, by grade."""

    procedural: Procedural
    empirical: Empirical
    formal: Formal | Literal["none"]


class Entry(Part):
    """One line of the ledger: the initial model, a contributor's sum, or the server's steps by who their teachers had learned from."""

    kind: Literal["origin", "contributor", "server"]
    names: Named
    digest: Digest


class Ledger(Part):
    """The books: model = origin + contributors + server's steps. ``root`` commits to them all."""

    version: Count = Field(description="version of the model that these books add up to")
    root: Digest = Field(description="SHA-256 of the entries as canonical JSON")
    entries: tuple[Entry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _committed(self) -> Ledger:
        _agrees(root_of(self.entries) == self.root, "the ledger's root is not that of its entries")
        return self

    def direct(self) -> frozenset[str]:
        """Contributors of the request's hospital with a sum of their own."""
        return frozenset(name for entry in self.entries if entry.kind == "contributor" for name in entry.names.own)


class Predicate(Part):
    """What happened, what speaks for it, and what that does not prove."""

    place: Place
    request: Request
    times: Times
    models: Models
    ledger: Ledger
    method: Method
    software: Software
    evidence: Evidence
    unreachable: tuple[Text, ...] = Field(description="copies that the purge could not reach")
    does_not_prove: tuple[Text, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Predicate:
        scope, removal = self.request.scope, self.evidence.procedural.removal
        _agrees((self.place.number == 0) == (self.place.previous is None), "number 0, and it alone, has no previous one")
        _agrees(scope.whole == (scope.patients is None) == (scope.salted is None), "patients have a count and a salted digest")
        _agrees(self.models.before.version < self.models.after.version, "the released version does not follow the one before")
        erased, left = set(removal.contributors), {*self.ledger.direct(), *self.models.after.contributors.own}
        _agrees(self._named() <= {scope.hospital}, "another hospital is named")
        _agrees(removal.how not in TAKEN_OUT or not erased & left, "what was taken out is still in the sum")
        return self

    def _named(self) -> set[str]:
        """Hospitals whose contributors are named."""
        lists = [found for model in (self.models.before, self.models.after) for found in (model.contributors, model.taught_by)]
        lists += [entry.names for entry in self.ledger.entries]
        erased = self.evidence.procedural.removal.contributors
        return {name.rpartition("@")[0] for name in (*erased, *(name for found in lists for name in found.own))}


class Subject(Part):
    """The released model. ``afuicParams`` is ``models.after.digest`` without its prefix: it is no digest of a file."""

    name: Text
    digest: dict[Literal["afuicParams"], Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]


class Statement(Part):
    """An in-toto Statement v1 about one released model."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: tuple[Subject]
    predicate_type: Literal["urn:afuic:erasure:v2"]
    predicate: Predicate

    @model_validator(mode="after")
    def _about(self) -> Statement:
        named = "sha256:" + self.subject[0].digest.get("afuicParams", "")
        _agrees(named == self.predicate.models.after.digest, "the subject is not the released model")
        return self

    def document(self) -> dict[str, Any]:
        """As plain JSON values."""
        return self.model_dump(mode="json", by_alias=True)


def root_of(entries: Iterable[Entry]) -> str:
    """What commits to all entries, whatever their order."""
    return sha256(canonical(sorted((e.model_dump(mode="json", by_alias=True) for e in entries), key=canonical)))


def schema() -> dict[str, Any]:
    """JSON Schema of a statement, as published."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": PREDICATE}
    return head | Statement.model_json_schema(by_alias=True)


def _agrees(so: bool, otherwise: str) -> None:
    if not so:
        raise ValueError(otherwise)
