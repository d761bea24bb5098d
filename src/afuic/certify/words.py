"""A certificate in plain words: what it states and what it does not prove, for somebody who reads no JSON."""

from __future__ import annotations

from collections.abc import Iterator

from afuic.certify import form, limits
from afuic.scores import MEANING

HOW = {
    "subtracted": "subtracted from the model",
    "overwritten": "overwritten by a model made to forget it",
    "restarted": "left out: the model was trained anew",
    "unlearned at the hospital": "unlearned at the hospital; nothing was subtracted",
    "nothing": "not removed; it only takes part no more",
}


def states(statement: form.Statement) -> list[str]:
    """What the certificate says, in lines."""
    predicate = statement.predicate
    return [*_what(predicate), *_procedural(predicate), *_empirical(predicate), *_formal(predicate)]


def does_not_prove(statement: form.Statement) -> list[str]:
    """Its own sentences about that."""
    return list(statement.predicate.does_not_prove)


def unreachable(statement: form.Statement) -> list[str]:
    """Copies that the purge did not reach."""
    return list(statement.predicate.unreachable)


def _what(predicate: form.Predicate) -> Iterator[str]:
    place, request, times, models = predicate.place, predicate.request, predicate.times, predicate.models
    yield f"certificate {place.number} of federation {place.federation}, issued {times.issued} by afuic {predicate.software.version}"
    yield f"the server's record had {place.record.links} links then, head {place.record.head}"
    yield f"request {request.id} of {request.asked_by}: erase {scope(request.scope)}"
    if request.covers:
        yield f"it includes the requests {', '.join(request.covers)}"
    yield f"asked {times.asked}, fenced {times.fenced}, released {times.released}, purged {times.purged}"
    if not limits.in_order(times):
        yield "these times are out of order: the server's clock was set meanwhile"
    yield f"model before: version {models.before.version}, {models.before.digest}"
    yield f"model released: version {models.after.version}, {models.after.digest}"


def scope(asked: form.Scope) -> str:
    """What was to be erased."""
    if asked.whole:
        return f"the whole of {asked.hospital}"
    return f"{asked.patients} patient{'' if asked.patients == 1 else 's'} of {asked.hospital} (salted digest {asked.salted})"


def _procedural(predicate: form.Predicate) -> Iterator[str]:
    found = predicate.evidence.procedural
    removal, purge = found.removal, found.purge
    yield (
        f"procedural: method {predicate.method.name}; the contribution of {', '.join(removal.contributors)} (norm {removal.norm:.4g}) was"
        f" {HOW[removal.how]}; any earlier steps of the server's own that had learned from it were {removal.server_steps}"
    )
    yield f"procedural: {found.fence.quarantined} late results kept out; {removal.updates_lost} updates of others lost"
    yield f"procedural: {len(purge.removed)} stored tensors deleted ({purge.removed_bytes} bytes); a scan afterwards found none of them"
    if removal.others_median is not None:
        cosine = "" if removal.least_cosine is None else f"; its least cosine to one of them was {removal.least_cosine:.2f}"
        yield f"procedural: the others' contributions had a median norm of {removal.others_median:.4g}{cosine}"
    if removal.through_teacher:
        yield f"procedural: healed by a teacher that had learned from {', '.join(removal.through_teacher)}"
    yield from (f"procedural: {note}" for note in found.notes)


def _empirical(predicate: form.Predicate) -> Iterator[str]:
    found = predicate.evidence.empirical
    if isinstance(found.release, form.Judged):
        yield _judged(found.release)
    if isinstance(found.healing, form.Healing):
        yield f"empirical: healed in {found.healing.steps} steps, {_gap(found.healing)}"
    if not isinstance(found.scores, form.Scores):
        yield "empirical: no scores from the hospital"
        return
    yield f"empirical: {found.scores.hospital} scored the released model on its own images"
    for name, value in dict(found.scores.numbers).items():
        yield f"empirical: {MEANING[name]}: {value:.6g}"


def _judged(found: form.Judged) -> str:
    return (
        f"empirical: the released model is {found.divergence:.4g} nats from the one before on the server's images; a probe ({found.probe})"
        f" changes {found.share_after:.0%} of its answers, before {found.share_before:.0%}"
        + (": A JUMP, as no ordinary erasure makes one" if found.jump else "")
    )


def _gap(healing: form.Healing) -> str:
    if healing.gap_before is None or healing.gap_after is None:
        return "how far from the model before was not measured"
    return f"from {healing.gap_before:.4g} to {healing.gap_after:.4g} nats from the model before"


def _formal(predicate: form.Predicate) -> Iterator[str]:
    found = predicate.evidence.formal
    if not isinstance(found, form.Formal):
        yield "formal: none"
        return
    yield f"formal: {found.kind} with epsilon {found.epsilon:g} and delta {found.delta:g}, only if there are " + "; ".join(
        found.rests_on
    )
