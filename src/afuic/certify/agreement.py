"""What no honest server writes: a certificate's parts agree with one another, and whatever follows from its facts is what it says.

Each sentence is one contradiction. A signature alone shows who signed; a certificate that says less than its facts do, such as one
without a sentence about what it does not prove, is refused although its signature holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from afuic.certify import limits

if TYPE_CHECKING:
    from afuic.certify import form

OVERWRITE = frozenset({"overwritten"})
WAYS: Mapping[str, frozenset[str]] = {
    "afuic": frozenset({"subtracted", "unlearned at the hospital"}),
    "continue": frozenset({"nothing"}),
    "knot": frozenset({"restarted"}),
    "retrain": frozenset({"restarted"}),
    **dict.fromkeys(("afuic-paper", "fcu", "federaser", "fedosd", "fedrecovery", "halimi", "lethe"), OVERWRITE),
    **dict.fromkeys(("maverick", "not", "puf", "rapid", "sifu", "wu"), OVERWRITE),
}
"""In which ways each method takes influence out; there are no other methods."""
TAKEN_OUT = frozenset({"subtracted", "overwritten", "restarted"})
"""Ways after which nothing of the erased is in the sum under their name."""
STEPS_GO = frozenset({"subtracted", "restarted"})
"""Ways that can take the server's earlier steps along."""
NOTICEABLE = 0.01
"""A norm that no rounding swallows."""


def contradictions(said: form.Predicate) -> Iterator[str]:
    """What in the predicate contradicts something else in it, one sentence each; nothing where an honest server could have written it."""
    yield from _of_the_request(said)
    yield from _of_the_models(said)
    yield from _of_the_removal(said)
    yield from _of_what_stays(said)
    yield from _of_the_teachers(said)
    yield from _of_the_ledger(said)
    yield from _of_the_purge(said)
    yield from _of_the_measures(said)
    yield from _of_the_proof(said)
    yield from _of_the_limits(said)


def ordered(names: Iterable[str]) -> list[str]:
    """Sorted and each once, as every list of names is."""
    return sorted(set(names))


def _of_the_request(said: form.Predicate) -> Iterator[str]:
    place, request = said.place, said.request
    scope, (role, _, name) = request.scope, request.asked_by.partition(":")
    if (place.number == 0) != (place.previous is None):
        yield "number 0, and it alone, has no previous one"
    if place.record.links <= place.number:
        yield "the record is shorter than the certificates in it"
    if not scope.whole == (scope.patients is None) == (scope.salted is None):
        yield "patients have a count and a salted digest, and a whole hospital has neither"
    if list(request.covers) != ordered(request.covers) or request.id in request.covers:
        yield "the requests that it covers are not sorted, or one is named twice or is its own"
    if request.covers and not scope.whole:
        yield "a request of patients covers no other"
    if role == "hospital" and name not in {"", scope.hospital}:
        yield "a hospital asked for another one"


def _of_the_models(said: form.Predicate) -> Iterator[str]:
    before, after, removal = said.models.before, said.models.after, said.evidence.procedural.removal
    if before.version >= after.version:
        yield "the released version does not follow the one before"
    if before.digest == after.digest and removal.how == "subtracted" and removal.norm > NOTICEABLE:
        yield "something was subtracted and the model is the same"
    if said.request.scope.whole and removal.how == "subtracted" and removal.norm > 0 and not before.contributors.own:
        yield "something was subtracted and nothing of the hospital was in the sum"


def _of_the_removal(said: form.Predicate) -> Iterator[str]:
    scope, removal = said.request.scope, said.evidence.procedural.removal
    named = {name.rpartition("@")[0] for name in (*removal.contributors, *_named(said))}
    if named - {scope.hospital}:
        yield "another hospital is named"
    if list(removal.contributors) != [f"{scope.hospital}@{epoch}" for epoch in range(len(removal.contributors))]:
        yield "the erased are not the hospital's contributors so far, from epoch 0 on"
    if scope.whole and not {*_named(said)} <= set(removal.contributors):
        yield "the whole hospital was erased, and one of its contributors was not"
    if removal.how in TAKEN_OUT and set(removal.contributors) & {*said.ledger.direct(), *said.models.after.contributors.own}:
        yield "what was taken out is still in the sum"
    if removal.how not in WAYS.get(said.method.name, ()):
        yield f"the method {said.method.name} never does what was done"
    if removal.how == "unlearned at the hospital" and scope.whole:
        yield "a whole hospital does not unlearn at itself"
    if removal.server_steps == "removed" and removal.how not in STEPS_GO:
        yield "the server's earlier steps cannot have been removed in this way"


def _of_what_stays(said: form.Predicate) -> Iterator[str]:
    removal, staying = said.evidence.procedural.removal, said.models.after.contributors
    if (removal.others_median is None) != (removal.least_cosine is None):
        yield "the others' median norm and the least cosine go together"
    if removal.how != "subtracted" and removal.others_median is not None:
        yield "nothing was subtracted, and something is set beside what stays"
    if removal.how == "subtracted" and removal.others_median is None and (staying.own or staying.others):
        yield "what was subtracted is not set beside what stays"


def _of_the_teachers(said: form.Predicate) -> Iterator[str]:
    removal = said.evidence.procedural.removal
    taught = set(removal.contributors) & set(said.models.after.taught_by.own) if removal.how == "subtracted" else ()
    if list(removal.through_teacher) != ordered(taught):
        yield "those whom the teacher had learned from are not those who taught the released model's steps"


def _named(said: form.Predicate) -> Iterator[str]:
    for model in (said.models.before, said.models.after):
        yield from (*model.contributors.own, *model.taught_by.own)
    for entry in said.ledger.entries:
        yield from entry.names.own


def _of_the_ledger(said: form.Predicate) -> Iterator[str]:
    ledger, after = said.ledger, said.models.after
    kinds = [entry.kind for entry in ledger.entries]
    if kinds != ["origin", *sorted(kinds[1:])] or "origin" in kinds[1:]:
        yield "the ledger is not one origin, then contributors, then the server's steps"
    counts = {kind: [len(e.names.own) + e.names.others for e in ledger.entries if e.kind == kind] for kind in set(kinds)}
    if any(counts.get("origin", ())) or set(counts.get("contributor", ())) - {1}:
        yield "an entry of the ledger has more names, or fewer, than one of its kind"
    own = [name for entry in ledger.entries if entry.kind == "contributor" for name in entry.names.own]
    if own != ordered(own):
        yield "contributors in the ledger are not sorted, or named twice"
    if ledger.version < after.version:
        yield "the ledger is older than the released model"
    if ledger.version == after.version:
        yield from _of_the_books(said)


def _of_the_books(said: form.Predicate) -> Iterator[str]:
    """The ledger is that of the released model."""
    after, entries = said.models.after, said.ledger.entries
    others = sum(entry.names.others for entry in entries if entry.kind == "contributor")
    if set(after.contributors.own) != said.ledger.direct() or after.contributors.others != others:
        yield "the ledger has other contributors than the released model"
    taught = {name for entry in entries if entry.kind == "server" for name in entry.names.own}
    least = max((entry.names.others for entry in entries if entry.kind == "server"), default=0)
    if taught != set(after.taught_by.own) or least > after.taught_by.others:
        yield "the ledger has other teachers than the released model"
    sure = [e.names for e in entries if e.kind == "server" and e.names.others in {0, after.taught_by.others}]
    if len({(names.own, names.others) for names in sure}) < len(sure):
        yield "the server's steps of the same teachers are in the ledger twice"


def _of_the_purge(said: form.Predicate) -> Iterator[str]:
    purge = said.evidence.procedural.purge
    if list(purge.removed) != ordered(purge.removed):
        yield "the deleted tensors are not sorted, or one is named twice"
    if purge.removed_bytes < len(purge.removed) or (purge.removed_bytes and not purge.removed):
        yield "so many bytes are not those of so many deleted tensors"
    if said.models.after.digest in purge.removed:
        yield "the released model itself was deleted"
    stored, listed = said.unreachable[: -len(limits.COPIES)], said.unreachable[-len(limits.COPIES) :]
    if listed != limits.COPIES or len(set(said.unreachable)) < len(said.unreachable) or set(stored) & set(limits.COPIES):
        yield "the copies that no server reaches are not all named, once and last"


def _of_the_measures(said: form.Predicate) -> Iterator[str]:
    found, times = said.evidence.empirical, said.times
    if (found.scores == "none") != (times.verified is None):
        yield "scores and the time at which they came go together"
    if not isinstance(found.scores, str) and found.scores.hospital != said.request.scope.hospital:
        yield "the scores are another hospital's"
    if not isinstance(found.healing, str) and found.healing.steps == 0 and found.healing.gap_before != found.healing.gap_after:
        yield "no step was made and the gap changed"
    if found.release != "none" and found.healing == "none":
        yield "nothing was calibrated, and the release was judged"


def _of_the_proof(said: form.Predicate) -> Iterator[str]:
    formal, options = said.evidence.formal, said.method.options
    if isinstance(formal, str):
        return
    if said.method.name not in limits.RESTS_ON or said.evidence.procedural.removal.how != "overwritten":
        yield "this method gives no formal statement"
    elif any(repr(getattr(formal, name)) != repr(options.get(name)) for name in ("epsilon", "delta", "sigma")):
        yield "the formal statement has other numbers than the method's options"
    elif formal.rests_on != limits.RESTS_ON[said.method.name]:
        yield "the formal statement hides what it rests on"


def _of_the_limits(said: form.Predicate) -> Iterator[str]:
    if said.does_not_prove != limits.does_not_prove(said.request.scope, said.times, said.evidence):
        yield "it does not say all that it leaves open, and nothing else"
