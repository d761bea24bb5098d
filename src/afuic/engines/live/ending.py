"""What comes after a release: the hospital's own scores, the purge, the certificate."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from afuic.certify.facts import Facts
from afuic.engines.live.certifying import facts_of
from afuic.engines.live.hearing import Scores
from afuic.engines.live.open import certified, closed
from afuic.engines.live.standing import Standing
from afuic.errors import AfuicError
from afuic.protocol import events as ev
from afuic.protocol.requests import Phase
from afuic.settings import Server
from afuic.store.book import Traces, nowhere

FIRST_S, LONGEST_S, MOST = 60.0, 86_400.0, 16
"""Pauses before a certificate is tried again: doubled each time. After so many tries it waits for the next start of the server."""

log = logging.getLogger("afuic.live")

Certifier = Callable[[Facts], tuple[str, str]]
"""Makes of facts the signed envelope and its digest."""


class Ending:
    """Ends requests. ``certifier``: who signs; None: no certificates. ``elsewhere``: what an engine has copies in (``Book.purge``)."""

    def __init__(self, settings: Server, standing: Standing, certifier: Certifier | None, elsewhere: Traces = nowhere) -> None:
        self.settings, self.standing, self.certifier, self.elsewhere = settings, standing, certifier, elsewhere
        self.book, self.clock = standing.book, standing.clock
        self._certified = {row.request for row in self.book.certificates()}
        self._not_before: dict[str, float] = {}
        self._looked: set[str] = set()

    def turn(self) -> bool:
        """Purge, give up on verifications, issue certificates; whether anything happened."""
        return any([self._purges(), self._verifications(), self._certificates()])

    def scored(self, client: str, scores: Scores) -> None:
        """The hospital's numbers came, or will not come."""
        if scores.numbers is None:
            log.warning("request %s is not verified by %s: %s", scores.request, client, scores.why)
        if self.book.verification(scores.request) is None:
            found = scores.why if scores.numbers is None else scores.numbers
            self.book.record_verification(scores.request, client, found, self.clock.at())
        self.standing.open = closed(self.standing.open, scores.request)

    def _purges(self) -> bool:
        purges = list(self.standing.open.purges)
        for request in purges:
            self._purge(request)
            self.standing.happen(ev.Purged(self.clock.now(), request))
        return bool(purges)

    def _purge(self, request: str) -> None:
        st = self.standing
        report = self.book.purge(request, st.state.requests[request].gone, st.state, st.open, st.seq, self.elsewhere)
        log.info("request %s purged: %d tensors, %d out of reach", request, len(report.removed), len(report.unreachable))

    def _verifications(self) -> bool:
        """Nobody waits longer than until the deadline; one whose numbers are durable, from before a restart, is over."""
        t, known = self.clock.now(), self.standing.open.verifications
        over = [name for name, v in known.items() if t >= v.until or self._recorded(name)]
        for request in over:
            self.standing.open = closed(self.standing.open, request)
        return bool(over)

    def _recorded(self, request: str) -> bool:
        """Asked once in a process: numbers that come in this one are noticed when they come."""
        if request not in self._looked:
            self._looked.add(request)
            return self.book.verification(request) is not None
        return False

    def _certificates(self) -> bool:
        for request in self._certified & set(self.standing.open.books):
            self.standing.open = certified(self.standing.open, request)
        due = [name for name in self._ended() if self._not_before.get(name, 0.0) <= self.clock.now()]
        issued = [self._certify(request) for request in due]
        return any(issued)

    def _ended(self) -> list[str]:
        """Requests that are complete, whose verification is over, and that have no certificate yet."""
        st = self.standing
        complete = [name for name, record in st.state.requests.items() if record.phase is Phase.COMPLETED]
        over = [name for name in complete if name not in self._certified and name not in st.open.verifications]
        return over if self.certifier is not None else []

    def _put_off(self, request: str, why: str) -> None:
        """Say it where it is seen, and try again later and later: what is wrong may be the key, which is read anew each time."""
        tries = self.book.put_off(request, why, self.clock.at())
        pause = min(FIRST_S * 2.0 ** (tries - 1), LONGEST_S) if tries < MOST else math.inf
        self._not_before[request] = self.clock.now() + pause
        log.error("request %s has ended but cannot be certified: %s", request, why)

    def _certify(self, request: str) -> bool:
        """A certificate that cannot be made is put off; the request has ended all the same."""
        report = self.book.purge_report(request)
        if self.certifier is None:
            return False
        if report is not None and report.left:
            self._purge(request)
        try:
            envelope, digest = self.certifier(facts_of(self.settings, self.standing, request))
        except AfuicError as error:
            self._put_off(request, str(error))
            return False
        except Exception as error:  # whatever its facts make certifying raise: the federation goes on
            log.exception("request %s: certifying it failed", request)
            self._put_off(
                request, f"a fault in afuic ({type(error).__name__}); the server's log has it whole, please report it"
            )
            return False
        self.book.certify(request, envelope, digest, self.clock.at())
        self._certified.add(request)
        log.info("request %s certified", request)
        return True
