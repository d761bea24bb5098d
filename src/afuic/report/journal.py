"""The events a report draws, read from events.jsonl; a run without the file has a report without a timeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from afuic.document import parse_json
from afuic.errors import JsonError, StoreError

PREFIX = "prefix"
PREFERRED = "afuic"


class Event(BaseModel):
    """One line of events.jsonl: ``t`` in virtual seconds; further fields depend on ``event`` and others are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    arm: str
    seq: int
    t: float
    event: str
    client: str | None = None
    request: str | None = None
    staleness: int | None = None
    outcome: Literal["applied", "buffered", "quarantined", "dropped"] | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Timeline:
    """What one method's run looked like: updates, requests and releases, its beginning included."""

    arm: str
    updates: tuple[Event, ...]
    requests: tuple[Event, ...]
    releases: tuple[Event, ...]


def read(path: Path) -> tuple[Event, ...]:
    """The events of ``path`` in its order, none when it does not exist; StoreError names the first line that is not an event."""
    try:
        with path.open(encoding="utf-8") as lines:
            return tuple(_parsed(lines, path))
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); restore it or run again") from None


def timeline(events: Sequence[Event], methods: Sequence[str]) -> Timeline | None:
    """The arm ``afuic``, or the first method's where there is none, with the beginning that it branched from: its own (``prefix-NAME``)
    where it has one, else the shared one. None without events.
    """
    arms = {event.arm for event in events}
    arm = next((name for name in (PREFERRED, *methods) if name in arms), PREFIX)
    own = f"{PREFIX}-{arm}"
    drawn = [event for event in events if event.arm in {own if own in arms else PREFIX, arm}]
    if not drawn:
        return None
    return Timeline(arm, *(_named(drawn, name) for name in ("UpdateArrived", "EraseRequested", "Released")))


def unusable(out: Path) -> str | None:
    """A sentence on updates that were quarantined for what they held (NaN, another shape), by client, all arms together; None: none."""
    reasons = {event: event.reason or "" for event in read(out / "events.jsonl") if event.outcome == "quarantined"}
    odd = [(event.client, reason) for event, reason in reasons.items() if reason.startswith("update of ")]
    if not odd:
        return None
    counts = ", ".join(f"{client} {times}" for client, times in sorted(Counter(client for client, _ in odd).items()))
    return f"{len(odd)} updates were unusable and quarantined ({counts}), the first: {odd[0][1]}; lowering training.lr may help"


def _named(events: Sequence[Event], name: str) -> tuple[Event, ...]:
    return tuple(event for event in events if event.event == name)


def _parsed(lines: Iterator[str], path: Path) -> Iterator[Event]:
    for index, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield Event.model_validate(parse_json(line))
            except JsonError as error:
                raise StoreError(f"{path}: line {index} is not an event ({error}); run again") from None
            except ValidationError as error:
                raise StoreError(f"{path}: line {index} is not an event ({error.errors()[0]['msg']}); run again") from None
