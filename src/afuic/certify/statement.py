"""From facts to the statement that is signed, and back from signed bytes to a statement."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from afuic.certify import form, limits
from afuic.certify.canonical import canonical
from afuic.certify.facts import Facts, VersionLike
from afuic.document import parse_json
from afuic.errors import CertificateError, EarlierForm, JsonError
from afuic.scores import Judgement
from afuic.text import normal, shown


def statement(facts: Facts) -> dict[str, Any]:
    """The in-toto Statement as plain JSON values; CertificateError when these facts must not be certified."""
    if facts.purge.left:
        raise CertificateError(
            f"{facts.request.id}: {len(facts.purge.left)} purged tensors were found in the store again; purge once more before certifying"
        )
    if facts.request.released_at is None:
        raise CertificateError(
            f"{facts.request.id}: no model without the data has been released; there is nothing to certify yet"
        )
    try:
        made = form.Statement(
            type="https://in-toto.io/Statement/v1",
            subject=(_subject(facts),),
            predicate_type="urn:afuic:erasure:v2",
            predicate=_predicate(facts, facts.request.released_at),
        ).document()
        canonical(made)
    except (ValueError, OverflowError, OSError) as error:
        why = fault(error) if isinstance(error, ValidationError) else str(error)
        raise CertificateError(f"{facts.request.id}: not to be certified, {why}") from None
    return made


def parse(payload: bytes) -> form.Statement:
    """The statement in signed bytes; CertificateError where they are another form, contradict themselves or are written in another way."""
    try:
        values = parse_json(payload)
        _of_this_form(values)
        found = form.Statement.model_validate(values)
        same = canonical(found.document()) == payload
    except ValidationError as error:
        raise CertificateError(f"the signed content is not a statement of {form.PREDICATE}: {fault(error)}") from None
    except JsonError as error:
        raise CertificateError(f"the signed content: {error}") from None
    if not same:
        raise CertificateError("the signed content is not in canonical JSON, so that it could be read in two ways")
    return found


def _of_this_form(values: Any) -> None:
    if isinstance(values, dict) and values.get("predicateType") == form.EARLIER:
        raise EarlierForm(
            f"it is of {form.EARLIER}, a form that was never released; ask the server for a certificate of {form.PREDICATE}"
        )


def fault(error: ValidationError) -> str:
    """The first thing that is wrong, and where."""
    item = error.errors(include_input=False, include_url=False)[0]
    place = shown(".".join(str(part) for part in item["loc"]))[:200]
    return f"{place + ': ' if place else ''}{shown(item['msg'].removeprefix('Value error, '))[:500]}"


def utc(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _subject(facts: Facts) -> form.Subject:
    name = f"{facts.federation}/model/{facts.after.version}"
    return form.Subject(name=name, digest={"afuicParams": facts.after.digest.removeprefix("sha256:")})


def _predicate(facts: Facts, released_at: float) -> form.Predicate:
    request, times = _request(facts), _times(facts, released_at)
    evidence = form.Evidence(procedural=_procedural(facts), empirical=_empirical(facts), formal=_formal(facts))
    return form.Predicate(
        place=form.Place(
            federation=facts.federation,
            agreed=facts.agreed,
            number=facts.number,
            previous=facts.previous,
            record=form.Record(links=facts.record.links, head=facts.record.head),
        ),
        request=request,
        times=times,
        models=form.Models(before=_model(facts, facts.before), after=_model(facts, facts.after)),
        ledger=_ledger(facts),
        method=form.Method(name=facts.method, source=_line(facts.source), options=_visible(dict(facts.options))),
        software=form.Software(name="afuic", version=facts.software),
        evidence=evidence,
        unreachable=limits.unreachable(map(_line, facts.purge.unreachable)),
        does_not_prove=limits.does_not_prove(request.scope, times, evidence),
    )


def _request(facts: Facts) -> form.Request:
    asked = facts.request
    scope = form.Scope(hospital=asked.client, whole=asked.patients is None, patients=asked.patients, salted=asked.salted)
    return form.Request(id=asked.id, scope=scope, asked_by=asked.who, covers=tuple(sorted(facts.covers)))


def _times(facts: Facts, released_at: float) -> form.Times:
    return form.Times(
        asked=utc(facts.request.asked_at),
        fenced=utc(facts.fenced_at),
        released=utc(released_at),
        purged=utc(facts.purge.scanned_at),
        verified=None if facts.verification is None else utc(facts.verification.at),
        issued=utc(facts.issued_at),
    )


def _model(facts: Facts, row: VersionLike) -> form.Model:
    contributors, taught_by = _named(facts, row.contributors), _named(facts, row.taught_by)
    return form.Model(version=row.version, digest=row.digest, contributors=contributors, taught_by=taught_by)


def _ledger(facts: Facts) -> form.Ledger:
    lines = facts.books.entries
    entries = tuple(form.Entry(kind=line.kind, names=_named(facts, line.names), digest=line.digest) for line in lines)
    return form.Ledger(version=facts.books.version, root=form.root_of(entries), entries=entries)


def _named(facts: Facts, names: Iterable[str]) -> form.Named:
    """The hospital's own by name, the others counted: it may not learn from its certificate who else takes part."""
    found = set(names)
    own = {name for name in found if name.rpartition("@")[0] == facts.request.client}
    return form.Named(own=tuple(sorted(own)), others=len(found - own))


def _procedural(facts: Facts) -> form.Procedural:
    done, purge = facts.done, facts.purge
    taught = set(done.gone) & set(facts.after.taught_by) if done.how == "subtracted" else set()
    return form.Procedural(
        fence=form.Fence(quarantined=facts.quarantined),
        removal=form.Removal(
            how=done.how,
            contributors=done.gone,
            norm=done.norm,
            server_steps="removed" if done.steps_removed else "kept",
            others_median=done.median,
            least_cosine=done.cosine,
            through_teacher=tuple(sorted(taught)),
            updates_lost=facts.lost,
        ),
        purge=form.Purge(removed=tuple(sorted(purge.removed)), removed_bytes=purge.removed_bytes, found_by_scan=0),
        notes=tuple(map(_line, done.notes)),
    )


def _empirical(facts: Facts) -> form.Empirical:
    healing, scores = facts.done.healing, facts.verification
    return form.Empirical(
        release=_judged(facts.done.judgement),
        healing="none" if healing is None else form.Healing(steps=healing[0], gap_before=healing[1], gap_after=healing[2]),
        scores="none" if scores is None else form.Scores(hospital=facts.request.client, numbers=scores.numbers),
    )


def _judged(found: Judgement | None) -> Any:
    if found is None:
        return "none"
    shares = {"share_before": found.before, "share_after": found.after}
    return form.Judged(divergence=found.divergence, probe=found.probe, jump=found.jump, **shares)


def _formal(facts: Facts) -> Any:
    found = facts.done.guarantee
    if found is None:
        return "none"
    return form.Formal(
        kind="(epsilon, delta)-unlearning",
        epsilon=found.epsilon,
        delta=found.delta,
        sigma=found.sigma,
        rests_on=tuple(map(_line, found.rests_on)),
    )


def _line(text: str) -> str:
    """Text from outside on one line that hides nothing, of a bounded length."""
    return normal(shown(" ".join(text.split()))[:1000])[:1000].strip() or "(nothing)"


def _visible(value: Any) -> Any:
    """The same value with nothing hidden in its texts."""
    if isinstance(value, dict):
        return {shown(str(key)): _visible(part) for key, part in value.items()}
    return [*map(_visible, value)] if isinstance(value, list | tuple) else shown(value) if isinstance(value, str) else value
