"""A divided set is the simulator's, bit for bit, and each file holds one hospital's images only."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from afuic.cli.common import load
from afuic.data.dataset import TRAIN, VAL
from afuic.data.images import to_tensor
from afuic.data.npz import read_arrays, read_dataset
from afuic.deploy import dividing, planning
from afuic.engines.hospital.data import to_bytes
from afuic.errors import ConfigError


def test_bytes_and_numbers_are_each_others_inverse():
    every = torch.arange(256, dtype=torch.uint8).numpy().reshape(1, 16, 16, 1)
    assert (to_bytes(to_tensor(every), "all levels") == every).all()


def test_each_file_holds_what_the_simulator_gives_that_client(tmp_path):
    names = ("north", "south", "west")
    federation = dividing.divided(planning.agreement(load("demo-phantom"), names))
    dividing.write_parts(federation, {name: tmp_path / f"{name}.npz" for name in names})
    dividing.write_calibration(federation, tmp_path / "calibration.npz")
    for index, (client, name) in enumerate(zip(federation.clients.values(), names, strict=True)):
        found = read_dataset(tmp_path / f"{name}.npz")
        train, held = found.rows(TRAIN), found.rows(VAL)
        assert torch.equal(to_tensor(found.images[train]), client.images)
        assert (found.labels[train] == client.labels.numpy()).all()
        assert tuple(found.patient[train]) == client.patients
        assert torch.equal(to_tensor(found.images[held]), federation.test.images[federation.test.client == index])
        assert len(set(found.patient[held]) & set(client.patients)) == 0
    calibration = read_arrays(tmp_path / "calibration.npz")["images"]
    assert calibration.dtype == np.uint8
    assert torch.equal(to_tensor(calibration), federation.calibration)


def test_as_many_files_as_parts(tmp_path):
    federation = dividing.divided(planning.agreement(load("demo-phantom"), ("a", "b")))
    with pytest.raises(ConfigError, match="2 parts, not into 1"):
        dividing.write_parts(federation, {"a": tmp_path / "a.npz"})
