"""Proof that a run is what its record says: replay the events alone and reach the same models.

Nothing is taken from the run but the order of events and the configuration. What an event carried is computed again and must have the
recorded digest; so must the model after every event.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afuic.config import Config
from afuic.engines import pool
from afuic.engines.arm import Arm, Progress, arms, classes, past_of
from afuic.engines.experiment import laboratory, recorded_config
from afuic.engines.simulator import result
from afuic.errors import StoreError
from afuic.evaluate import results as written
from afuic.params import digest
from afuic.protocol import State, events, initial, step
from afuic.protocol.effects import Calibrate, Effect, Perform, Train, Unlearn
from afuic.store import codec
from afuic.store.files import read_json, write_json
from afuic.store.journal import read

Work = Train | Unlearn | Perform | Calibrate
RESULTS = ("UpdateArrived", "ScrubArrived", "AnswerArrived", "CalibrationDone", "CalibrationFailed")


@dataclass(frozen=True)
class Replayed:
    """One arm replayed: the model's digest in the record and now. ``problem`` says where they first parted."""

    arm: str
    events: int
    expected: str
    digest: str
    problem: str | None = None

    @property
    def same(self) -> bool:
        """Whether the replay reached the very same model by the very same steps."""
        return self.problem is None and self.expected == self.digest


def replay(
    out: str | Path,
    *,
    methods: Sequence[str] = (),
    jobs: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[Replayed, ...]:
    """Replay the run in ``out`` (all of it, or ``methods`` and their shared past). StoreError when its record is unusable."""
    out, methods = Path(out), (methods,) if isinstance(methods, str) else methods
    config = recorded_config(out)
    recorded = written.load(out / "results.json")
    unknown = set(methods) - set(recorded.methods)
    if unknown:
        raise StoreError(f"{out}: has no method {sorted(unknown)[0]!r}; it has {', '.join(recorded.methods)}")
    pasts = {past_of(name) for name in methods}
    wanted = [a for a in arms(config) if not methods or a.name in pasts or a.method in methods]
    with tempfile.TemporaryDirectory(prefix="afuic-replay-") as scratch:
        write_json(Path(scratch) / "run.json", str(out.resolve()))
        pool.run(replay_arm, config, Path(scratch), wanted, jobs or 1, progress or (lambda _: None))
        found = [Replayed(**read_json(Path(scratch) / arm.name / "replayed.json")) for arm in wanted]
    return tuple(_against(recorded, item) for item in found)


def replay_arm(config: Config, folder: Path, arm: Arm, progress: Callable[[Progress], None]) -> None:
    """Replay one arm in this process and leave what came of it in ``folder``."""
    journal = list(_journal(Path(read_json(folder / "run.json")), arm.name))
    end = float(journal[-1]["t"]) if journal else 0.0
    replayer = _Replayer(config, folder, arm)
    problem = None if journal else "no event of it is recorded"
    for number, line in enumerate(journal):
        problem = replayer.happen(line)
        if number % 20 == 0 or problem:
            progress(Progress(arm.name, float(line["t"]), end, replayer.state.version, "replaying", "running"))
        if problem:
            break
    codec.save(folder / arm.name / "checkpoint", (replayer.state, replayer.open))
    done = Replayed(arm.name, len(journal), "", digest(replayer.state.model), problem)
    write_json(folder / arm.name / "replayed.json", dataclasses.asdict(done))
    progress(Progress(arm.name, end, end, replayer.state.version, problem or "same", "done"))


class _Replayer:
    """A state, and the work that the core has asked for and the record will answer."""

    def __init__(self, config: Config, folder: Path, arm: Arm) -> None:
        lab = laboratory(config)
        self.rules, self.worker = lab.rules(arm.method), lab.worker(arm.family)
        self.open: dict[str, Work] = {}
        if arm.after is None:
            self.state: State = initial(self.worker.initial())
        else:
            (self.state, self.open), _ = codec.load(folder / arm.after / "checkpoint", classes())

    def happen(self, line: dict[str, Any]) -> str | None:
        """Replay one line; what is wrong, or None."""
        place = f"line {line['seq']} ({line['event']} at {line['t']})"
        event = self._event(line)
        if event is None:
            return f"{place}: answers work that was never asked for"
        before = self.state
        self.state, effects = step(self.rules, before, event)
        self.open |= {_name(e): e for e in effects if isinstance(e, Work)}
        now = None if self.state.model is before.model else digest(self.state.model)
        if now != line.get("digest"):
            return f"{place}: the model is {now}, recorded {line.get('digest')}"
        carried = next((digest(v) for v in vars(event).values() if codec.is_params(v)), None)
        recorded = line.get("delta", line.get("model"))
        return None if carried == recorded else f"{place}: it carries {carried}, recorded {recorded}"

    def _event(self, line: dict[str, Any]) -> events.Event | None:
        if line["event"] in RESULTS:
            work = self.open.pop(line.get("task") or line["job"], None)
            return None if work is None else result(self.worker, self.state, line["t"], work)
        kind: Any = getattr(events, line["event"])
        names = [f.name for f in dataclasses.fields(kind)]
        return kind(**{name: line[name] for name in names})  # type: ignore[no-any-return]


def _name(work: Effect) -> str:
    return work.job if isinstance(work, Calibrate) else work.task  # type: ignore[union-attr]


def _journal(out: Path, arm: str) -> Iterator[dict[str, Any]]:
    path = out / "events.jsonl"
    for number, line in enumerate(read(path), 1):
        if line.get("arm") == arm and not line.get("fact"):
            if not _whole(line):
                raise StoreError(f"{path}, line {number}: not an event that a run records; the file was edited")
            yield line


def _whole(line: dict[str, Any]) -> bool:
    """Whether the line has all that its kind of event has."""
    kind = getattr(events, str(line.get("event")), None)
    if not dataclasses.is_dataclass(kind) or type(line.get("t")) is not float or type(line.get("seq")) is not int:
        return False
    if line["event"] in RESULTS:
        return isinstance(line.get("task") or line.get("job"), str)
    return all(f.name in line for f in dataclasses.fields(kind))


def _told(recorded: written.Results) -> str:
    """The retrained run whose digest the results give: the first that did not fail, or the first of all."""
    failed = {} if recorded.retrained is None else recorded.retrained.failed
    runs = len(failed) + (0 if recorded.retrained is None else recorded.retrained.runs)
    return next((name for k in range(runs) if (name := f"retrain/{k}") not in failed), "retrain/0")


def _against(recorded: written.Results, item: Replayed) -> Replayed:
    if item.arm in recorded.methods:
        return dataclasses.replace(item, expected=recorded.methods[item.arm].digest)
    if item.arm == _told(recorded):
        return dataclasses.replace(item, expected=recorded.methods["retrain"].digest)
    return dataclasses.replace(item, expected=item.digest)
