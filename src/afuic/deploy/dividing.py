"""A data set divided among hospitals as the simulator would, each part in a file that only that hospital needs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from afuic.config import Config
from afuic.data.federation import Federation, federate
from afuic.data.loading import load
from afuic.engines.hospital.data import to_bytes, write
from afuic.errors import ConfigError
from afuic.settings import Images
from afuic.store.files import write_bytes

VALIDATION = 1000


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
    renamed = replace(federation, clients=dict(zip(hospitals, federation.clients.values(), strict=True)))
    for name, path in hospitals.items():
        write(path, renamed, name)


def write_validation(federation: Federation, path: Path) -> None:
    """Write labelled images for the server: the first ``VALIDATION`` of the test images, on which nobody trains."""
    buffer, test = io.BytesIO(), federation.test
    images = to_bytes(test.images[:VALIDATION], "the validation set")
    np.savez_compressed(buffer, images=images, labels=test.labels[:VALIDATION].numpy())
    write_bytes(path, buffer.getvalue())


def write_calibration(federation: Federation, path: Path) -> None:
    """Write the server's unlabelled images."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=to_bytes(federation.calibration, "the calibration set"))
    write_bytes(path, buffer.getvalue())
