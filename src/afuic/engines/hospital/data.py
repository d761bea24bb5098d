"""A hospital's images, from one npz in afuic's own layout: ``train`` is trained on, ``val`` is held out for verification, ``test`` unused.

An image without a patient is a patient of its own, named after its bytes: a row's number would name another image once a row is deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from afuic.data import ClientData, Dataset, Federation, TestSet
from afuic.data.dataset import TRAIN, VAL, Bytes, Ints, Strings, contradictions
from afuic.data.images import digests, to_tensor
from afuic.data.npz import read_dataset, write_dataset
from afuic.engines.hospital.files import PRIVATE_FILE
from afuic.erase.rounds import Images
from afuic.errors import DataError, LeakError, ManifestError
from afuic.identity import at_several_sites, meant, quoted
from afuic.settings import Site
from afuic.text import normal


@dataclass(frozen=True, eq=False)
class Holdings:
    """What a hospital has: ``client`` to train on, ``held_out`` images and labels that no model has seen from it."""

    client: ClientData
    held_out: Images


def read(site: Site) -> Holdings:
    """The hospital's images as tensors; ManifestError or LeakError for a set that this federation cannot use."""
    dataset = _fitting(_of_one(read_dataset(site.data), site), site)
    keys = digests(dataset.images)
    ids = _patients(dataset, keys)
    train, val = dataset.rows(TRAIN), dataset.rows(VAL)
    _check(dataset, ids, keys, site.data)
    patients = tuple(str(patient) for patient in ids[train])
    untouched = torch.zeros(len(train), dtype=torch.bool)
    client = ClientData(*_tensors(dataset, train), patients, untouched)
    return Holdings(client, _tensors(dataset, val))


def write(path: Path, federation: Federation, name: str) -> None:
    """One client of a federation as its hospital's npz, held out the test images dealt to it; what is read back is the same bit for bit.

    DataError where it would not be: a ``blend`` trigger gives pixels that eight bits cannot hold.
    """
    client, mine = federation.clients[name], federation.test.client == list(federation.clients).index(name)
    held, labels = federation.test.images[mine], federation.test.labels[mine]
    dataset = Dataset(
        name=name,
        images=np.concatenate([to_bytes(client.images, name), to_bytes(held, name)]),
        labels=torch.cat([client.labels, labels]).numpy(),
        split=np.repeat(np.array([TRAIN, VAL], dtype=np.uint8), [len(client), len(labels)]),
        site=None,
        patient=np.array([*client.patients, *[""] * len(labels)], dtype=np.str_),
        class_names=federation.class_names,
        licence="as its source",
        source=federation.name,
    )
    write_dataset(dataset, path)
    path.chmod(PRIVATE_FILE)


def federation(site: Site, client: ClientData) -> Federation:
    """The federation as this hospital sees it: itself alone, without test or calibration images."""
    images = site.images
    none = torch.empty(0, images.channels, images.size, images.size)
    numbers = torch.empty(0, dtype=torch.int64)
    return Federation(
        name=site.federation.name,
        clients={site.name: client},
        test=TestSet(none, numbers, numbers),
        calibration=none,
        class_names=images.class_names,
        channels=images.channels,
        size=images.size,
        trigger=None,
        dropped={},
    )


def to_bytes(images: Tensor, name: str) -> Bytes:
    """uint8 [n, h, w, c] from float32 [n, c, h, w] in [−1, 1]: the inverse of ``to_tensor``, or DataError."""
    levels = ((images.double() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
    out: Bytes = levels.permute(0, 2, 3, 1).contiguous().numpy()
    if not torch.equal(to_tensor(out), images):
        raise DataError(
            f"{name}: its images are not whole steps of eight bits, so a file of them would hold others; plant a trigger of kind 'square'"
        )
    return out


def _fitting(dataset: Dataset, site: Site) -> Dataset:
    """The set with its labels numbered as the federation numbers its classes."""
    wanted, shape = site.images, dataset.images.shape[1:]
    if shape != (wanted.size, wanted.size, wanted.channels):
        raise ManifestError(
            f"{site.data}: images are {' × '.join(map(str, shape))}, the federation's {wanted.size} × {wanted.size} × "
            f"{wanted.channels}; import them again with --size {wanted.size}"
        )
    known = [normal(name) for name in wanted.class_names]
    unknown = sorted(set(dataset.class_names) - set(known))
    if unknown:
        raise ManifestError(
            f"{site.data}: the federation has no class {unknown[0]!r}{meant(unknown[0], known)}; its classes are {', '.join(known)}"
        )
    number = np.array([known.index(name) for name in dataset.class_names], dtype=np.int64)
    return replace(dataset, labels=number[dataset.labels], class_names=wanted.class_names)


def _patients(dataset: Dataset, keys: list[bytes]) -> Strings:
    own = np.array([f"image-{key.hex()}" for key in keys], dtype=np.str_)
    return own if dataset.patient is None else np.where(dataset.patient == "", own, dataset.patient)


def _of_one(dataset: Dataset, site: Site) -> Dataset:
    """The set of one hospital, to which a patient's id has to mean one person: a list of withdrawals gives nothing but ids."""
    scope = site.federation.data.patient_scope or dataset.patient_scope
    if dataset.patient is None or dataset.site is None or scope == "global":
        return dataset
    shared = sorted(at_several_sites(dataset.patient.tolist(), dataset.site.tolist()))
    if shared:
        raise ManifestError(
            f"{site.data}: {len(shared)} patients' ids occur at several sites, first {quoted(shared[0])}, and may be different people; "
            f"import it again with --patient-scope global if they are the same, or with ids of their own"
        )
    return dataset


def _check(dataset: Dataset, patients: Strings, keys: list[bytes], path: Path) -> None:
    """An image that two patients share would stay when one of them withdraws; one that is held out must not be trained on."""
    train, val = dataset.rows(TRAIN).tolist(), dataset.rows(VAL).tolist()
    if not train:
        raise ManifestError(f"{path}: no images to train on; import it with a train split")
    held = [keys[row] for row in train]
    shared = contradictions(held, patients[train].tolist())
    if shared:
        raise ManifestError(
            f"{path}: {len(shared)} training images are also another patient's, first row {train[shared[0][1]]}; such an image would stay "
            f"when one of the two withdraws, so keep it once, under its own patient"
        )
    twice = contradictions(held, dataset.labels[train].tolist())
    if twice:
        raise ManifestError(
            f"{path}: {len(twice)} training images are byte for byte another with another label, first row {train[twice[0][1]]}; keep each "
            f"once, under the right label"
        )
    trained = set(held)
    leaked = [row for row in val if keys[row] in trained]
    if leaked:
        raise LeakError(
            f"{path}: {len(leaked)} images held out for verification are trained on as well, first row {leaked[0]}; remove them from one"
        )


def _tensors(dataset: Dataset, rows: Ints) -> Images:
    return to_tensor(dataset.images[rows]), torch.from_numpy(dataset.labels[rows])
