"""Everything an experiment needs that is the same for all its arms, built once per process from the configuration."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace

import torch

from afuic.config import Config
from afuic.data import ClientData, Dataset, Federation, federate, load, split_forget, stamp
from afuic.engines import fleet
from afuic.engines.fleet import Fleet
from afuic.engines.rules import rules_of
from afuic.engines.worker import Patients, Worker, named, withdrawn_patients
from afuic.erase import check_options
from afuic.errors import ConfigError
from afuic.evaluate.judge import Judge
from afuic.identity import meant
from afuic.learning.networks import Network
from afuic.protocol import Rules
from afuic.protocol.events import EraseRequested
from afuic.rng import PathPart, key, stream


@dataclass(frozen=True)
class Laboratory:
    """The federation, its traces and its judge."""

    config: Config
    federation: Federation
    network: Network
    fleet: Fleet
    judge: Judge
    patients: Patients

    def worker(self, family: tuple[PathPart, ...] = ()) -> Worker:
        """Who carries out tasks, with the random streams of one family."""
        return Worker(self.config, self.federation, self.network, self.patients, family)

    def rules(self, method: str) -> Rules:
        """The protocol's rules under a method. What has to be kept ready is the same for all, so that they share one past."""
        calibration, clients = len(self.federation.calibration) > 0, self.federation.clients
        return rules_of(self.config, method, calibration=calibration, clients=clients, head=self.network.head_weight)

    def requests(self) -> tuple[EraseRequested, ...]:
        """The erasure requests, in order. Of the patients only a salted digest and their number is said."""
        seen = dict.fromkeys(self.federation.clients, 0)
        made = []
        for number, request in enumerate(self.config.requests):
            t = request.at * self.config.clock.horizon_s
            event = EraseRequested(t, f"request-{number}", request.client)
            if request.patients is not None:
                ids = self.patients[request.client][seen[request.client]]
                seen[request.client] += 1
                event = replace(event, patients=len(ids), salted=_salted(self.config.seed, number, ids))
            made.append(event)
        return tuple(made)


def prepare(config: Config, dataset: Dataset | None = None) -> Laboratory:
    """Load the data (or take ``dataset``) and build everything; ConfigError or DataError says what cannot work."""
    check_options(config)
    torch.set_num_threads(1)
    federation = federate(dataset or load(config.data.name), config.data, config.seed)
    _check_requests(config, federation)
    network = Network(config.model.name, federation.channels, federation.size, len(federation.class_names))
    names = tuple(federation.clients)
    horizon = config.clock.horizon_s
    gone = {r.client: r.at * horizon for r in config.requests if not r.target_online}
    patients = withdrawn_patients(config, federation)
    made = fleet.build(config.clock, config.seed, names, gone)
    _check_training(config, federation, network, made)
    return Laboratory(
        config=config,
        federation=federation,
        network=network,
        fleet=made,
        judge=_judge(config, federation, network, patients),
        patients=patients,
    )


def forget_set(config: Config, federation: Federation, patients: Patients) -> ClientData:
    """All images that the requests of the configuration name, client by client."""
    parts = []
    for name in dict.fromkeys(r.client for r in config.requests):
        whole = any(r.client == name and r.patients is None for r in config.requests)
        ids = None if whole else named(patients[name])
        parts.append(split_forget(federation.clients[name], ids)[0])
    return ClientData(
        torch.cat([p.images for p in parts]),
        torch.cat([p.labels for p in parts]),
        tuple(i for p in parts for i in p.patients),
        torch.cat([p.triggered for p in parts]),
    )


def _judge(config: Config, federation: Federation, network: Network, patients: Patients) -> Judge:
    forget = forget_set(config, federation, patients)
    trigger = federation.trigger
    return Judge(
        lambda params, images: network.logits(params, images, config.evaluation.batch),
        test_images=federation.test.images,
        test_labels=federation.test.labels,
        test_client=federation.test.client,
        client_names=tuple(federation.clients),
        forget_images=forget.images,
        forget_labels=forget.labels,
        forget_triggered=forget.triggered,
        stamp=None if trigger is None else lambda images: stamp(images, trigger),
        target_class=None if trigger is None else trigger.target_class,
        curve_images=config.evaluation.images,
        generator=stream(config.seed, "curve"),
    )


def _check_requests(config: Config, federation: Federation) -> None:
    erased: dict[str, int] = {}
    if not config.requests:
        raise ConfigError("requests: there is none; an experiment needs at least one erasure to measure")
    for number, request in enumerate(config.requests):
        if request.client not in federation.clients:
            known, hint = ", ".join(federation.clients), meant(request.client, federation.clients)
            raise ConfigError(f"requests.{number}.client: {request.client!r} does not exist{hint}; the clients are {known}")
        if request.client in erased:
            raise ConfigError(
                f"requests.{number}: {request.client!r} is already erased by requests.{erased[request.client]}; remove one of them"
            )
        if request.patients is None:
            erased[request.client] = number


def _check_training(config: Config, federation: Federation, network: Network, made: Fleet) -> None:
    """ConfigError where it can be foreseen that nothing would be trained."""
    training = config.training
    most = max(len(client) for client in federation.clients.values())
    if training.batch > most:
        raise ConfigError(
            f"training.batch = {training.batch}: the largest hospital has {most} training images; make it smaller"
        )
    staying = len(federation.clients.keys() - {r.client for r in config.requests if r.patients is None})
    if why := config.aggregation.unfilled(staying):
        raise ConfigError(f"{why}, or erase fewer")
    _check_time(config, network, made)


def _check_time(config: Config, network: Network, made: Fleet) -> None:
    until, images = config.requests[0].at * config.clock.horizon_s, config.training.steps * config.training.batch
    nbytes = sum(p.numel() * p.element_size() for p in network.module.parameters())
    wanted = config.aggregation.buffer if config.aggregation.rule == "fedbuff" else 1
    arrivals = (t for client in made.slowness for t in made.updates(client, until, images, nbytes))
    found = len(list(itertools.islice(arrivals, wanted)))
    if found < wanted:
        raise ConfigError(
            f"nothing would be trained: {found} updates arrive before the first request at {until:g} virtual s, and a step of the model "
            f"takes {wanted}; make tasks shorter (training.steps, training.batch), clock.horizon_s longer, or hospitals more often online "
            f"(clock.online)"
        )


def _salted(seed: int, number: int, ids: tuple[str, ...]) -> str:
    salt = key(seed, "salt", number).to_bytes(16, "little")
    return "sha256:" + hashlib.sha256(salt + "\n".join(ids).encode()).hexdigest()
