"""A trial federation in one process: hospitals dealt from one data set, their images at hand, so that all they did can be done again.

For tests, benchmarks and whoever wants to see a deployment's server at work before there are hospitals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from afuic.config import Config
from afuic.data import Federation, federate, load
from afuic.engines.worker import Worker
from afuic.learning.networks import Network
from afuic.rng import key
from afuic.settings import Hospital, Images, Server


@dataclass(frozen=True)
class Trial:
    """``worker`` has everybody's images; ``groups``: patients by the salted digest under which their withdrawal is asked for."""

    settings: Server
    worker: Worker
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The hospitals."""
        return tuple(self.worker.federation.clients)

    def patients(self, client: str, share: float = 0.2) -> tuple[str, tuple[str, ...]]:
        """A group of a hospital's patients, about ``share`` of them, and the salted digest that stands for it."""
        known = sorted(set(self.worker.federation.clients[client].patients))
        ids = tuple(known[: max(1, int(share * len(known)))])
        salt = key(self.worker.config.seed, "salt", client).to_bytes(16, "little")
        return "sha256:" + hashlib.sha256(salt + "\n".join(ids).encode()).hexdigest(), ids


def trial(config: Config, folder: Path, **settings: Any) -> Trial:
    """A federation under ``config`` whose server's files go to ``folder``. ``settings``: more of the server's settings."""
    torch.set_num_threads(1)
    federation = federate(load(config.data.name), config.data, config.seed)
    network = Network(config.model.name, federation.channels, federation.size, len(federation.class_names))
    worker = Worker(config, federation, network, patients=dict.fromkeys(federation.clients, ()))
    values = _settings(config, federation, folder) | settings
    made = Trial(Server(**values), worker)
    return Trial(made.settings, worker, dict(made.patients(name) for name in made.names))


def _settings(config: Config, federation: Federation, folder: Path) -> dict[str, Any]:
    return {
        "federation": config,
        "images": Images(channels=federation.channels, size=federation.size, class_names=federation.class_names),
        "hospitals": tuple(Hospital(name=name, node_key=f"key of {name}") for name in federation.clients),
        "store": folder / "store",
        "witness": folder / "witness",
        "calibration": _calibration(federation, folder / "calibration.npz"),
        "signing_key": folder / "certificate.key",
    }


def _calibration(federation: Federation, path: Path) -> Path | None:
    """The calibration images as the server reads them: bytes again, which gives the same numbers."""
    if not len(federation.calibration):
        return None
    images = ((federation.calibration + 1.0) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, images=images)
    return path
