"""A hospital's desk: does one task after the other on the hospital's own images and answers, whatever brings the messages.

Each result is that of the simulator's worker, bit for bit: the same code on the same images with the same streams.
"""

from __future__ import annotations

import hashlib
import json
import logging
import traceback
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch

from afuic.data import split_forget
from afuic.document import parse_json
from afuic.engines.hospital import checking, data, files, withdrawals
from afuic.engines.hospital.data import Holdings
from afuic.engines.hospital.inbox import Inbox
from afuic.engines.hospital.listening import EVERY_S, Heard, Listener
from afuic.engines.hospital.outbox import Outbox
from afuic.engines.hospital.pace import Pace
from afuic.engines.hospital.verifying import scores
from afuic.engines.hospital.watermark import Highest
from afuic.engines.hospital.withdrawals import Standing
from afuic.engines.live.messages import TASK_BYTES, Answer, Task, Verify, pack_answer
from afuic.engines.worker import Patients, Worker, named
from afuic.errors import AfuicError, DataError, JsonError, ManifestError, StoreError, TaskRefused, TaskStopped
from afuic.learning.networks import Network
from afuic.params import Params, digest
from afuic.protocol.effects import Perform, Train, Unlearn
from afuic.scores import Measured
from afuic.settings import Site
from afuic.store.codec import encode
from afuic.store.files import holding
from afuic.store.rows import Watermark

LOG = logging.getLogger("afuic.hospital")


class Desk:
    """Does what comes in, one task at a time; a second desk of the same hospital is told to wait.

    ``listen_s``: seconds between two questions to the server whether the task under way is still wanted.
    """

    def __init__(self, site: Site, listen_s: float = EVERY_S) -> None:
        torch.set_num_threads(1)
        self.site, self.listen_s = site, listen_s
        self.network = Network(site.federation.model.name, site.images.channels, site.images.size, len(site.images.class_names))
        self.inbox, self.outbox = Inbox(site.state / "inbox"), Outbox(site.state / "outbox")
        self.highest = Highest(site.state / "watermark.json")
        self._before: Watermark | None = None
        self._read: tuple[tuple[int, ...], Holdings] | None = None

    def perform(self, document: bytes, tensors: bytes) -> tuple[bytes, bytes]:
        """The answer to a message, always: a result, numbers, or one sentence on why there is none, without a patient's id."""
        task, self._before = "", None
        try:
            with ExitStack() as stack:
                self._alone(stack)
                message = checking.read(document, tensors)
                checking.check(message, self.site, dict(self.network.module.named_parameters()))
                task = message.assignment.task
                return self._answer(message)
        except (TaskRefused, TaskStopped) as refusal:
            LOG.warning("task %r: %s", task, refusal)
            return pack_answer(Answer(task or _name(document), failed=str(refusal), seen=self._before))
        except Exception as error:  # its text may name patients, and an engine would send it on
            LOG.error("task %r: %s", task, _without_names(error))
            reason = f"{type(error).__name__} at the hospital; its own log says more"
            return pack_answer(Answer(task or _name(document), failed=reason))

    def ready(self) -> None:
        """Raise now what would fail the first task: DataError where the images do not fit the federation, or are too few.

        A hospital where patients have withdrawn may have fewer than the federation's ``data.partition.min_images``.
        """
        images, least = len(data.read(self.site).client), self.site.federation.data.partition.min_images
        if images < least and not withdrawals.standing(self.site).groups:
            raise ManifestError(
                f"{self.site.data}: {images} images to train on, and the federation wants {least} of each hospital "
                "(data.partition.min_images); import more, or agree on fewer everywhere"
            )

    def _alone(self, stack: ExitStack) -> None:
        """A process that an engine has lost may still be training; its result must not meet this one's."""
        try:
            stack.enter_context(holding(files.folder(self.outbox.folder)))
        except StoreError:
            raise TaskRefused(
                "another process of the hospital is at work, or its folder cannot be written; ask again"
            ) from None

    def _answer(self, task: Task) -> tuple[bytes, bytes]:
        name = task.assignment.task
        self._before = self.highest.read()
        self.highest.rise(task.watermark, self._before)
        self.outbox.drop(task.received)
        self.inbox.clear()
        standing = withdrawals.standing(self.site)
        basis = _basis(task, standing)
        ready = self.outbox.find(name, basis)
        if ready is not None:
            LOG.info("task %r: answered again", name)
            return ready
        checking.permit(task, standing)
        reply = pack_answer(replace(self._done(task, standing), seen=self._before))
        self._keep(task, basis, reply)
        LOG.info("task %r: done, %d bytes", name, sum(map(len, reply)))
        return reply

    def _keep(self, task: Task, basis: str, reply: tuple[bytes, bytes]) -> None:
        """Make the result durable; one that follows from what was withdrawn meanwhile is deleted, not sent."""
        name = task.assignment.task
        try:
            self.outbox.keep(name, basis, *reply)
        except StoreError as error:
            LOG.warning("task %r: answered, but not kept in case the answer is lost: %s", name, error)
        if self.inbox.told() and not isinstance(task.assignment, Verify):
            self.outbox.drop((name,))
            raise TaskStopped("an erasure was asked for at the hospital while the task was being done; nothing of it is kept")

    def _done(self, task: Task, standing: Standing) -> Answer:
        work, holdings = task.assignment, self._holdings()
        groups = {self.site.name: _held(task, standing, holdings)}
        _check_forget(task, groups[self.site.name])
        if isinstance(work, Verify):
            return Answer(work.task, numbers=self._scores(work, holdings, groups))
        with Listener(self.site, lambda heard: _unwanted(work, heard), self.listen_s) as listener:
            worker = Worker(
                self.site.federation,
                data.federation(self.site, holdings.client),
                self.network,
                groups,
                stop=Pace(self.site.slowdown, lambda: self.inbox.told() or listener.told()),
            )
            return Answer(work.task, _delta(worker, work))

    def _scores(self, work: Verify, holdings: Holdings, groups: Patients) -> Measured:
        gone = None if work.whole else named(groups[self.site.name][: work.epoch])
        forget = split_forget(holdings.client, gone)[0]
        return scores(self.network, work.model, (forget.images, forget.labels), holdings.held_out)

    def _holdings(self) -> Holdings:
        """The hospital's images, read again when their file has changed."""
        try:
            mark = _mark(self.site.data)
            if self._read is None or self._read[0] != mark:
                self._read = mark, data.read(self.site)
        except (DataError, OSError) as error:
            LOG.error("the hospital's images cannot be read: %s", _without_names(error))
            raise TaskRefused("the hospital's images cannot be read; its own log says more") from None
        return self._read[1]


def _delta(worker: Worker, work: Train | Unlearn | Perform) -> Params:
    if isinstance(work, Train):
        return worker.train(work)
    return worker.unlearn(work) if isinstance(work, Unlearn) else worker.perform(work)


def _held(task: Task, standing: Standing, holdings: Holdings) -> tuple[tuple[str, ...], ...]:
    """The groups that the task names, as the patients in them whose images are still here."""
    here = frozenset(holdings.client.patients)
    return tuple(standing.groups[d].among(here) for d in task.withdrawn)


def _check_forget(task: Task, groups: tuple[tuple[str, ...], ...]) -> None:
    work = task.assignment
    if isinstance(work, Train) or work.whole or (isinstance(work, Perform) and not work.target):
        return
    if not named(groups[: work.epoch]):
        raise TaskRefused(
            "the images to be forgotten are not at the hospital any more; only the server can remove what they left"
        )


def _unwanted(work: Train | Unlearn | Perform, heard: Heard) -> bool:
    return work.task in heard.cancelled or (heard.fenced and not checking.erases_all(work))


def _basis(task: Task, standing: Standing) -> str:
    """Digest of all that a result follows from, but the images: the work and its models, and what has been withdrawn."""
    tree = [encode(task.assignment, digest), task.withdrawn, sorted(standing.required), standing.fenced]
    return hashlib.sha256(json.dumps(tree).encode()).hexdigest()


def _mark(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _name(document: bytes) -> str:
    """The task's name in a message that is refused, so that the refusal can be told from others; empty where there is none."""
    try:
        name = parse_json(document, limit=TASK_BYTES)["value"]["fields"]["assignment"]["fields"]["task"]
    except (JsonError, KeyError, TypeError):
        return ""
    return name if isinstance(name, str) and len(name) <= checking.LONGEST else ""


def _without_names(error: Exception) -> str:
    """What a log may say of an error: names in our own messages are quoted, so all up to the first quote; of others, where it arose."""
    if isinstance(error, AfuicError):
        text = str(error)
        end = min((place for mark in "'\"" if (place := text.find(mark)) >= 0), default=len(text))
        return f"{type(error).__name__}: {text[:end].rstrip()}"
    where = traceback.extract_tb(error.__traceback__)[-1:]
    return f"{type(error).__name__}" + "".join(f" in {Path(f.filename).name}, line {f.lineno}" for f in where)
