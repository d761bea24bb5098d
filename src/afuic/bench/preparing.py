"""What a case has to find out from the data before it can be configured: the largest hospital, the only holder of a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from afuic.config import Config
from afuic.data import federate, load
from afuic.data.npz import write_dataset
from afuic.rng import stream

PREPARED = "prepared"
"""Folder for data sets made here, below that of the suite."""
SITES = 6
RARE = 1
"""The class that one hospital alone is given; of BloodMNIST, eosinophils."""


def largest(config: Config, _: Path) -> tuple[str, ...]:
    """The hospital with the most training images is the one that asks, and the one that carries the trigger."""
    clients = federate(load(config.data.name), config.data, config.seed).clients
    client = max(clients, key=lambda name: len(clients[name]))
    return f"requests.0.client={client}", f"data.trigger.client={client}"


def only_holder(config: Config, folder: Path) -> tuple[str, ...]:
    """The data set dealt evenly to six sites, but for one class, which hospital-0 alone has; kept as an npz below ``folder``."""
    path = folder / PREPARED / f"only-holder-{Path(config.data.name).stem}.npz"
    if not path.exists():
        whole = load(config.data.name)
        site = stream(0, "only holder").integers(0, SITES, len(whole))
        site[whole.labels == RARE] = 0
        names = np.array([f"hospital-{k}" for k in site])
        path.parent.mkdir(parents=True, exist_ok=True)
        write_dataset(replace(whole, name="only-holder", site=names, patient=None), path)
    return (f"data.name={path.resolve()}",)


PREPARE: Mapping[str, Callable[[Config, Path], tuple[str, ...]]] = {"largest": largest, "only-holder": only_holder}
