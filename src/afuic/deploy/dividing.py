"""A data set divided among hospitals as the simulator would, each part in a file that only that hospital needs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from afuic.config import Config
from afuic.data.dataset import TRAIN, VAL, Bytes, Dataset
from afuic.data.federation import ClientData, Federation, federate
from afuic.data.loading import load
from afuic.data.npz import write_dataset
from afuic.errors import ConfigError
from afuic.settings import Images
from afuic.store.files import write_bytes


def divided(config: Config) -> Federation:
    """The images of every hospital and of the server, by the configuration's seed."""
    return federate(load(config.data.name), config.data, config.seed)


def images_of(federation: Federation) -> Images:
    """What every image looks like."""
    return Images(channels=federation.channels, size=federation.size, class_names=federation.class_names)


def write_parts(federation: Federation, hospitals: Mapping[str, Path]) -> None:
    """Write each hospital's images: its training images, and its share of the test images as held-out ones.

    ``hospitals``: a file for each, in the order of the federation's clients, whose names theirs replace.
    """
    if len(hospitals) != len(federation.clients):
        raise ConfigError(f"{federation.name} divides into {len(federation.clients)} parts, not into {len(hospitals)}")
    for index, (client, (name, path)) in enumerate(zip(federation.clients.values(), hospitals.items(), strict=True)):
        write_dataset(_own(federation, client, index, name), path)
        path.chmod(0o600)


def write_calibration(federation: Federation, path: Path) -> None:
    """Write the server's unlabelled images."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=to_bytes(federation.calibration))
    write_bytes(path, buffer.getvalue())


def to_bytes(images: Tensor) -> Bytes:
    """float32 [n, c, h, w] in [−1, 1] as uint8 [n, h, w, c]: the exact inverse of ``data.images.to_tensor``."""
    out: Bytes = ((images.double() + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return out


def _own(federation: Federation, client: ClientData, index: int, name: str) -> Dataset:
    held = federation.test.client == index
    labels = torch.cat((client.labels, federation.test.labels[held]))
    return Dataset(
        name=f"{federation.name}, {name}'s part",
        images=to_bytes(torch.cat((client.images, federation.test.images[held]))),
        labels=labels.numpy().astype(np.int64),
        split=np.repeat(np.array([TRAIN, VAL], dtype=np.uint8), [len(client), int(held.sum())]),
        site=None,
        patient=np.array([*client.patients, *(f"held-out-{row}" for row in range(int(held.sum())))], dtype=np.str_),
        class_names=federation.class_names,
        licence="as the data set's",
        source=f"{federation.name}, divided by afuic",
    )
