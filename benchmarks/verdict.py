"""What benchmarks/kill.py makes of a store after its kills: everything acknowledged is there, once, and leads to the same model."""

from __future__ import annotations

from collections import Counter
from typing import Any

from afuic.certify.chain import chain
from afuic.certify.keys import load_public, public_path
from afuic.engines.live import building
from afuic.engines.live.open import classes
from afuic.engines.live.replaying import replay
from afuic.engines.trial import Trial
from afuic.protocol import events as ev
from afuic.protocol.invariants import TOLERANCE
from afuic.store.book import Book

ARRIVED = (ev.UpdateArrived, ev.ScrubArrived, ev.AnswerArrived, ev.TaskFailed)
FINAL = {"completed", "superseded", "withdrawn", "failed", "refused"}


def verdict(trial: Trial, book: Book, acknowledged: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of what must not be, all 0 in a store that kept its word, and what it is worth."""
    recorded = {seq: event for seq, event, _ in book.record(classes(), lambda name: {})}
    ended = {event.task for event in recorded.values() if isinstance(event, ARRIVED)}
    requests = {row.id: row for row in book.requests()}
    applied = Counter(row.task for row in book.contributions(limit=10**6))
    replayed = replay(book, building.rules(trial.settings), trial.worker, trial.groups)
    updates = [line for line in acknowledged if "seq" in line]
    told = {line["told"] for line in acknowledged if "told" in line} - {f"verify/{name}" for name in requests}
    asked = {line["asked"] for line in acknowledged if "asked" in line}
    completed = [row for row in requests.values() if row.phase == "completed"]
    return {
        "events": len(recorded),
        "updates": len(applied),
        "acknowledged": {"events": len(updates), "told": len(told), "requests": len(asked)},
        "requests": dict(Counter(row.phase for row in requests.values())),
        "events_lost": sum(not _matches(recorded.get(line["seq"]), line) for line in updates),
        "told_lost": len(told - ended),
        "requests_lost": len(asked - set(requests)),
        "requests_open": sum(row.phase not in FINAL for row in requests.values()),
        "applied_twice": sum(count > 1 for count in applied.values()) + abs(book.status().applied - len(applied)),
        "late_update_quarantined": any(row.event is not None for row in book.quarantined(10**6)),
        "identity_gap": book.check(),
        "identity_holds": book.check() < TOLERANCE,
        "replay": {"computed": replayed.computed, "same": replayed.same, "problem": replayed.problem},
        "certificates": len(book.certificates()),
        "certificates_missing": len(completed) - len(book.certificates()),
        "chain_problems": len(chain([row.envelope for row in book.certificates()], _key(trial))),
        "purged_left": sum(len(report.left) for row in completed if (report := book.purge_report(row.id)) is not None),
    }


def faults(found: dict[str, Any]) -> list[str]:
    """What is wrong in a verdict, in words; nothing where all is well."""
    zero = ("events_lost", "told_lost", "requests_lost", "requests_open", "applied_twice")
    zero = (*zero, "certificates_missing", "chain_problems", "purged_left")
    wrong = [f"{name}: {found[name]}" for name in zero if found[name]]
    wrong += [name for name in ("identity_holds", "late_update_quarantined") if not found[name]]
    return wrong if found["replay"]["same"] else [*wrong, f"replay: {found['replay']['problem']}"]


def _matches(event: Any, line: dict[str, Any]) -> bool:
    return type(event).__name__ == line["kind"] and getattr(event, "task", None) == line["task"]


def _key(trial: Trial) -> Any:
    return load_public(public_path(trial.settings.signing_key))
