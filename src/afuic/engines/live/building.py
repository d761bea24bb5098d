"""From the server's settings to what a driver is made of: rules, and a worker that has calibration images and no hospital's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from afuic.config import Config
from afuic.data import Federation
from afuic.data.dataset import Bytes
from afuic.data.federation import TestSet
from afuic.data.images import to_tensor
from afuic.data.npz import read_arrays
from afuic.engines.live.health import Yardstick
from afuic.engines.rules import rules_of
from afuic.engines.worker import Worker
from afuic.erase import check_options
from afuic.errors import ConfigError, DataError
from afuic.learning.networks import Network
from afuic.protocol import Rules
from afuic.settings import Images, Server


def rules(settings: Server) -> Rules:
    """The protocol's rules: the method is the first that is configured, and nothing is kept ready for another."""
    config = settings.federation
    method = config.methods[0]
    alone = config.model_copy(update={"methods": (method,)})
    check_options(alone)
    clients = [hospital.name for hospital in settings.hospitals]
    head = _network(config, settings.images).head_weight
    return rules_of(alone, method, calibration=settings.calibration is not None, clients=clients, head=head)


def worker(settings: Server) -> Worker:
    """Who does the server's own training."""
    return worker_of(settings.federation, settings.images, settings.calibration)


def worker_of(config: Config, images: Images, calibration: Path | None) -> Worker:
    """A worker without any hospital's images, on one thread: the number of threads would show in the last bits."""
    torch.set_num_threads(1)
    return Worker(config, _federation(config, images, calibration), _network(config, images), patients={})


def validation(path: Path | None, images: Images) -> tuple[torch.Tensor, torch.Tensor]:
    """The server's labelled images, float32 [n, c, h, w] and int64 [n]; ConfigError or DataError where the file is not that."""
    if path is None:
        return torch.empty((0, images.channels, images.size, images.size)), torch.empty(0, dtype=torch.int64)
    pictures = to_tensor(_read(path, images))
    labels = read_arrays(path).get("labels")
    classes = len(images.class_names)
    if labels is None or labels.shape != pictures.shape[:1] or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path}: labels are missing or do not fit the images; save one whole number an image under the name 'labels'"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{path}: labels go from {labels.min()} to {labels.max()}; number the {classes} classes from 0")
    return pictures, torch.from_numpy(labels.astype(np.int64))


def yardstick(worker: Worker, validated: tuple[torch.Tensor, torch.Tensor]) -> Yardstick:
    """What measures the model, with the server's images."""
    return Yardstick(worker.network.logits, worker.federation.calibration, validated)


def _network(config: Config, images: Images) -> Network:
    return Network(config.model.name, images.channels, images.size, len(images.class_names))


def _federation(config: Config, images: Images, calibration: Path | None) -> Federation:
    shape = (0, images.channels, images.size, images.size)
    nobody = TestSet(torch.empty(shape), torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))
    return Federation(
        name=config.data.name,
        clients={},
        test=nobody,
        calibration=torch.empty(shape) if calibration is None else to_tensor(_read(calibration, images)),
        class_names=images.class_names,
        channels=images.channels,
        size=images.size,
        trigger=None,
        dropped={},
    )


def _read(path: Path, images: Images) -> Bytes:
    if not path.exists():
        raise ConfigError(f'{path}: no such file; put the images there, or write "none" for calibration or validation')
    found = read_arrays(path).get("images")
    wanted = (images.size, images.size, images.channels)
    if found is None or found.dtype != np.uint8 or found.ndim != 4 or found.shape[1:] != wanted or not len(found):
        what = "missing" if found is None else f"{found.dtype} {list(found.shape)}"
        raise DataError(
            f"{path}: images are {what}; save them as uint8 [n, {', '.join(map(str, wanted))}] under the name 'images'"
        )
    return found
