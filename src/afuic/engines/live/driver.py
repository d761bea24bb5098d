"""The server's loop: what the world does becomes events, each durable before anybody is told, and what is open is handed out.

Nothing is done because an effect was emitted; it is done because it is open (``Open``), and it is open until an event has closed it. So a
driver that was killed between an event and what follows from it does the same as one that was not. Whatever fails to be written
changes nothing here either: the driver reads the store again and goes on.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from afuic import settings as configured
from afuic.engines.live import hearing
from afuic.engines.live.calibrating import Calibrator
from afuic.engines.live.clock import Clock, Patience
from afuic.engines.live.ending import Certifier, Ending
from afuic.engines.live.gate import Gate, Held
from afuic.engines.live.sending import Sender
from afuic.engines.live.standing import Standing
from afuic.engines.live.transport import Reply, Transport
from afuic.engines.worker import Worker
from afuic.errors import ProtocolError, StoreError
from afuic.protocol import Rules
from afuic.protocol import events as ev
from afuic.protocol.events import Event
from afuic.settings import Server
from afuic.store.book import Book
from afuic.store.rows import Command

AWAY_S = 5.0
HEARTBEAT_S = 2.0
RESENDS = 3
LONGEST_PAUSE_S = 60.0

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
        self.sender = Sender(transport, self.hospitals, agreed, settings.engine.task_deadline_s)
        self.ending = Ending(settings, self.standing, certifier)
        self.patience = Patience()
        self.inbox: deque[Reply] = deque()
        self._later: list[_Later] = []
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
        parts = (self._commands, self._presence, self._replies, self._failures, self._jobs, self._timers, self._overdue)
        happened = [part() for part in (*parts, self.ending.turn, self._hand_out)]
        self.standing.keep()
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

    def _replies(self) -> bool:
        """A reply is let go of only when what it means is durable."""
        self.inbox.extend(self.transport.receive())
        some = bool(self.inbox)
        while self.inbox:
            self._hear(self.inbox[0])
            self.inbox.popleft()
        return some

    def _hear(self, reply: Reply) -> None:
        state, open_ = self.standing.state, self.standing.open
        found = hearing.meaning(reply, state, open_, self.gate, self.clock.now(), self.book.seen)
        if isinstance(found, hearing.Ignored):
            log.info("%s from %s ignored: %s", reply.task, reply.client, found.why)
        elif isinstance(found, hearing.Lost):
            self._lost(reply, found)
        elif isinstance(found, hearing.Failed):
            self._failed(reply.client, reply.task, found)
        elif isinstance(found, Held):
            self._hold(reply.client, reply.task, found)
        elif isinstance(found, hearing.Scores):
            self.ending.scored(reply.client, found)
        else:
            self._arrived(reply, found)

    def _arrived(self, reply: Reply, event: Event) -> None:
        try:
            self.standing.happen(event)
        except ProtocolError as error:
            self._hold(reply.client, reply.task, Held(str(error)))
        self.patience.succeeded(reply.client)

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
        self.book.hold(task, client, held.reason, held.digest, held.norm)
        log.warning("%s from %s is held: %s", task, client, held.reason)

    def _failures(self) -> bool:
        t = self.clock.now()
        due = [later for later in self._later if later.due <= t]
        for later in due:
            if later.task in self.standing.open.work:
                self.standing.happen(ev.TaskFailed(t, later.task, later.client, later.reason))
            self._later.remove(later)
        return bool(due)

    def _jobs(self) -> bool:
        ended = self.calibrator.turn(self.standing.open.job_list(), self.clock.now())
        for event in ended:
            self.standing.happen(event)
        return bool(ended)

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
        return self.sender.turn(self.standing.open, self._present, self.clock.now())

    def _beat(self) -> None:
        t = self.clock.now()
        if t - self._beaten >= HEARTBEAT_S:
            self.book.heartbeat(self.clock.at())
            self._beaten = t
