"""The simulator's numerical work as a plain PyTorch program would do it: one module, ``torch.optim``, a loop.

It repeats recorded tasks on the same batches, so that its CPU time is the floor that the simulator is compared with, and so that its
results can be held against the simulator's.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from afuic.config import Config
from afuic.erase.augment import medical
from afuic.erase.calibrate import Calibration, calibrate
from afuic.erase.orient import Views
from afuic.learning.train import batches, local_update
from afuic.params import Params
from afuic.protocol.effects import Calibrate, Train
from afuic.rng import torch_stream


class Plain:
    """Repeats tasks with ``torch.optim`` on a module of its own."""

    def __init__(self, config: Config, module: nn.Module, calibration: Tensor) -> None:
        self.config, self.module, self.calibration = config, copy.deepcopy(module), calibration

    def train(self, worker: Any, task: Train) -> Params:
        """The client's update, by ``torch.optim.SGD``."""
        data, spec = worker.retained(task.client, task.epoch), self.config.training
        generator = _stream(self.config, worker, "train", task.client, task.number)
        torch.randint(2**62, (), generator=generator)
        parameters = self._load(task.base)
        optimizer = torch.optim.SGD(parameters, lr=spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay)
        self.module.train()
        for index in batches(len(data.images), spec.batch, spec.steps, generator):
            optimizer.zero_grad()
            functional.cross_entropy(self.module(data.images[index]), data.labels[index]).backward()
            nn.utils.clip_grad_norm_(parameters, spec.max_norm)
            optimizer.step()
        return {name: p.detach() - task.base[name] for name, p in self.module.named_parameters()}

    def calibrate(self, worker: Any, job: Calibrate) -> Params:
        """Distillation of fixed length at the server by ``torch.optim.Adam``; other objectives are not part of the benchmark."""
        spec = job.spec
        if spec.invariance or spec.augmented or spec.gain or spec.optimizer != "adam":
            raise ValueError("the bare loop knows distillation of fixed length with Adam only; set heal.gain to none")
        generator = _stream(self.config, worker, "calibrate", job.job)
        self.module.eval()
        views = Views(self.calibration, spec.turned)
        plan = list(batches(len(views), spec.batch, spec.steps, generator))
        soft = torch.stack([self._soft(teacher, views, torch.unique(torch.cat(plan))) for teacher in job.teachers]).mean(0)
        parameters = self._load(job.student)
        self._distil(parameters, views, soft, spec, plan)
        return {name: p.detach().clone() for name, p in self.module.named_parameters()}

    def _distil(
        self, parameters: list[nn.Parameter], views: Views, soft: Tensor, spec: Calibration, plan: list[Tensor]
    ) -> None:
        optimizer = torch.optim.Adam(parameters, lr=spec.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=spec.steps)
        for index in plan:
            optimizer.zero_grad()
            student = functional.log_softmax(self.module(views[index]), dim=1)
            functional.kl_div(student, soft[index], reduction="batchmean").backward()
            nn.utils.clip_grad_norm_(parameters, spec.max_norm)
            optimizer.step()
            schedule.step()

    @torch.no_grad()
    def _soft(self, teacher: Params, views: Views, used: Tensor) -> Tensor:
        self._load(teacher)
        taught = torch.cat([self.module(views[part]).softmax(dim=1) for part in torch.split(used, 256)])
        return taught.new_zeros(len(views), taught.shape[1]).index_copy(0, used, taught)

    @torch.no_grad()
    def _load(self, params: Params) -> list[nn.Parameter]:
        for name, parameter in self.module.named_parameters():
            parameter.copy_(params[name])
        return list(self.module.parameters())


class Functions:
    """Repeats tasks by calling the library's own functions in a loop, without protocol, queue, ledger or journal."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def train(self, worker: Any, task: Train) -> Params:
        """The client's update, by ``local_update``."""
        data = worker.retained(task.client, task.epoch)
        generator = _stream(self.config, worker, "train", task.client, task.number)
        return local_update(worker.network, task.base, data.images, data.labels, self.config.training, generator)

    def calibrate(self, worker: Any, job: Calibrate) -> Params:
        """The calibrated model, by ``calibrate``."""
        generator = _stream(self.config, worker, "calibrate", job.job)
        phi = medical(job.spec.augmentation)
        images = worker.federation.calibration
        return calibrate(worker.network.forward, job.student, job.teachers, images, job.spec, phi, generator).model


def _stream(config: Config, worker: Any, *path: str | int) -> torch.Generator:
    return torch_stream(config.seed, *worker.family, *path)
