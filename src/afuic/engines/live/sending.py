"""Which task a hospital is to have now, and the one that it was sent: the two are brought together each turn.

What is open is in ``Open``; what was sent is remembered in this process only. A driver that starts has sent nothing and sends everything
again, under the same names: a hospital that has done a task answers it from what it kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from afuic.engines.live.messages import Assignment, Task, Verify, pack_task
from afuic.engines.live.open import Open
from afuic.engines.live.transport import Transport
from afuic.protocol.effects import Train
from afuic.store.rows import Watermark


@dataclass(frozen=True)
class Overdue:
    """A task without an answer for too long."""

    client: str
    task: str


class Sender:
    """``agreed``: the settings' digest; ``deadline_s``: a task without an answer for so long since it was first sent is overdue.

    ``mark`` says how far the store has come.
    """

    def __init__(
        self,
        transport: Transport,
        clients: Iterable[str],
        agreed: str,
        deadline_s: float,
        mark: Callable[[], Watermark | None] = lambda: None,
    ) -> None:
        self.transport, self.clients, self.agreed, self.deadline_s = transport, tuple(clients), agreed, deadline_s
        self._mark = mark
        self._sent: dict[str, str] = {}
        self._until: dict[str, float] = {}
        self._rests: dict[str, float] = {}
        self._present: frozenset[str] = frozenset()

    def turn(self, open_: Open, present: frozenset[str], t: float, *, training: bool = True) -> bool:
        """Take back what is not open any more and hand out what is, training only if it may be; whether anything was."""
        if not training:
            open_ = replace(open_, work={task: work for task, work in open_.work.items() if not isinstance(work, Train)})
        for client in present - self._present:
            self._sent.pop(client, None)
        self._present = present
        self._until = {task: until for task, until in self._until.items() if task in open_.work}
        handed_out = [self._client(open_, client, t) for client in self.clients]
        return any(handed_out)

    def again(self, client: str, task: str, t: float) -> None:
        """Send this task again, not before ``t``."""
        if self._sent.get(client) == task:
            del self._sent[client]
        self._rests[client] = t

    def overdue(self, t: float) -> list[Overdue]:
        """Tasks without an answer for too long."""
        return [Overdue(task.rpartition("/")[0], task) for task, until in self._until.items() if until <= t]

    def _client(self, open_: Open, client: str, t: float) -> bool:
        wanted = assignments(open_, client)
        sent = self._sent.get(client)
        if sent is not None and sent not in {a.task for a in wanted}:
            self.transport.forget(client, self._sent.pop(client))
            sent = None
        if sent is not None or not wanted or client not in self._present or t < self._rests.get(client, t):
            return False
        self._send(open_, client, wanted[0], t)
        return True

    def _send(self, open_: Open, client: str, assignment: Assignment, t: float) -> None:
        known = open_.withdrawn.get(client, ()), open_.received.get(client, ())
        document, tensors = pack_task(Task(assignment, *known, self.agreed, self._mark()))
        self.transport.send(client, assignment.task, document, tensors)
        self._sent[client] = assignment.task
        if not isinstance(assignment, Verify):
            self._until.setdefault(assignment.task, t + self.deadline_s)


def assignments(open_: Open, client: str) -> list[Assignment]:
    """What is open for a client: verifications first, since a certificate waits for them, then its work."""
    own = [v for v in open_.verifications.values() if v.client == client]
    checks = [Verify(v.task, v.request, v.client, v.model, v.whole, v.epoch) for v in own]
    return [*checks, *(work for work in open_.work.values() if work.client == client)]
