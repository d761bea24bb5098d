"""The messages between server and hospital: one JSON document and one safetensors file each way, nothing executable.

A task's document holds the core's own effect, so that a hospital does exactly what the simulator's worker does.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from afuic.document import parse_json
from afuic.engines.classes import core
from afuic.errors import AfuicError, JsonError, ParamsError, StoreError
from afuic.params import Params
from afuic.protocol.effects import Perform, Train, Unlearn
from afuic.scores import Measured, measured
from afuic.store import codec
from afuic.store.rows import Watermark

TASK_FORMAT, REPLY_FORMAT = "afuic-task/1", "afuic-reply/1"
TASK_BYTES, REPLY_BYTES = 1 << 26, 1 << 20
"""At most so many bytes of a document can be right."""
LARGEST, LONGEST = 1 << 31, 80
"""Bounds of a watermark's numbers and texts."""


@dataclass(frozen=True)
class Verify:
    """Score the released model of ``request`` on the hospital's own images before they are deleted; only numbers come back."""

    task: str
    request: str
    client: str
    model: Params
    whole: bool
    epoch: int


Assignment = Train | Unlearn | Perform | Verify


@dataclass(frozen=True)
class Task:
    """A task as sent: ``withdrawn`` names, by salted digest, the groups of patients that the client's epochs have withdrawn, in order.

    ``received``: the client's tasks whose results are durable at the server, so that it may delete its copies. ``agreed``: the settings'
    digest. ``watermark``: how far the server's store has come, for the hospital to remember.
    """

    assignment: Assignment
    withdrawn: tuple[str, ...]
    received: tuple[str, ...]
    agreed: str
    watermark: Watermark | None = None


@dataclass(frozen=True)
class Answer:
    """A reply's content: ``delta`` of a task that succeeded, ``numbers`` of a verification, or why it ``failed``.

    ``seen``: the highest watermark that the hospital had been sent before, in the server's own words.
    """

    task: str
    delta: Params | None = None
    numbers: Measured | None = None
    failed: str | None = None
    seen: Watermark | None = None


def pack_task(task: Task) -> tuple[bytes, bytes]:
    """The document and the tensors."""
    tree, tensors = codec.pack(task)
    return json.dumps({"format": TASK_FORMAT, "value": tree}).encode(), tensors


def unpack_task(document: bytes, tensors: bytes) -> Task:
    """A task from bytes; StoreError where they are anything else."""
    value = codec.unpack(_parse(document, TASK_FORMAT, TASK_BYTES).get("value"), tensors, (Task, Verify, Watermark, *core()))
    if not isinstance(value, Task):
        raise StoreError(f"message: a {type(value).__name__} came where a task was expected")
    return value


def pack_answer(answer: Answer) -> tuple[bytes, bytes]:
    """The document and the tensors (empty where there is no delta)."""
    head: dict[str, Any] = {"format": REPLY_FORMAT, "task": answer.task, "numbers": answer.numbers, "failed": answer.failed}
    head |= {} if answer.seen is None else {"seen": asdict(answer.seen)}
    return json.dumps(head).encode(), b"" if answer.delta is None else codec.tensor_bytes(answer.delta)


def seen_in(document: bytes) -> Watermark | None:
    """The watermark that a reply gives back; None where there is none, or something else: it counts only if the store said so itself."""
    try:
        head = parse_json(document, limit=REPLY_BYTES)
        seen = Watermark(**head["seen"])
    except (AfuicError, KeyError, TypeError):
        return None
    return replace(seen, requests=tuple(seen.requests)) if fits(seen) else None


def fits(seen: Watermark) -> bool:
    """Whether what came from outside has the form of a watermark."""
    texts, requests = (seen.head, seen.seal), seen.requests
    return (
        all(type(number) is int and 0 <= number < LARGEST for number in (seen.restored, seen.links))
        and isinstance(requests, list | tuple)
        and all(isinstance(text, str) and len(text) <= LONGEST for text in (*texts, *requests))
    )


def unpack_answer(document: bytes, tensors: bytes, like: Params) -> Answer:
    """An answer from bytes, its tensors refused by their declared sizes before they are read; StoreError, ParamsError or
    ScoresError says why.
    """
    head = _parse(document, REPLY_FORMAT, REPLY_BYTES)
    numbers, failed, task = head.get("numbers"), head.get("failed"), head.get("task")
    if not isinstance(task, str) or not (failed is None or isinstance(failed, str)):
        raise StoreError("message: its task or its failure is not a text")
    if failed is not None or numbers is not None:
        return Answer(task, None, None if numbers is None else measured(numbers), failed)
    if len(tensors) > codec.largest(like):
        raise ParamsError(f"message: {len(tensors)} bytes of tensors where at most {codec.largest(like)} can be right")
    return Answer(task, codec.read_like(tensors, like))


def _parse(document: bytes, wanted: str, limit: int) -> dict[str, Any]:
    try:
        value = parse_json(document, limit=limit)
    except JsonError as error:
        raise StoreError(f"message: {error}") from None
    if not isinstance(value, dict) or value.get("format") != wanted:
        raise StoreError(f"message: not in the format {wanted}")
    return value
