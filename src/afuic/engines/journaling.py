"""What an arm's journal says of each event: enough to replay it, digests in the place of tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from afuic.params import digest
from afuic.protocol import State, effects
from afuic.protocol.effects import Effect
from afuic.protocol.events import Event
from afuic.scores import Judgement
from afuic.store import codec

STATED = effects.Moved | effects.Released | effects.Lost | effects.Booked


def lines(arm: str, count: int, event: Event, before: State, after: State, facts: Iterable[Effect]) -> Iterable[dict[str, Any]]:
    """The journal's lines for one event: the event with the digests of its tensors and of the model after it, then facts."""
    stated = [f for f in facts if isinstance(f, STATED)]
    head = {"arm": arm, "seq": count, "t": event.t, "event": type(event).__name__, **_plain(event)}
    yield {**head, **_fate(facts), **({} if after.model is before.model else {"digest": digest(after.model)})}
    for offset, fact in enumerate(stated, 1):
        yield {"arm": arm, "seq": count + offset, "t": event.t, "event": type(fact).__name__, "fact": True, **_plain(fact)}


def _fate(facts: Iterable[Effect]) -> dict[str, Any]:
    for fact in facts:
        if isinstance(fact, effects.Applied):
            return {"outcome": "applied", "staleness": fact.staleness, "carrier": fact.carrier}
        if isinstance(fact, effects.Buffered):
            return {"outcome": "buffered", "staleness": fact.staleness}
        if isinstance(fact, effects.Quarantined):
            return {"outcome": "quarantined", "reason": fact.reason}
        if isinstance(fact, effects.Lost) and fact.count == 1 and fact.request is not None:
            return {"outcome": "dropped", "reason": fact.reason}
    return {}


def _plain(value: Any) -> dict[str, Any]:
    if not is_dataclass(value):
        return {}
    items = {f.name: getattr(value, f.name) for f in fields(value) if f.name != "t"}
    return {
        name: digest(v) if codec.is_params(v) else asdict(v) if isinstance(v, Judgement) else v for name, v in items.items()
    }
