"""What a certificate does not prove, and the copies that no purge reaches: said in every certificate, from the facts of its own case.

Whoever verifies derives the same from the same facts: another word here is another form, with another predicate type.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from afuic.scores import AGAINST

if TYPE_CHECKING:
    from afuic.certify import form

COPIES = (
    "backups of the server's store made before the purge: the operator deletes them or lets them expire",
    "copies of the model that were exported or downloaded before the release, by hospitals or by anybody else",
    "models that the hospitals received in order to train, as far as they still keep them",
    "the images themselves: the hospital that holds them deletes them",
)

ALWAYS = (
    "That the server's operator tells the truth: it signs with a key of its own. Whoever is given the server's store and records can check"
    " what is said under procedural evidence.",
    "That the released model is the one in use anywhere: compare its digest.",
    "That the copies listed under unreachable are gone.",
    "That later versions of the model are free of the data: the other hospitals train them, and may have images of the same patients.",
)


SEED = (
    "a noise whose seed nobody learns: afuic derives it from the federation's seed, which every hospital knows, so that the statement"
    " does not hold towards the hospitals"
)
"""What a formal statement of afuic's always rests on as well."""

RESTS_ON: Mapping[str, tuple[str, ...]] = {
    "sifu": (
        "losses with a positive semi-definite quadratic form, so that a difference never grows while training goes on (a network's are"
        " not)",
        "the others' updates arriving as they would have without the client",
        "ε ≤ 1, where the Gaussian mechanism's bound is proven",
        SEED,
    )
}
"""Methods that state a bound, by options of the same names, and all that the statement rests on."""


def unreachable(stored: Iterable[str]) -> tuple[str, ...]:
    """What the purge itself could not delete, each once, then what no purge of a server can."""
    return (*(place for place in dict.fromkeys(stored) if place not in COPIES), *COPIES)


def does_not_prove(scope: form.Scope, times: form.Times, evidence: form.Evidence) -> tuple[str, ...]:
    """One sentence each."""
    return (
        *ALWAYS,
        *_of_the_method(evidence),
        *_of_the_scope(scope),
        *_of_the_measures(evidence),
        *_of_the_rest(times, evidence),
    )


def in_order(times: form.Times) -> bool:
    """Whether the moments follow one another as what happened at them does."""
    moments = (times.asked, times.fenced, times.released, times.purged, times.issued)
    scored = times.verified is None or times.released <= times.verified <= times.issued
    return list(moments) == sorted(moments) and scored


def _of_the_method(evidence: form.Evidence) -> Iterator[str]:
    removal = evidence.procedural.removal
    yield {
        "subtracted": "That what the others learned because the data was there is gone: only the contribution itself was subtracted.",
        "overwritten": "That the model equals one that never saw the data: it was overwritten by one that the method made to forget it.",
        "restarted": "That a restarted model resembles the one before: it was trained anew without the data.",
        "unlearned at the hospital": "That nothing of the contribution is left: the hospital trained the model to forget, no more.",
        "nothing": "That any influence left the model: with this method the data merely no longer takes part.",
    }[removal.how]
    if evidence.empirical.healing != "none":
        yield (
            "That healing gave nothing back: its teacher knew the erased data, and what it knew can return as far as the server's images"
            " show it."
        )
    judged = evidence.empirical.release
    if judged != "none" and judged.jump:
        yield "That the released model is sound: it is a jump from the one before, as no ordinary erasure makes one."
    if removal.least_cosine is not None and removal.least_cosine < AGAINST:
        yield "That nobody had hidden anything: what was subtracted points against a contribution that stays."
    if removal.server_steps == "kept":
        yield "That the server's own earlier steps, if any, are free of the data: those whose teachers had learned from it were kept."


def _of_the_scope(scope: form.Scope) -> Iterator[str]:
    if scope.patients is not None:
        yield (
            "Who the patients are: the salted digest binds the hospital to one list, which it alone can show, with the salt, to whoever"
            " may see it."
        )
        yield "That the hospital's later training left these patients out: its own software does that, and the server cannot look."


def _of_the_measures(evidence: form.Evidence) -> Iterator[str]:
    if evidence.empirical.scores == "none":
        yield "How the released model behaves on the erased images: the hospital sent no scores, so nobody measured it."
    else:
        yield (
            "That no attack can find a trace: the scores are the hospital's own, of one released model, by weak measures; a"
            " model trained without the data was not there to compare with."
        )


def _of_the_rest(times: form.Times, evidence: form.Evidence) -> Iterator[str]:
    if evidence.formal == "none":
        yield "Any bound on what is left, such as (epsilon, delta): this method gives none."
    else:
        yield "That the assumptions of the formal statement are true here: nobody checked them, and networks are known to break the first."
    if not in_order(times):
        yield "When it happened: the times are out of order, so the server's clock was set meanwhile."
