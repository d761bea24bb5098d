"""What the server's rows look like to a person: one table or a few lines for each kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table

from afuic.cli.common import PlainTable
from afuic.store.rows import AuditRow, ClientRow, MeasureRow, ProcessRow, RequestRow, Status, VersionRow

UNITS = ("B", "kB", "MB", "GB", "TB")
CLIENTS_SHOWN = 8


def when(at: float | None) -> str:
    """A time of day here, empty for none."""
    return "" if at is None else datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: float) -> str:
    """Bytes, rounded."""
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.0f} {UNITS[unit]}" if unit == 0 else f"{count:.1f} {UNITS[unit]}"


def scope(patients: int | None) -> str:
    """What a request is for."""
    return "whole hospital" if patients is None else f"{patients} patient{'s' if patients > 1 else ''}"


def contributors(names: Iterable[str]) -> str:
    """Contributors by client, with their epochs where there is more than the first."""
    epochs: dict[str, list[str]] = {}
    for name in names:
        client, _, epoch = name.partition("@")
        epochs.setdefault(client, []).append(epoch)
    shown = [client if found == ["0"] else f"{client} ({', '.join(found)})" for client, found in sorted(epochs.items())]
    more = f" and {len(shown) - CLIENTS_SHOWN} more" if len(shown) > CLIENTS_SHOWN else ""
    return ", ".join(shown[:CLIENTS_SHOWN]) + more


def in_the_sum(row: VersionRow) -> str:
    """Whose contributions the version is the sum of."""
    return _with_others(row.contributors, row.other_contributors)


def taught_by(row: VersionRow) -> str:
    """Whom the teachers of the server's own steps in it had learned from."""
    return _with_others(row.taught_by, row.other_taught_by)


def _with_others(names: Iterable[str], others: int) -> str:
    """The names, then how many other hospitals there are where these are not named."""
    counted = f"{others} other hospital{'' if others == 1 else 's'}" if others else ""
    return " and ".join(part for part in (contributors(names), counted) if part)


def requests(rows: Iterable[RequestRow]) -> Table:
    """A line for each request."""
    table = PlainTable("request", "hospital", "what", "asked", "by", "phase", "released", "completed")
    for row in rows:
        released = "" if row.released_version is None else f"version {row.released_version}, {when(row.released_at)}"
        asked = (row.id, row.client, scope(row.patients), when(row.asked_at), row.who)
        phase = row.phase if row.uncertified is None else f"{row.phase}, not certified"
        table.add_row(*asked, phase, released, when(row.completed_at))
    return table


def request(row: RequestRow) -> list[str]:
    """A request in full, but for its history."""
    lines = [
        f"{row.id}: {row.client}, {scope(row.patients)}, {row.phase}",
        f"asked {when(row.asked_at)} by {row.who}: {row.reason}",
    ]
    if row.salted:
        lines.append(f"digest of the patients' ids: {row.salted}")
    if row.version_before is not None:
        moment = "asked at" if row.released_version is None else "the last before its release was"
        lines.append(f"{moment} version {row.version_before} of the model")
    if row.released_version is not None:
        lines.append(f"from version {row.released_version} on the model is without these data ({when(row.released_at)})")
    lines += _judged(row)
    if row.uncertified is not None:
        lines.append(f"has ended but could not be certified: {row.uncertified}; the server tries again, and at its next start")
    return lines + [f"note: {note}" for note in row.notes]


def _judged(row: RequestRow) -> Iterator[str]:
    """What was subtracted, beside what stayed, and the released model, beside the one before."""
    if (found := row.beside) is not None:
        median = found["median"]
        yield f"subtracted: norm {found['norm']:.3g}" + (
            f", {found['norm'] / median:.2g} of the others' median" if median else ""
        )
    if (found := row.judgement) is not None:
        yield (
            f"the released model is {found['divergence']:.3g} nats from the one before; a probe ({found['probe']}) changes"
            f" {found['after']:.0%} of its answers, before {found['before']:.0%}"
        )


def moved(entry: dict[str, Any]) -> str:
    """One step of a request's history."""
    reason = f" ({entry['reason']})" if entry.get("reason") else ""
    return f"{when(entry.get('at'))}  {entry.get('before', '')} -> {entry.get('after', '')}{reason}"


def overview(status: Status) -> list[str]:
    """The federation in a few lines."""
    alive = f"heard {when(status.heartbeat_at)}" if status.heartbeat_at else "never heard"
    halted = [] if status.halted is None else [f"NO WORK IS HANDED OUT: {status.halted}"]
    return [
        *halted,
        f"{status.federation}: version {status.version}, step {status.step}, {status.events} events; server {alive}",
        f"updates: {status.applied} applied, {status.quarantined} quarantined, {status.lost} lost",
        f"ledger: model and contributions differ by {status.identity_gap:.1e} (rounding: below 1e-4)",
        f"disk: {size(status.store_bytes)} used by the store, {size(status.free_bytes)} free",
        f"record: {status.record.links} links, head {status.record.head}",
        _checked(status),
        f"requests under way: {', '.join(status.pending) or 'none'}",
        *([f"LOOK AT WHAT WAS RELEASED FOR {', '.join(status.doubtful)}: afuic requests says why"] if status.doubtful else []),
        *(f"could not be certified: {request}: {why}" for request, why in status.uncertified.items()),
        *measured(status.measures),
        *(failing(row) for row in status.clients if row.failures or row.failure),
    ]


def measured(rows: Sequence[MeasureRow]) -> list[str]:
    """How the model fared at its last versions that were measured, a line for each measure that there is."""
    lines = (
        _series("loss on the server's validation images (nats)", [(row.version, row.loss) for row in rows]),
        _series("accuracy on them", [(row.version, row.accuracy) for row in rows]),
        _series("change on the calibration images (KL, nats)", [(row.version, row.change) for row in rows]),
    )
    return [line for line in lines if line]


def _series(what: str, values: Sequence[tuple[int, float | None]]) -> str:
    known = [(version, value) for version, value in values if value is not None]
    numbers = ", ".join(f"{value:.3g} (version {version})" for version, value in known)
    return f"{what}: {numbers}" if known else ""


def failing(row: ClientRow) -> str:
    """What last went wrong with a hospital's results, and how often in a row tasks of it have failed."""
    tasks = "" if not row.failures else f"{row.failures} task{'s' if row.failures > 1 else ''} in a row failed, "
    return f"{row.name}: {tasks}the last failure {when(row.failed_at)}: {row.failure or ''}"


def _checked(status: Status) -> str:
    if status.fault is not None:
        return f"LAST CHECK OF THE STORE: {status.fault}"
    return f"models checked: {when(status.checked_at) or 'not yet'}"


def audit(rows: Iterable[AuditRow]) -> Table:
    """A line for each thing done."""
    table = PlainTable("number", "when", "who", "role", "what", "about", "outcome")
    for row in rows:
        table.add_row(str(row.id), when(row.at), row.who, row.role, row.action, row.subject, row.outcome)
    return table


def processes(rows: Iterable[ProcessRow]) -> Table:
    """A line for each process of a machine."""
    table = PlainTable("process", "stage", "for", "starts", "failures", "why")
    for row in rows:
        said = row.why if row.stage not in {"ready", "done"} else ""
        table.add_row(row.name, row.stage, lasting(row.seconds), str(row.starts), str(row.failures), said)
    return table


def lasting(seconds: float) -> str:
    """A duration in its largest whole unit."""
    units = ((86400, "d"), (3600, "h"), (60, "min"))
    return next((f"{seconds / unit:.0f} {name}" for unit, name in units if seconds >= 2 * unit), f"{seconds:.0f} s")


def clients(status: Status) -> Table:
    """A line for each hospital."""
    table = PlainTable(
        "hospital", "state", "epoch", "updates", "staleness", "last update", "failed in a row", "last failure", "task"
    )
    for row in status.clients:
        state = f"fenced by {row.fenced_by}" if row.state == "fenced" else row.state
        staleness = "" if row.staleness is None else f"{row.staleness:.1f}"
        work = (str(row.epoch), str(row.applied), staleness, when(row.last_at))
        table.add_row(row.name, state, *work, str(row.failures or ""), when(row.failed_at), row.task or "")
    return table


def versions(rows: Iterable[VersionRow]) -> Table:
    """A line for each version."""
    table = PlainTable("version", "made", "by", "contributors", "taught by", "digest", "kept", "pinned by")
    for row in rows:
        kept = "yes" if row.kept else "no"
        digest = row.digest.removeprefix("sha256:")[:12]
        who = (in_the_sum(row), taught_by(row))
        table.add_row(str(row.version), when(row.at), row.why, *who, digest, kept, ", ".join(row.pinned_by))
    return table
