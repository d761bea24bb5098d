"""What a certificate does not prove, and the copies that no purge reaches: said in every certificate, from the facts of its own case."""

from __future__ import annotations

from collections.abc import Iterator

from afuic.certify.facts import Facts

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


def unreachable(facts: Facts) -> tuple[str, ...]:
    """What the purge itself could not delete, then what no purge of a server can."""
    return (*facts.purge.unreachable, *COPIES)


def does_not_prove(facts: Facts) -> tuple[str, ...]:
    """One sentence each."""
    return (*ALWAYS, *_of_the_method(facts), *_of_the_scope(facts), *_of_the_measures(facts), *_of_the_proof(facts))


def _of_the_method(facts: Facts) -> Iterator[str]:
    yield {
        "subtracted": "That what the others learned because the data was there is gone: only the contribution itself was subtracted.",
        "overwritten": "That the model equals one that never saw the data: it was overwritten by one that the method made to forget it.",
        "restarted": "That a restarted model resembles the one before: it was trained anew without the data.",
        "unlearned at the hospital": "That nothing of the contribution is left: the hospital trained the model to forget, no more.",
        "nothing": "That any influence left the model: with this method the data merely no longer takes part.",
    }[facts.done.how]
    if facts.done.healing is not None:
        yield (
            "That healing gave nothing back: its teacher knew the erased data, and what it knew can return as far as the server's images"
            " show it."
        )
    if not facts.done.steps_removed:
        yield "That the server's own earlier steps, if any, are free of the data: those whose teachers had learned from it were kept."


def _of_the_scope(facts: Facts) -> Iterator[str]:
    if facts.request.patients is not None:
        yield (
            "Who the patients are: the salted digest binds the hospital to one list, which it alone can show, with the salt, to whoever"
            " may see it."
        )
        yield "That the hospital's later training left these patients out: its own software does that, and the server cannot look."


def _of_the_measures(facts: Facts) -> Iterator[str]:
    if facts.verification is None:
        yield "How the released model behaves on the erased images: the hospital sent no scores, so nobody measured it."
    else:
        yield (
            "That no attack can find a trace: the scores are the hospital's own, of one released model, by weak measures; a"
            " model trained without the data was not there to compare with."
        )


def _of_the_proof(facts: Facts) -> Iterator[str]:
    if facts.done.guarantee is None:
        yield "Any bound on what is left, such as (epsilon, delta): this method gives none."
    else:
        yield "That the assumptions of the formal statement are true here: nobody checked them, and networks are known to break the first."
