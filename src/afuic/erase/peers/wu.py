"""Federated unlearning with knowledge distillation (Wu, Zhu, Mitra, arXiv 2201.09441): subtract the client's updates, distil the old model.

The client's stored updates are taken out of the final model as if it had sent zeros ("lazy learning"), and the damage is repaired by
distilling the old model, its outputs softened by a temperature, into what is left, on the server's unlabelled images. No client is
asked. Distillation is the server's own (``calibrate``), without what this project adds to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field

from afuic.erase.augment import medical
from afuic.erase.calibrate import Calibration, Forward, calibrate
from afuic.erase.method import Ask, Method, Plan
from afuic.erase.peers.calibrating import InRounds, in_rounds
from afuic.erase.rounds import SERVER, Job, Order, Round, Site, View
from afuic.params import Params, add, sub, total, zeros_like


class Schedule(Calibration):
    """Calibration as plain distillation: a fixed number of steps, images as they are."""

    steps: int = Field(1600, ge=1, description="optimizer steps")
    batch: int = Field(64, ge=2, description="images in a step")
    lr: float = Field(0.002, gt=0, description="learning rate; it decays to 0 along a cosine")
    gain: float | None = Field(None, gt=0, lt=1, description="share of the gap that a stretch must close; none: make all steps")
    turned: bool = Field(False, description="distil every image in all its orientations")


class Distillation(Job):
    """Distil the models sent along into the start at a ``temperature``; it is 1 again when the model is used."""

    temperature: float = Field(3.0, gt=0, description="T of softmax(z/T), for teacher and student alike")
    schedule: Schedule = Schedule()

    def passes(self, forget: int, retain: int) -> float:
        """``retain`` is the number of the server's images."""
        return self.schedule.passes(retain, 1, self.schedule.steps) if retain else 0.0

    def run(self, site: Site, start: Params, models: tuple[Params, ...], generator: torch.Generator) -> Params:
        """The change made by distillation; none without images."""
        images = site.calibration
        if images is None or not len(images):
            return zeros_like(start)
        phi = medical(self.schedule.augmentation)
        done = calibrate(softened(site.forward, self.temperature), start, models, images, self.schedule, phi, generator)
        return sub(done.model, start)


class Wu(InRounds):
    """Subtraction alone where ``distil`` is none (or the server holds no images)."""

    distil: Distillation | None = Distillation()

    def begin(self, view: View) -> Round:
        """M_F − (1/N)·Σ_t ΔM_t^c: a stored share is what the update added, its weight included."""
        gone = (past.share for past in view.history if past.contributor in view.gone)
        skewed = sub(view.model, total(gone, view.model))
        if self.distil is None:
            return Round(skewed)
        return Round(skewed, (Order(SERVER, skewed, self.distil, (view.model,), needed=True),), skewed)

    def proceed(self, view: View, memory: Params, answers: Mapping[str, Params]) -> Round:
        """Repaired, the model is released."""
        return Round(add(memory, answers[SERVER]))


def softened(forward: Forward, temperature: float) -> Forward:
    """Logits divided by the temperature (Hinton et al., arXiv 1503.02531, Eq. 1)."""
    return lambda params, images: forward(params, images) / temperature


def plan(options: Wu, ask: Ask) -> Plan:
    """Subtract, distil where there are images, overwrite."""
    return in_rounds(options if ask.calibration else options.model_copy(update={"distil": None}), ask)


SEARCH: tuple[dict[str, Any], ...] = (
    {},
    {"distil": {"schedule": {"steps": 400}}},
    {"distil": {"temperature": 1.0, "schedule": {"steps": 400}}},
    {"distil": {"temperature": 10.0, "schedule": {"steps": 400}}},
    {"distil": {"schedule": {"steps": 400, "lr": 0.0005}}},
    {"distil": {"schedule": {"steps": 400, "lr": 0.05, "optimizer": "sgd"}}},
)

METHOD = Method(
    name="wu",
    source="Wu, Zhu & Mitra, arXiv 2201.09441",
    summary="Subtract the client's stored updates, then distil the old model on the server's unlabelled images.",
    needs_target=False,
    removes=True,
    options=Wu,
    plan=plan,
    history=True,
    pauses=True,
)
