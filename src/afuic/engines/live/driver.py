"""The server's loop: what the world does becomes events, each durable before anybody is told, and what is open is handed out.

Nothing is done because an effect was emitted; it is done because it is open (``Open``), and it is open until an event has closed it. So a
driver that was killed between an event and what follows from it does the same as one that was not. Whatever fails to be written
changes nothing here either: the driver reads the store again and goes on.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from afuic import settings as configured
from afuic.engines.live import hearing, messages
from afuic.engines.live.attempts import Attempts, Deadly
from afuic.engines.live.calibrating import Calibrator
from afuic.engines.live.clock import Clock, Patience
from afuic.engines.live.ending import Certifier, Ending
from afuic.engines.live.gate import Gate, Held, plain, unreadable
from afuic.engines.live.health import Checkup, Finding
from afuic.engines.live.inspection import Inspection
from afuic.engines.live.sending import Sender
from afuic.engines.live.standing import Standing
from afuic.engines.live.transport import Reply, Transport
from afuic.engines.worker import Worker
from afuic.errors import Halted, ProtocolError, StoreError
from afuic.protocol import Rules
from afuic.protocol import events as ev
from afuic.protocol.events import Event
from afuic.settings import Server
from afuic.store.book import RECONCILE, Book
from afuic.store.rows import Command, MeasureRow

AWAY_S = 5.0
HEARTBEAT_S = 2.0
RESENDS = 3
LONGEST_PAUSE_S = 60.0
PER_TURN, WAITING = 4, 64
"""Replies of one hospital that are heard in a turn, and that may wait for the next ones: it has one task at a time."""

log = logging.getLogger("afuic.live")


@dataclass(frozen=True)
class _Later:
    """A failure that the protocol hears of at ``due``."""

    due: float
    client: str
    task: str
    reason: str


class Driver:
    """One federation, from its store on. ``away_s``: a hospital that cannot be reached for so long has left."""

    def __init__(
        self,
        settings: Server,
        rules: Rules,
        worker: Worker,
        book: Book,
        transport: Transport,
        *,
        clock: Clock,
        calibrator: Calibrator,
        certifier: Certifier | None = None,
        away_s: float = AWAY_S,
    ) -> None:
        self.book, self.transport, self.clock, self.calibrator, self.away_s = book, transport, clock, calibrator, away_s
        self.standing = Standing(rules, book, clock, settings.verify_deadline_s, settings.retention)
        self.gate = Gate(settings.gate, worker.network.logits, worker.federation.calibration)
        self.hospitals = tuple(sorted(h.name for h in settings.hospitals))
        agreed = configured.agreed(settings.federation, settings.images)
        self.sender = Sender(transport, self.hospitals, agreed, settings.engine.task_deadline_s, book.watermark)
        self.ending = Ending(settings, self.standing, certifier, transport.traces)
        self.attempts = Attempts(settings.store)
        self.checkup = Checkup(next((row.version for row in book.measures(1)), None))
        self.patience, self._unasked = Patience(), Patience()
        self.inbox: deque[Reply] = deque()
        self._deaf_until: dict[str, float] = {}
        self._unreadable: set[tuple[str, str]] = set()
        self._later: list[_Later] = []
        self._again = book.unfinished()
        self.inspection = Inspection(book, clock)
        self._seen_at: dict[str, float] = {}
        self._present: frozenset[str] = frozenset()
        self._beaten = clock.now() - HEARTBEAT_S

    def run(self, stop: Callable[[], bool], pause_s: float = 0.2) -> None:
        """Turn until ``stop``. While the store cannot be written the driver says so and tries again, more and more rarely."""
        try:
            self._run(stop, pause_s)
        finally:
            self.calibrator.close()

    def _run(self, stop: Callable[[], bool], pause_s: float) -> None:
        troubles = 0
        while not stop():
            try:
                if troubles:
                    self.standing.load()
                busy, troubles = self.turn(), 0
            except StoreError as error:
                troubles += 1
                self._wait(error, troubles, stop, pause_s)
                continue
            if not busy:
                time.sleep(pause_s)

    def turn(self) -> bool:
        """One round of everything; whether anything happened. StoreError: something could not be written; ``standing.load`` goes on."""
        parts = (
            self._deaths,
            self._commands,
            self._presence,
            self._replies,
            self._failures,
            self._jobs,
            self._timers,
            self._overdue,
        )
        happened = [part() for part in (*parts, self.ending.turn, self._hand_out)]
        self.standing.keep()
        self.inspection.turn()
        self._beat()
        return any(happened)

    def _wait(self, error: StoreError, troubles: int, stop: Callable[[], bool], pause_s: float) -> None:
        pause = min(LONGEST_PAUSE_S, pause_s * 2.0**troubles)
        log.error("%s; nothing acknowledged is lost, trying again in %.1f s", error, pause)
        until = time.monotonic() + pause
        while time.monotonic() < until and not stop():
            time.sleep(min(pause_s, pause))

    def _commands(self) -> bool:
        commands = self.book.commands()
        for command in commands:
            try:
                self.standing.happen(self._asked(command), command.id)
                log.info("request %s taken up (%s %s)", command.request, command.kind, command.client)
            except ProtocolError as error:
                self.book.refuse(command.id, str(error))
                log.warning("request %s refused: %s", command.request, error)
        return bool(commands)

    def _asked(self, command: Command) -> Event:
        t = self.clock.now()
        if command.kind == "withdraw":
            return ev.RequestWithdrawn(t, command.request)
        return ev.EraseRequested(t, command.request, command.client, command.patients, command.salted)

    def _presence(self) -> bool:
        t, before = self.clock.now(), self.standing.seq
        self._present = self.transport.present() & set(self.hospitals)
        self._seen_at |= dict.fromkeys(self._present, t)
        for name in self.hospitals:
            known, seen = self.standing.state.clients.get(name), self._seen_at.setdefault(name, t)
            if known is None and name in self._present:
                self.standing.happen(ev.ClientJoined(t, name))
            elif known is not None and not known.online and name in self._present:
                self.standing.happen(ev.ClientReturned(t, name))
            elif known is not None and known.online and t - seen > self.away_s:
                self.standing.happen(ev.ClientLeft(t, name))
        return self.standing.seq > before

    def _deaths(self) -> bool:
        """A task whose answer has ended this process again and again has failed, and its hospital rests."""
        deadly, self.attempts.deadly = self.attempts.deadly, []
        for found in deadly:
            self._died(found)
        return bool(deadly)

    def _died(self, found: Deadly) -> None:
        reason = f"this server ended {found.deaths} times while it read an answer of the hospital, which rests for {found.rest_s:.0f} s"
        self._unreadable.add((found.client, found.task))
        self._contain(found.client, found.task, Held(reason))
        self.sender.again(found.client, found.task, self.clock.now() + found.rest_s)

    def _replies(self) -> bool:
        """A reply is let go of only when what it means is durable. A hospital that sends many keeps nobody else waiting."""
        self._collect()
        heard, now, later = Counter[str](), list[Reply](), list[Reply]()
        for reply in self.inbox:
            heard[reply.client] += 1
            (now if heard[reply.client] <= PER_TURN else later).append(reply)
        self.inbox = deque((*now, *later))
        for reply in now:
            self._hear(reply)
            self.inbox.popleft()
        return bool(now)

    def _collect(self) -> None:
        waiting = Counter(reply.client for reply in self.inbox)
        for reply in self.transport.receive():
            waiting[reply.client] += 1
            if waiting[reply.client] <= WAITING:
                self.inbox.append(reply)
            elif self._waited_for(reply.client, reply.task):
                self.sender.again(reply.client, reply.task, self.clock.now())
        flooding = sorted(client for client, count in waiting.items() if count > WAITING)
        if flooding:
            log.warning("%s sent more replies than can be right; those that nobody waits for are dropped", ", ".join(flooding))

    def _waited_for(self, client: str, task: str) -> bool:
        work = self.standing.open.work.get(task)
        verifications = ((v.client, v.task) for v in self.standing.open.verifications.values())
        return (work is not None and work.client == client) or (client, task) in verifications

    def _hear(self, reply: Reply) -> None:
        """Whatever a reply makes this process raise is held; only what is wrong with the store goes further."""
        if self._turned_away(reply):
            return
        with self.attempts.reading(reply.client, reply.task):
            try:
                self._heard(reply)
            except (StoreError, Halted):
                raise
            except Exception as error:
                log.exception("%s from %s could not be taken up", plain(reply.task), reply.client)
                self._contain(reply.client, reply.task, Held(unreadable(error)))

    def _turned_away(self, reply: Reply) -> bool:
        """Whether it is let go of unread: it ended this server before, or nobody asked and its sender has just sent what was held."""
        if self._waited_for(reply.client, reply.task):
            return (reply.client, reply.task) in self._unreadable
        return self.clock.now() < self._deaf_until.get(reply.client, 0.0)

    def _heard(self, reply: Reply) -> None:
        self._remember(reply)
        state, open_ = self.standing.state, self.standing.open
        found = hearing.meaning(reply, state, open_, self.gate, self.clock.now(), self.book.seen)
        if isinstance(found, hearing.Ignored):
            log.info("%s from %s ignored: %s", plain(reply.task), reply.client, found.why)
        elif isinstance(found, hearing.Lost):
            self._lost(reply, found)
        elif isinstance(found, hearing.Failed):
            self._failed(reply.client, reply.task, found)
        elif isinstance(found, Held):
            self._contain(reply.client, reply.task, found)
        elif isinstance(found, hearing.Scores):
            self._scored(reply, found)
        else:
            self._arrived(reply, found)

    def _remember(self, reply: Reply) -> None:
        """Halted where a hospital shows that the store was once further than it is."""
        seen = messages.seen_in(reply.document)
        if seen is not None and (behind := self.book.contradiction(reply.client, seen)) is not None:
            raise Halted(
                f"the store is behind what {reply.client} was told of it: {behind}; it was set back to an older copy, see {RECONCILE}"
            )

    def _arrived(self, reply: Reply, event: Event) -> None:
        try:
            self.standing.happen(event)
        except ProtocolError as error:
            self._contain(reply.client, reply.task, Held(plain(str(error))))
        else:
            self.patience.succeeded(reply.client)
            self._unasked.succeeded(reply.client)

    def _scored(self, reply: Reply, found: hearing.Scores) -> None:
        if found.held is not None:
            self._hold(reply.client, reply.task, found.held)
        self.ending.scored(reply.client, found)

    def _contain(self, client: str, task: str, held: Held) -> None:
        """Held is what came for a task that somebody waits for, which has failed, or for none: then its sender is not heard for a while."""
        verified = next(
            (v.request for v in self.standing.open.verifications.values() if (v.client, v.task) == (client, task)), None
        )
        if verified is not None:
            self._scored(Reply(task, client), hearing.Scores(verified, None, held.reason, held))
        elif self._waited_for(client, task):
            self._failed(client, task, hearing.Failed(held.reason, held))
        else:
            self._hold(client, task, held)
            self._deaf_until[client] = self.clock.now() + self._unasked.failed(client)

    def _lost(self, reply: Reply, found: hearing.Lost) -> None:
        """Sent again under the same name: a hospital that has done it answers from what it kept. Often enough, it has failed."""
        pause = self.patience.failed(reply.client)
        if self.patience.count(reply.client) > RESENDS and reply.task in self.standing.open.work:
            self._later.append(_Later(self.clock.now() + pause, reply.client, reply.task, found.why))
        else:
            self.sender.again(reply.client, reply.task, self.clock.now() + pause)
        log.warning("%s of %s was lost on its way: %s", reply.task, reply.client, found.why)

    def _failed(self, client: str, task: str, found: hearing.Failed) -> None:
        """The protocol hears of it, and hands out the next task, only after a pause."""
        if any(later.task == task for later in self._later):
            return
        if found.held is not None:
            self._hold(client, task, found.held)
        pause = self.patience.failed(client)
        log.warning("%s of %s failed, next task in %.0f s: %s", task, client, pause, found.reason)
        self._later.append(_Later(self.clock.now() + pause, client, task, found.reason))

    def _hold(self, client: str, task: str, held: Held) -> None:
        self.book.hold(plain(task), client, held.reason, held.digest, held.norm)
        log.warning("%s from %s is held: %s", plain(task), client, held.reason)

    def _failures(self) -> bool:
        t = self.clock.now()
        due = [later for later in self._later if later.due <= t]
        for later in due:
            if later.task in self.standing.open.work:
                self.standing.happen(ev.TaskFailed(t, later.task, later.client, later.reason))
            self._later.remove(later)
        return bool(due)

    def _jobs(self) -> bool:
        probes = self.checkup.due(self.standing.state)
        ended = self.calibrator.turn((*self.standing.open.job_list(), *probes), self.clock.now())
        for found in ended:
            if isinstance(found, Finding):
                self._measured(found)
            else:
                self.standing.happen(found)
        return bool(ended)

    def _measured(self, found: Finding) -> None:
        self.checkup.over()
        self.book.measure(MeasureRow(found.version, self.clock.at(), found.loss, found.accuracy, found.change))

    def _timers(self) -> bool:
        due = self.standing.open.due(self.clock.now())
        for timer in due:
            if timer in self.standing.open.timers:
                self.standing.happen(ev.TimerFired(self.clock.now(), timer.request))
        return bool(due)

    def _overdue(self) -> bool:
        overdue = self.sender.overdue(self.clock.now())
        for found in overdue:
            if found.task in self.standing.open.work:
                reason = "no answer came before the deadline (engine.task_deadline_s)"
                self.standing.happen(ev.TaskFailed(self.clock.now(), found.task, found.client, reason))
        return bool(overdue)

    def _hand_out(self) -> bool:
        self.standing.notify()
        if self._again:
            self._again = self.book.unfinished()
        return self.sender.turn(self.standing.open, self._present, self.clock.now(), training=not self._again)

    def _beat(self) -> None:
        t = self.clock.now()
        if t - self._beaten >= HEARTBEAT_S:
            waiting = (
                f"only for {', '.join(sorted(self._again))}, asked for again after a restore, until released"
                if self._again
                else None
            )
            self.book.heartbeat(self.clock.at(), waiting)
            self._beaten = t
