"""The form of a certificate: an in-toto Statement v1 that says what was done, on which grade of evidence, and what that leaves open.

``docs/certificate.schema.json`` is generated from these classes and ``docs/deployment/certificate.md`` explains every field. A value of
them agrees with itself: whoever makes or reads one need not check that again. Another form is another ``PREDICATE`` type; nothing unknown
is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from afuic.certify import agreement
from afuic.certify.canonical import canonical, sha256
from afuic.errors import ScoresError
from afuic.scores import Judgement, Measured, measured
from afuic.settings import NAME
from afuic.text import HIDDEN_CLASS, visible

STATEMENT = "https://in-toto.io/Statement/v1"
MOST = 2**53
"""The largest whole number: beyond, readers in other languages round."""
PREDICATE = "urn:afuic:erasure:v2"
LARGEST = 1e300
EARLIER = "urn:afuic:erasure:v1"
"""The form before the first release: nobody has certificates of it that count, and none is read."""
SEEN: dict[str, JsonValue] = {"pattern": f"^[^{HIDDEN_CLASS}]+$"}


def _plain(text: str) -> str:
    if visible(text) != text:
        raise ValueError("is not in Unicode's composed form, or has blanks at its ends")
    return text


def _moment(text: str) -> str:
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"there is no such moment as {text}") from None
    return text


def _bounded(options: dict[str, JsonValue]) -> dict[str, JsonValue]:
    waiting: list[Any] = [options]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting += [*value, *value.values()] if isinstance(value, dict) else value
        elif isinstance(value, str):
            visible(value)
        elif isinstance(value, int | float) and not abs(value) <= (LARGEST if isinstance(value, float) else 2**64):
            raise ValueError("holds a number that no option can be")
    return options


Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1, max_length=2000, json_schema_extra=SEEN), AfterValidator(_plain)]
Title = Annotated[str, Field(min_length=1, max_length=200, json_schema_extra=SEEN), AfterValidator(_plain)]
Name = Annotated[str, Field(pattern=NAME)]
RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Asker = Annotated[str, Field(pattern=rf"^(operator|hospital)(:{NAME[1:-1]})?$")]
Contributor = Annotated[str, Field(pattern=rf"^{NAME[1:-1]}@(0|[1-9][0-9]{{0,8}})$")]
Release = Annotated[str, Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6}){1,3}[0-9a-z.+-]{0,40}$")]
Utc = Annotated[str, Field(pattern=r"^20[2-9][0-9](-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z$"), AfterValidator(_moment)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Nats = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Cosine = Annotated[float, Field(ge=-1, le=1)]
How = Literal["subtracted", "overwritten", "restarted", "unlearned at the hospital", "nothing"]
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

    federation: Title = Field(description="name of the federation")
    agreed: Digest = Field(description="digest of the settings that server and hospitals share")
    number: Count = Field(description="certificates are numbered from 0, without gaps")
    previous: Digest | None = Field(description="digest of certificate number - 1; null for number 0 alone")
    record: Record


class Scope(Part):
    """What was to be erased: a whole hospital, or a group of its patients by salted digest and count."""

    hospital: Name = Field(description="name of the hospital")
    whole: bool = Field(description="everything that it contributed, and it takes part no more")
    patients: Annotated[int, Field(ge=1, le=10**9)] | None = Field(description="how many patients; null: the whole hospital")
    salted: Digest | None = Field(
        description="salted digest of their identifiers; hospital alone holds the salt and the identifiers"
    )


class Request(Part):
    """The request that was fulfilled."""

    id: RequestId = Field(description="identifier of the request")
    scope: Scope
    asked_by: Asker = Field(description="role and name of the token that asked; no person's name belongs there")
    covers: tuple[RequestId, ...] = Field(
        description="sorted; requests of the same hospital that this one included and that ended with it"
    )


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

    own: tuple[Contributor, ...] = Field(description="contributors of the request's hospital, sorted")
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
    """The last model before the release and the released one."""

    before: Model
    after: Model


class Method(Part):
    """The erasure method and every one of its options."""

    name: Name
    source: Text = Field(description="where the method comes from")
    options: Annotated[dict[str, JsonValue], AfterValidator(_bounded)]


class Software(Part):
    """What says that it did this."""

    name: Literal["afuic"]
    version: Release


class Fence(Part):
    """What was kept out."""

    quarantined: Count = Field(description="results of this hospital that arrived after the fence and never entered")


class Removal(Part):
    """What was taken out of the model, and how."""

    how: How
    contributors: tuple[Contributor, ...] = Field(min_length=1, description="contributors that were erased, hospital@epoch")
    norm: Annotated[float, Field(ge=0)] = Field(description="Euclidean norm of what they had put into the model, at the fence")
    server_steps: Steps = Field(
        description="what became of the server's own earlier steps whose teachers had learned from them"
    )
    others_median: Nats | None = Field(
        description="median norm of the others' contributions at the removal; null: not subtracted"
    )
    least_cosine: Cosine | None = Field(
        description="of what was subtracted to a contribution that stays, the least; null: none"
    )
    through_teacher: tuple[Contributor, ...] = Field(
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
    gap_before: Nats | None = Field(description="null: not measured")
    gap_after: Nats | None = Field(description="null: not measured")


class Scores(Part):
    """What the erased hospital measured with the released model on its own images; numbers only."""

    hospital: Name
    numbers: Measured

    @model_validator(mode="after")
    def _some(self) -> Scores:
        try:
            measured(self.numbers)
        except ScoresError as error:
            raise ValueError(str(error)) from None
        return self


class Judged(Part):
    """The released model beside the one before, on the server's own images: whether some small change of an image, a probe, now changes
    answers that it did not change before.
    """

    divergence: Nats = Field(description="mean KL from the model before, nats")
    probe: Text = Field(description="the probe whose effect grew most")
    share_before: Share = Field(description="share of the images whose answer the probe changed before")
    share_after: Share = Field(description="and in the released model")
    jump: bool = Field(description="more than four times as often (0.02 added to both shares): no ordinary erasure does that")

    @model_validator(mode="after")
    def _said(self) -> Judged:
        found = Judgement(self.divergence, self.probe, self.share_before, self.share_after)
        _agrees(found.jump == self.jump, "a jump is said where there is none, or the other way round")
        return self


class Empirical(Part):
    """Grade empirical: measurements."""

    release: Judged | Literal["none"] = Field(description="none: nothing was calibrated, so nobody compared")
    healing: Healing | Literal["none"]
    scores: Scores | Literal["none"] = Field(description="none: the hospital was away or did not answer in time")


class Formal(Part):
    """Grade formal: a mathematical statement, and what has to be true for it to hold. Nobody checked that for this certificate."""

    kind: Literal["(epsilon, delta)-unlearning"]
    epsilon: Annotated[float, Field(gt=0)]
    delta: Annotated[float, Field(gt=0, lt=1)]
    sigma: Annotated[float, Field(gt=0)] = Field(description="standard deviation of the noise on each parameter")
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
        for contradiction in agreement.contradictions(self):
            raise ValueError(contradiction)
        return self


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
        after, place = self.predicate.models.after, self.predicate.place
        name = f"{place.federation}/model/{after.version}"
        _agrees((self.subject[0].name, named) == (name, after.digest), "the subject is not the released model")
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
