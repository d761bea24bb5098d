"""Certificates in a row: each names the digest of the one before, so that one that is missing, exchanged or out of order shows."""

from __future__ import annotations

from collections.abc import Sequence

from afuic.certify import envelope
from afuic.certify.form import Place
from afuic.certify.keys import PublicKey
from afuic.errors import CertificateError


def chain(envelopes: Sequence[str], keys: PublicKey | Sequence[PublicKey]) -> list[str]:
    """What is wrong with a federation's certificates, oldest first, one sentence each; nothing if they begin with number 0 and have no gap.

    Whether newer ones exist, nobody can tell from these: ask the server for its newest number.
    """
    problems: list[str] = []
    before: tuple[Place, str] | None = None
    for index, text in enumerate(envelopes):
        try:
            place = envelope.verify(text, keys).predicate.place
        except CertificateError as error:
            problems.append(f"the certificate at position {index} does not hold: {error}")
            before = None
            continue
        if before is not None:
            problems += follows(place, *before)
        elif index == 0 and place.number > 0:
            problems.append(f"they begin with number {place.number}: 0 to {place.number - 1} missing")
        before = place, envelope.digest(text)
    return problems


def follows(place: Place, before: Place, digest: str) -> list[str]:
    """Why a certificate in ``place`` is not the successor of the one in ``before``, whose digest is ``digest``."""
    if place.federation != before.federation:
        return [f"number {place.number} is of federation {place.federation}, the one before it of {before.federation}"]
    if place.number != before.number + 1:
        return [_numbers(before.number, place.number)]
    if place.previous != digest:
        return [f"number {place.number} names another certificate as number {before.number} than the one given"]
    if place.record.links <= before.record.links:
        return [
            f"number {place.number} has a shorter record than number {before.number}: the server's store was put back in between"
        ]
    return []


def _numbers(first: int, second: int) -> str:
    if second <= first:
        return f"number {second} comes after number {first}: they are out of order or given twice"
    missing = str(first + 1) if second == first + 2 else f"{first + 1} to {second - 1}"
    return f"between number {first} and number {second} there is none: {missing} missing"
