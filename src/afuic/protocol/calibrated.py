"""What becomes of the server's own training: healing releases, guarding is rebased onto the present model, work ahead is kept."""

from __future__ import annotations

from afuic.errors import ParamsError
from afuic.params import Params, add, check_like, sub
from afuic.protocol import jobs, releasing
from afuic.protocol.events import CalibrationDone, CalibrationFailed
from afuic.protocol.state import Job, Shadow
from afuic.protocol.turn import Turn
from afuic.scores import Judgement

NOT_DONE = {"heal": "not healed", "guard": "a guard failed"}


def done(turn: Turn, event: CalibrationDone) -> None:
    """A job's result: healing releases, guarding is rebased, what was healed ahead is kept. Results no longer wanted are ignored."""
    job = _open(turn, event.job)
    if job is None:
        return
    try:
        check_like(event.model, turn.state.model, f"calibration {job.id}")
    except ParamsError as error:
        failed(turn, CalibrationFailed(event.t, event.job, str(error)))
        return
    delta = sub(event.model, job.base)
    if job.purpose == "heal":
        _note(turn, job, event)
        _release(turn, job, event.model, "calibrated")
        return
    state = turn.state
    if job.purpose == "ahead":
        before = state.shadows[job.client].contained if job.client in state.shadows else ()
        shadow = Shadow(delta, tuple(sorted({*before, *job.contained})), job.version)
        turn.set(ahead=None, shadows={**state.shadows, job.client: shadow})
        jobs.start_ahead(turn)
        return
    ledger = state.ledger.serve(job.contained, delta)
    turn.set(guard=None, model=add(state.model, delta), ledger=ledger, version=state.version + 1)
    if state.version == state.guarded_version:
        turn.set(guarded_version=turn.state.version)
    jobs.start_guard(turn)
    jobs.start_ahead(turn)


def failed(turn: Turn, event: CalibrationFailed) -> None:
    """A job failed, and the record says so. Erasure is owed all the same: what could not be healed is released unhealed."""
    job = _open(turn, event.job)
    if job is None:
        return
    if job.purpose in {"guard", "ahead"}:
        turn.set(**{job.purpose: None})
    for request in job.requests:
        _say(turn, request, NOT_DONE[job.purpose], event.reason)
    if job.purpose == "heal":
        _release(turn, job, None, "calibration failed")


def _say(turn: Turn, request: str, what: str, reason: str) -> None:
    """Note it once for a request: a guard that fails may fail again at every version of its window."""
    notes = turn.record(request).notes
    if not any(note.startswith(what) for note in notes):
        turn.set_record(request, notes=(*notes, f"{what}: {reason}"))


def _note(turn: Turn, job: Job, event: CalibrationDone) -> None:
    for request in job.requests:
        turn.set_record(request, heal_steps=event.steps, heal_gap=event.gap, judgement=event.judgement)
        if event.judgement is not None and event.judgement.jump:
            _say(turn, request, "the released model is a jump from the one before", _jump(event.judgement))


def _jump(found: Judgement) -> str:
    return (
        f"a probe ({found.probe}) changes its answer on {found.after:.0%} of the server's images, before on {found.before:.0%};"
        " look at it, and at who stays, before it is used"
    )


def _release(turn: Turn, job: Job, model: Params | None, trigger: str) -> None:
    turn.set(heal=None)
    records = [turn.record(r) for r in job.requests]
    releasing.release(turn, records, None if model is None else (job, model), trigger)
    jobs.start_heal(turn)


def _open(turn: Turn, identity: str) -> Job | None:
    state = turn.state
    return next((j for j in (state.heal, state.guard, state.ahead) if j is not None and j.id == identity), None)
