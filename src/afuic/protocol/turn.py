"""One step in the making: the next state and its effects, gathered by the handlers and thrown away whole if one of them raises."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from afuic.errors import IllegalEvent, UnknownClient
from afuic.params import Params
from afuic.protocol.effects import Cancel, Effect, Moved, Quarantined, Train
from afuic.protocol.requests import Phase, Record, allowed
from afuic.protocol.state import Client, Rules, State, Task


@dataclass
class Turn:
    """The state so far and the effects so far of one event at time ``t``."""

    rules: Rules
    state: State
    t: float
    effects: list[Effect] = field(default_factory=list)

    def emit(self, effect: Effect) -> None:
        """Add an effect."""
        self.effects.append(effect)

    def set(self, **changes: Any) -> None:
        """Change fields of the state."""
        self.state = replace(self.state, **changes)

    def client(self, name: str) -> Client:
        """The client of that name; UnknownClient if there is none."""
        if name not in self.state.clients:
            raise UnknownClient(
                f"client {name!r} does not exist; the federation has {', '.join(self.state.clients) or 'none yet'}"
            )
        return self.state.clients[name]

    def set_client(self, name: str, **changes: Any) -> None:
        """Change fields of one client."""
        self.set(clients={**self.state.clients, name: replace(self.state.clients[name], **changes)})

    def record(self, request: str) -> Record:
        """The request of that id; IllegalEvent if there is none."""
        if request not in self.state.requests:
            raise IllegalEvent(f"request {request!r} does not exist")
        return self.state.requests[request]

    def set_record(self, request: str, **changes: Any) -> Record:
        """Change fields of one request."""
        record = replace(self.state.requests[request], **changes)
        self.set(requests={**self.state.requests, request: record})
        return record

    def enter(self, record: Record, reason: str) -> None:
        """Record a request in the phase it starts with; one that another had covered starts again."""
        known = self.state.requests.get(record.id)
        self.set(requests={**self.state.requests, record.id: record})
        if known is None:
            self.emit(Moved(record.id, "asked", record.phase.value, reason))
        elif known.phase is not record.phase:
            allowed(known.phase, "cover withdrawn", record.phase)
            self.emit(Moved(record.id, known.phase.value, record.phase.value, "cover withdrawn"))

    def move(self, request: str, trigger: str, after: Phase, **changes: Any) -> Record:
        """Move a request along the table; IllegalEvent if the table has no such move."""
        before = self.record(request).phase
        allowed(before, trigger, after)
        self.emit(Moved(request, before.value, after.value, trigger))
        return self.set_record(request, phase=after, **changes)

    def add_task(self, task: Task) -> None:
        """Note that a client was given work."""
        self.set(tasks={**self.state.tasks, task.id: task})

    def take_task(self, task: str) -> None:
        """Forget a task: it ended or is no longer wanted."""
        self.set(tasks={name: t for name, t in self.state.tasks.items() if name != task})

    def cancel(self, task: Task | None) -> None:
        """Forget a task and tell its client; a request that waited for it waits no longer."""
        if task is not None:
            self.take_task(task.id)
            if task.request is not None:
                self.set_record(task.request, task=None)
            self.emit(Cancel(task.id, task.client))

    def quarantine(self, task: str, client: str, reason: str) -> None:
        """Record that an update never entered."""
        self.set(quarantined=self.state.quarantined + 1)
        self.emit(Quarantined(task, client, reason))

    def next_task(self, name: str, kind: str, request: str | None = None, base: Params | None = None) -> Task:
        """A new task of the client from ``base`` or else the present model."""
        client = self.state.clients[name]
        self.set_client(name, tasks=client.tasks + 1)
        state = self.state
        identity = f"{name}/{client.tasks}"
        start = state.model if base is None else base
        task = Task(identity, kind, name, client.epoch, start, state.version, state.steps, request)
        self.add_task(task)
        return task

    def next_job(self, purpose: str) -> str:
        """The name of the server's next job."""
        self.set(jobs=self.state.jobs + 1)
        return f"{purpose}/{self.state.jobs - 1}"

    def dispatch(self, name: str) -> None:
        """Give the client its next training task, if it is online, idle and taking part, and training has not been paused."""
        client, paused = self.state.clients[name], self.state.paused
        ready = client.online and client.fenced_by is None and not client.erased and not paused
        if ready and self.state.task_of(name) is None:
            task = self.next_task(name, "train")
            self.emit(Train(task.id, name, task.base, client.epoch, client.tasks))
