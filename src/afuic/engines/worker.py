"""Carries out what the core asks for, for real: local training, unlearning at the client, orders, calibration at the server.

Each result is a pure function of the effect, the data and the seed. That is why the simulator may compute it late, why a run can be
replayed from its events alone, and why two engines reach the same model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch

from afuic.config import Config
from afuic.data import ClientData, Federation, choose_patients, split_forget, stamp
from afuic.erase.augment import Augment, medical
from afuic.erase.calibrate import Calibrated, Forward, calibrate
from afuic.erase.judgement import judge
from afuic.erase.rounds import SERVER, Images, Site
from afuic.erase.scrub import reference, scrub
from afuic.errors import ConfigError, DataError, TaskStopped
from afuic.learning.networks import Network
from afuic.learning.train import local_update
from afuic.params import Params, add, norm, sub
from afuic.protocol.effects import Calibrate, Perform, Train, Unlearn
from afuic.rng import PathPart, stream, torch_stream
from afuic.scores import Judgement

RANDOM_MODELS = 10

Patients = Mapping[str, tuple[tuple[str, ...], ...]]
"""For each client the patients of each of its patient requests, in the order of the requests: epoch e has withdrawn the first e."""


@dataclass(frozen=True)
class Worker:
    """Everything a task may need. ``family`` tells the random streams of retrained references from those of the main run.

    ``stop``: asked before every batch of a client's task, which ends in TaskStopped once it says so; None: nobody is asked.
    """

    config: Config
    federation: Federation
    network: Network
    patients: Patients
    family: tuple[PathPart, ...] = ()
    stop: Callable[[], bool] | None = None

    def initial(self) -> Params:
        """θ_0 of this family."""
        return self.network.initial(self._stream("initial"))

    def train(self, task: Train) -> Params:
        """The client's update."""
        data = self.retained(task.client, task.epoch)
        generator = self._stream("train", task.client, task.number)
        return local_update(self.network, task.base, data.images, data.labels, self.config.training, generator, self.stop)

    def unlearn(self, task: Unlearn) -> Params:
        """The client's change of the model by unlearning."""
        forget, retain = self._sides(task)
        generator = self._stream("unlearn", task.task)
        own = task.client_model or self._local_model(task, forget)
        centre = reference(task.start, own, task.clients)
        radius = task.spec.radius * self._distance_to_random(centre, generator)
        forward = self._asking(self.network.forward)
        sides = _images(forget), _images(retain)
        return scrub(forward, task.start, centre, radius, *sides, task.spec, generator)

    def perform(self, order: Perform) -> Params:
        """The answer to an order."""
        return order.job.run(self.site(order), order.start, order.models, self.performing(order))

    def performing(self, order: Perform) -> torch.Generator:
        """The random stream of an order's work, from its beginning."""
        return self._stream("perform", order.task)

    def site(self, order: Perform) -> Site:
        """What the executor of an order has."""
        features = None if self.network.head is None else self._asking(self.network.features)
        known = Site(self._asking(self.network.forward), self._local_training, self.network.initial, features=features)
        if order.client == SERVER:
            return replace(known, calibration=self.federation.calibration)
        left = _images(self.retained(order.client, order.epoch))
        if not order.target:
            return replace(known, retain=left)
        if order.whole:
            return replace(known, forget=left)
        withdrawn = split_forget(self.federation.clients[order.client], self._withdrawn(order.client, order.epoch))[0]
        return replace(known, forget=_images(withdrawn), retain=left)

    def _local_training(self, start: Params, images: Images, steps: int | None, generator: torch.Generator) -> Params:
        training = self.config.training if steps is None else self.config.training.model_copy(update={"steps": steps})
        return local_update(self.network, start, *images, training, generator, self.stop)

    def _asking(self, forward: Forward) -> Forward:
        """The network, which every batch of every job comes through, asking first whether to go on."""
        stop = self.stop
        if stop is None:
            return forward

        def asked(params: Params, images: torch.Tensor) -> torch.Tensor:
            if stop():
                raise TaskStopped("the task was told to stop before its last batch; nothing of it is kept")
            return forward(params, images)

        return asked

    def calibrate(self, job: Calibrate) -> Calibrated:
        """The calibrated model, with how it came about."""
        phi = self._oracle() if job.oracle else medical(job.spec.augmentation)
        images = self.federation.calibration
        generator = self._stream("calibrate", job.job)
        return calibrate(self.network.forward, job.student, job.teachers, images, job.spec, phi, generator, job.omitted)

    def judge(self, before: Params, after: Params) -> Judgement:
        """How far a model that is to be released is from the one before, on the calibration images."""
        return judge(self.network.forward, before, after, self.federation.calibration)

    def retained(self, client: str, epoch: int) -> ClientData:
        """The client's images without those of patients withdrawn by ``epoch``."""
        data, gone = self.federation.clients[client], self._withdrawn(client, epoch) if epoch else ()
        return split_forget(data, gone)[1] if gone else data

    def _withdrawn(self, client: str, epoch: int) -> tuple[str, ...]:
        return named(self.patients[client][:epoch])

    def _sides(self, task: Unlearn) -> tuple[ClientData, ClientData]:
        data = self.federation.clients[task.client]
        return split_forget(data, None if task.whole else self._withdrawn(task.client, task.epoch))

    def _local_model(self, task: Unlearn, data: ClientData) -> Params:
        generator = self._stream("local model", task.task)
        delta = local_update(self.network, task.start, data.images, data.labels, self.config.training, generator, self.stop)
        return add(task.start, delta)

    def _distance_to_random(self, centre: Params, generator: torch.Generator) -> float:
        distances = [norm(sub(self.network.initial(generator), centre)) for _ in range(RANDOM_MODELS)]
        return sum(distances) / len(distances)

    def _oracle(self) -> Augment:
        trigger = self.federation.trigger
        if trigger is None:
            raise ConfigError("options: oracle is set but no trigger is planted (data.trigger); remove one or set the other")
        return lambda images, generator: stamp(images, trigger)

    def _stream(self, *path: PathPart) -> torch.Generator:
        return torch_stream(self.config.seed, *self.family, *path)


def _images(data: ClientData) -> Images:
    return data.images, data.labels


def named(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """All patients of these groups, each once, in the order of their names."""
    return tuple(sorted({patient for group in groups for patient in group}))


def _still_there(federation: Federation, groups: Patients, client: str) -> ClientData:
    gone = named(groups[client])
    data = federation.clients[client]
    return split_forget(data, gone)[1] if gone else data


def withdrawn_patients(config: Config, federation: Federation) -> Patients:
    """Which patients each request of the configuration names; drawn at random where it gives a number."""
    groups: dict[str, tuple[tuple[str, ...], ...]] = dict.fromkeys(federation.clients, ())
    for number, request in enumerate(config.requests):
        if request.patients is not None:
            draws = stream(config.seed, "patients", number)
            try:
                chosen = choose_patients(_still_there(federation, groups, request.client), request.patients, draws)
            except DataError as error:
                raise ConfigError(f"requests.{number}.patients of {request.client!r}: {error}") from None
            groups[request.client] = (*groups[request.client], chosen)
            if not set(federation.clients[request.client].patients).difference(*groups[request.client]):
                raise ConfigError(
                    f"requests.{number}.patients: leaves {request.client!r} none; ask for the whole client instead"
                )
    return groups
