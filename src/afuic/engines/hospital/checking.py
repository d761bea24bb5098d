"""Whether a hospital does what it was sent: the right settings, the right shapes, and nothing that its withdrawals forbid.

A message is made of the project's own classes, but nobody has checked what is in them. Refusals go to the server: what they say is drawn
from the message alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from afuic.engines.hospital.withdrawals import Standing
from afuic.engines.live.messages import Assignment, Task, Verify, fits, unpack_task
from afuic.erase.rounds import Job
from afuic.erase.scrub import Scrub
from afuic.errors import AfuicError, ParamsError, TaskRefused
from afuic.params import Params, check_like
from afuic.protocol.effects import Perform, Train, Unlearn
from afuic.settings import Site, agreed
from afuic.store.codec import is_params
from afuic.store.rows import Watermark

SALTED = re.compile(r"sha256:[0-9a-f]{64}")
LONGEST, MOST = 200, 100_000


def read(document: bytes, tensors: bytes) -> Task:
    """The task in a message; TaskRefused for anything else."""
    try:
        return unpack_task(document, tensors)
    except AfuicError as error:
        raise TaskRefused(f"the message is not a task: {str(error).removeprefix('message: ')}") from None


def check(task: Task, site: Site, like: Params) -> None:
    """TaskRefused unless the task is this hospital's, under the settings that it agreed to, with models ``like`` its network's."""
    if task.agreed != agreed(site.federation, site.images):
        raise TaskRefused(
            f"the settings of {site.name!r} differ from the server's; give both the same [federation] and [images] tables"
        )
    work = task.assignment
    if not isinstance(work, Train | Unlearn | Perform | Verify):
        raise TaskRefused(f"the message is not a task: it holds a {type(work).__name__}")
    if work.client != site.name:
        raise TaskRefused(
            f"the task is for {str(work.client)[:LONGEST]!r} and came to {site.name!r}; check the map of node keys"
        )
    _check_names(task)
    _check_numbers(work)
    _check_models(work, like)


def permit(task: Task, standing: Standing) -> None:
    """TaskRefused where a withdrawal forbids it, whatever the server says."""
    work = task.assignment
    lost = set(task.withdrawn) - standing.groups.keys()
    if lost:
        raise TaskRefused(f"{len(lost)} withdrawn groups of patients are not on record here; restore the folder of withdrawals")
    if isinstance(work, Verify) or erases_all(work):
        return
    if standing.fenced:
        raise TaskRefused("the hospital has left the federation; it does nothing but its own erasure")
    if len(task.withdrawn) > work.epoch:
        raise TaskRefused(
            f"it names {len(task.withdrawn)} withdrawn groups but is of epoch {work.epoch}, before all had withdrawn"
        )
    unheard = standing.required - set(task.withdrawn)
    if unheard:
        raise TaskRefused(
            f"{len(unheard)} groups of patients have withdrawn here that the task does not know of; it has to wait"
        )


def erases_all(work: Assignment) -> bool:
    """Whether the work is part of the erasure of the whole hospital."""
    if isinstance(work, Train) or not work.whole:
        return False
    return work.target if isinstance(work, Perform) else True


def _check_names(task: Task) -> None:
    work = task.assignment
    names = (work.task, work.client, "" if isinstance(work, Train) else work.request)
    if not all(isinstance(n, str) and len(n) <= LONGEST for n in names) or not work.task:
        raise TaskRefused("the message is not a task: its names are not short texts")
    if not _texts(task.withdrawn) or not all(SALTED.fullmatch(d) for d in task.withdrawn):
        raise TaskRefused("the message is not a task: its withdrawn groups are not salted digests")
    if task.watermark is not None and not (isinstance(task.watermark, Watermark) and fits(task.watermark)):
        raise TaskRefused("the message is not a task: how far the server's records have come is no watermark")
    if not _texts(task.received):
        raise TaskRefused("the message is not a task: the results received are not a list of names")


def _texts(values: object) -> bool:
    return isinstance(values, tuple) and len(values) <= MOST and all(isinstance(v, str) for v in values)


def _check_numbers(work: Assignment) -> None:
    if not _whole(work.epoch, 0) or (isinstance(work, Train) and not _whole(work.number, 0)):
        raise TaskRefused("the message is not a task: its epoch or its number is not a whole number from 0")
    if isinstance(work, Unlearn) and not (_whole(work.clients, 2) and isinstance(work.spec, Scrub)):
        raise TaskRefused("the message is not a task: its unlearning lacks settings or a number of clients from 2")
    if isinstance(work, Perform) and not (isinstance(work.job, Job) and isinstance(work.target, bool)):
        raise TaskRefused("the message is not a task: its order lacks a job, or does not say whose data are to be erased")
    if not isinstance(work, Train) and not isinstance(work.whole, bool):
        raise TaskRefused("the message is not a task: it does not say whether all is to be erased")


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _check_models(work: Assignment, like: Params) -> None:
    for model in _models(work):
        if not is_params(model):
            raise TaskRefused("the message is not a task: a model is missing")
        try:
            check_like(model, like, "the task's model")
        except ParamsError as error:
            raise TaskRefused(str(error)) from None


def _models(work: Assignment) -> Iterable[Params]:
    if isinstance(work, Train):
        return (work.base,)
    if isinstance(work, Verify):
        return (work.model,)
    if isinstance(work, Unlearn):
        return (work.start,) if work.client_model is None else (work.start, work.client_model)
    if not isinstance(work.models, tuple):
        raise TaskRefused("the message is not a task: the models sent along are not a tuple")
    return (work.start, *work.models)
