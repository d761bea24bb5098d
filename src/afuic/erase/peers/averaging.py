"""Retraining in synchronous rounds of FedAvg, for methods that end in it: everyone trains from the same model, the mean is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from afuic.erase.rounds import Job, Order, Round, View, averaged
from afuic.params import Params


@dataclass(frozen=True)
class Retraining:
    """Memory: the model that the round under way started from, and how many rounds are over."""

    model: Params
    done: int


def train(view: View, model: Params, done: int, rounds: int, job: Job) -> Round:
    """The round after ``done``: ``job`` for every client that can be reached; after ``rounds``, or without any, the model."""
    if done >= rounds or not view.clients:
        return Round(model)
    orders = tuple(Order(client, model, job) for client in view.clients)
    return Round(model, orders, Retraining(model, done))


def answered(view: View, memory: Retraining, answers: Mapping[str, Params], rounds: int, job: Job) -> Round:
    """Take the mean of what came and go on; a round that nobody answered changes nothing and counts."""
    return train(view, averaged(memory.model, answers), memory.done + 1, rounds, job)
