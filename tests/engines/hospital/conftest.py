"""A federation of phantoms with patients, and one of its hospitals as a deployment has it: settings, an npz, a folder of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from afuic.data import phantom
from afuic.engines.hospital import data, withdrawals
from afuic.engines.hospital.desk import Desk
from afuic.engines.laboratory import Laboratory, prepare
from afuic.engines.live.messages import Answer, Assignment, Task, Verify, pack_task, unpack_answer
from afuic.erase.rounds import LocalTraining
from afuic.erase.scrub import Scrub
from afuic.params import Params
from afuic.protocol.effects import Perform, Train, Unlearn
from afuic.settings import Images, Site, agreed
from tests.engines.conftest import small

NAME = "hospital-0"
REQUESTS = [{"client": NAME, "at": 0.4, "patients": 2}, {"client": NAME, "at": 0.5, "patients": 3}]


@pytest.fixture(scope="session")
def lab() -> Laboratory:
    """The simulator's side: hospital-0 is triggered, and two groups of its patients withdraw one after the other."""
    return prepare(small(requests=REQUESTS), phantom(0, patients=40))


@dataclass
class Clinic:
    """hospital-0 of the federation, with what its network is shown recorded by a hook of the network's own."""

    lab: Laboratory
    site: Site
    desk: Desk
    shown: list[torch.Tensor] = field(default_factory=list)

    @property
    def model(self) -> Params:
        """A model to start from."""
        return self.lab.worker().initial()

    def group(self, number: int) -> tuple[str, ...]:
        """The patients of the hospital's request of that number."""
        return self.lab.patients[NAME][number]

    def withdraw(self, *numbers: int) -> tuple[str, ...]:
        """The salted digests of these groups, withdrawn here."""
        asked = (withdrawals.withdraw(self.site, self.group(number), 1.0) for number in numbers)
        return tuple(str(a.salted) for a in asked)

    def message(self, work: Assignment, *, withdrawn: tuple[str, ...] = (), **changes: Any) -> tuple[bytes, bytes]:
        """The message that brings this work."""
        task = Task(work, withdrawn, (), agreed(self.site.federation, self.site.images))
        return pack_task(replace(task, **changes))

    def ask(self, work: Assignment, **changes: Any) -> Answer:
        """What the desk answers."""
        return self.read(self.desk.perform(*self.message(work, **changes)))

    def read(self, reply: tuple[bytes, bytes]) -> Answer:
        """A reply as the server reads it."""
        return unpack_answer(*reply, like=self.model)

    def digests(self) -> set[bytes]:
        """Every image that the network was shown."""
        return {digest(image) for batch in self.shown for image in batch}

    def of(self, *patients: str) -> set[bytes]:
        """The images of these patients."""
        client = self.lab.federation.clients[NAME]
        return {digest(image) for image, patient in zip(client.images, client.patients, strict=True) if patient in patients}


def digest(image: torch.Tensor) -> bytes:
    return hashlib.sha256(image.numpy().tobytes()).digest()


def train(model: Params, epoch: int = 0, number: int = 3, task: str = f"{NAME}/3") -> Train:
    return Train(task, NAME, model, epoch, number)


def unlearn(model: Params, epoch: int = 1, whole: bool = False, own: Params | None = None) -> Unlearn:
    return Unlearn(f"{NAME}/4", "r", NAME, model, own, 3, whole, epoch, Scrub(steps=4, batch=8))


def order(model: Params, epoch: int = 1, job: Any = None, target: bool = True, whole: bool = False) -> Perform:
    return Perform(f"{NAME}/5", "r", NAME, model, (), job or LocalTraining(), target, whole, epoch)


def verify(model: Params, epoch: int = 1, whole: bool = False) -> Verify:
    return Verify(f"{NAME}/verify", "r", NAME, model, whole, epoch)


def site_of(lab: Laboratory, folder: Path) -> Site:
    """The hospital's settings, with its npz written; nobody listens at its API."""
    federation = lab.federation
    data.write(folder / "data.npz", federation, NAME)
    return Site(
        name=NAME,
        federation=lab.config,
        images=Images(channels=federation.channels, size=federation.size, class_names=federation.class_names),
        data=folder / "data.npz",
        state=folder / "state",
        token=folder / "token",
        ca=folder / "ca.pem",
        api="http://127.0.0.1:9",
    )


@pytest.fixture
def clinic(lab: Laboratory, tmp_path: Path) -> Clinic:
    """A fresh hospital."""
    site = site_of(lab, tmp_path)
    made = Clinic(lab, site, Desk(site))
    made.desk.network.module.register_forward_pre_hook(lambda module, inputs: made.shown.append(inputs[0].detach().clone()))
    return made
