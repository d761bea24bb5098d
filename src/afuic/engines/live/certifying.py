"""The facts that a certificate states about a request that has ended, from the store and from where the federation stands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import afuic
from afuic.certify import facts as certify
from afuic.certify.facts import Facts
from afuic.engines.live.standing import Standing
from afuic.errors import CertificateError, EarlierForm, ScoresError
from afuic.protocol.requests import Phase
from afuic.scores import measured
from afuic.settings import Server
from afuic.store.book import Book
from afuic.store.rows import Head, PurgeReport, RequestRow, VerificationRow, VersionRow
from afuic.text import unnamed

ALL = 1_000_000
UNSCORED = "the hospital answered, but with no scores that can be used; why is in the server's record of the request"
"""Not the hospital's own words: they may be anything, and a certificate is for others too."""


def signer(key: Path) -> Callable[[Facts], tuple[str, str]]:
    """What makes certificates with the private key in ``key``, which is read each time and never kept."""
    from afuic.certify.envelope import digest, sign  # noqa: PLC0415 - only a server that signs needs cryptography
    from afuic.certify.statement import statement  # noqa: PLC0415

    def certified(facts: Facts) -> tuple[str, str]:
        envelope = sign(statement(facts), key)
        return envelope, digest(envelope)

    return certified


def facts_of(settings: Server, standing: Standing, request: str) -> Facts:
    """All of them; CertificateError where the store lacks one that no certificate can be without."""
    book, record = standing.book, standing.state.requests[request]
    row, purge = book.request(request), book.purge_report(request)
    before, after = _version(book, row, "version_before"), _version(book, row, "released_version")
    if row is None or before is None or after is None or purge is None:
        raise CertificateError(
            f"{request}: the store does not say what it released or purged; run 'afuic status' on the server"
        )
    name, source, options = certify.method(standing.rules.method)
    chain, verification = book.certificates(), _verification(book.verification(request))
    done, opened = certify.done(record), standing.open
    if request not in opened.books:
        raise CertificateError(
            f"{request}: the ledger as the release left it is not there any more; nothing can be said about it"
        )
    facts = Facts(
        federation=book.federation,
        agreed=book.agreed,
        number=len(chain),
        previous=chain[-1].digest if chain else None,
        request=row,
        covers=tuple(r.id for r in standing.state.requests.values() if r.covered_by == request and r.phase is Phase.SUPERSEDED),
        fenced_at=_fenced(row),
        issued_at=standing.clock.at(),
        before=before,
        after=after,
        books=opened.books[request],
        method=name,
        source=source,
        options=options,
        done=replace(done, notes=(*done.notes, *_unscored(book, request, verification))),
        quarantined=_quarantined(book, row),
        lost=opened.losses.get(request, 0),
        purge=purge,
        verification=verification,
        record=certify.Recorded(**vars(book.head())),
        software=afuic.__version__,
    )
    return _unnamed(facts, ({h.name for h in settings.hospitals} | set(standing.state.clients)) - {row.client})


def _unnamed(facts: Facts, others: Collection[str]) -> Facts:
    """The same with no other hospital named in a note or a place: a certificate is handed to the request's own."""
    notes = tuple(unnamed(note, others) for note in facts.done.notes)
    places = tuple(unnamed(place, others) for place in facts.purge.unreachable)
    purge = PurgeReport(**{**vars(facts.purge), "unreachable": places})
    return replace(facts, done=replace(facts.done, notes=notes), purge=purge)


def _version(book: Book, row: RequestRow | None, which: str) -> VersionRow | None:
    number = getattr(row, which, None)
    return None if number is None else book.version(number)


def _fenced(row: RequestRow) -> float:
    """When it was first taken up: from that event on nothing of it entered."""
    return min((float(move["at"]) for move in row.history), default=row.asked_at)


def _quarantined(book: Book, row: RequestRow) -> int:
    fence = _fenced(row)
    return sum(q.client == row.client and q.at >= fence for q in book.quarantined(ALL))


def _verification(found: VerificationRow | None) -> certify.Verification | None:
    """None as well where what was kept cannot be scores: whoever was erased sent it, and must not decide whether this is certified."""
    try:
        return None if found is None else certify.Verification(measured(found.numbers), found.at)
    except ScoresError:
        return None


def _unscored(book: Book, request: str, verification: certify.Verification | None) -> Iterator[str]:
    if verification is None and book.verification(request) is not None:
        yield UNSCORED


def disowned(book: Book) -> str | None:
    """The first certificate that names a state of the record that the record never had, and what it means; None where all fit.

    Whoever rewrites the whole database can make a chain that fits; what was signed before names the one that it replaced. Certificates of
    the earlier form name no record.
    """
    from afuic.certify.envelope import claimed  # noqa: PLC0415 - as above

    for row in book.certificates():
        try:
            record = claimed(row.envelope).predicate.place.record
        except EarlierForm:
            continue
        except CertificateError as error:
            return f"certificate {row.number} of request {row.request}: {error}"
        if not book.holds(Head(record.links, record.head)):
            return (
                f"certificate {row.number} of request {row.request} was issued when link {record.links} of the record was another: the "
                f"record was rewritten from outside of afuic"
            )
    return None
