"""A desk gives the simulator's results bit for bit, from a file that holds the hospital's images bit for bit."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from afuic.data.npz import read_arrays, read_dataset, write_dataset
from afuic.engines.hospital import data
from afuic.engines.hospital.data import Holdings
from afuic.engines.laboratory import Laboratory, prepare
from afuic.erase.peers.fcu import METHOD as FCU
from afuic.erase.peers.fedosd import Descent
from afuic.erase.peers.local import Steps
from afuic.erase.rounds import Job, LocalTraining
from afuic.errors import DataError, LeakError, ManifestError
from afuic.params import Params
from afuic.settings import Site
from tests.engines.conftest import SMALL, small
from tests.engines.hospital.conftest import NAME, Clinic, order, site_of, train, unlearn, verify


def same(a: Params | None, b: Params) -> bool:
    return a is not None and a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in b)


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_training_is_the_simulators(clinic: Clinic, epoch: int) -> None:
    withdrawn = clinic.withdraw(*range(epoch))
    work = train(clinic.model, epoch)
    assert same(clinic.ask(work, withdrawn=withdrawn).delta, clinic.lab.worker().train(work))


@pytest.mark.parametrize(("epoch", "whole", "own"), [(1, False, False), (2, False, True), (0, True, False), (2, True, True)])
def test_unlearning_is_the_simulators(clinic: Clinic, epoch: int, whole: bool, own: bool) -> None:
    withdrawn = clinic.withdraw(*range(epoch))
    work = unlearn(clinic.model, epoch, whole, clinic.lab.network.initial(torch.Generator().manual_seed(1)) if own else None)
    assert same(clinic.ask(work, withdrawn=withdrawn).delta, clinic.lab.worker().unlearn(work))


JOBS: tuple[Job, ...] = (LocalTraining(), LocalTraining(steps=2), Descent(loss="unlearning", steps=Steps(steps=3, batch=8)))


@pytest.mark.parametrize(("job", "epoch", "target", "whole"), [
    *itertools.product(JOBS, (1, 2), (True,), (False,)),
    (JOBS[0], 0, False, False),
    (JOBS[0], 2, False, False),
    (JOBS[2], 0, True, True),
    (JOBS[2], 1, True, True),
])  # fmt: skip
def test_orders_are_the_simulators(clinic: Clinic, job: Job, epoch: int, target: bool, whole: bool) -> None:
    withdrawn = clinic.withdraw(*range(epoch))
    work = order(clinic.model, epoch, job, target, whole)
    assert same(clinic.ask(work, withdrawn=withdrawn).delta, clinic.lab.worker().perform(work))


def test_orders_that_look_at_features_are_the_simulators(clinic: Clinic) -> None:
    from afuic.erase.rounds import View

    start = clinic.model
    first = FCU.options().begin(View(start, start, NAME, False, (f"{NAME}@0",), (NAME,)))
    work = order(start, 1, first.orders[0].job)
    assert same(clinic.ask(work, withdrawn=clinic.withdraw(0)).delta, clinic.lab.worker().perform(work))


def test_a_file_gives_the_federations_tensors(lab: Laboratory, tmp_path: Path) -> None:
    site, federation = site_of(lab, tmp_path), lab.federation
    held, found = federation.clients[NAME], data.read(site)
    mine = federation.test.client == 0
    assert held.triggered.any()
    assert torch.equal(found.client.images, held.images)
    assert torch.equal(found.client.labels, held.labels)
    assert found.client.patients == held.patients
    assert torch.equal(found.held_out[0], federation.test.images[mine])
    assert torch.equal(found.held_out[1], federation.test.labels[mine])
    assert len(found.held_out[1]) > 0
    assert (site.data.stat().st_mode & 0o777) == 0o600


def test_every_level_of_eight_bits_comes_back(tmp_path: Path) -> None:
    levels = torch.arange(256, dtype=torch.float32).div(127.5).sub(1.0)
    assert data.to_bytes(levels.reshape(1, 1, 16, 16), "x").ravel().tolist() == list(range(256))


def test_a_trigger_that_eight_bits_cannot_hold_is_refused(tmp_path: Path) -> None:
    planted = {**SMALL["data"], "trigger": {"client": NAME, "kind": "blend"}}
    federation = prepare(small(data=planted)).federation
    with pytest.raises(DataError, match="plant a trigger of kind 'square'"):
        data.write(tmp_path / "data.npz", federation, NAME)
    assert not (tmp_path / "data.npz").exists()


def own(site: Site, /, **columns: object) -> Holdings:
    """The hospital's images with some columns changed."""
    dataset = read_dataset(site.data)
    write_dataset(type(dataset)(**{**vars(dataset), **columns}), site.data)
    return data.read(site)


def test_an_image_without_a_patient_keeps_its_name_when_others_are_deleted(clinic: Clinic) -> None:
    blank = np.full(len(read_dataset(clinic.site.data)), "")
    before = own(clinic.site, patient=blank).client
    arrays = read_arrays(clinic.site.data)
    own(clinic.site, **{key: arrays[key][1:] for key in ("images", "labels", "split")}, patient=blank[1:])
    after = data.read(clinic.site).client
    assert len(set(before.patients)) == len(before)
    assert after.patients == before.patients[1:]


def test_labels_are_numbered_by_the_federations_classes(clinic: Clinic) -> None:
    dataset = read_dataset(clinic.site.data)
    turned = dataset.class_names[::-1]
    found = own(clinic.site, class_names=turned)
    assert found.client.labels.tolist() == [3 - label for label in dataset.labels[dataset.split == 0].tolist()]
    with pytest.raises(ManifestError, match="no class 'tumour'"):
        own(clinic.site, class_names=("tumour", *turned[1:]))


def test_an_id_has_to_mean_one_person_to_the_hospital(clinic: Clinic) -> None:
    count = len(read_dataset(clinic.site.data))
    first = read_dataset(clinic.site.data).patient[0]
    site = np.array(["ward-1", *["ward-2"] * (count - 1)])
    with pytest.raises(
        ManifestError, match=rf"1 patients' ids occur at several sites, first '{first}', .*--patient-scope global"
    ):
        own(clinic.site, site=site)
    everywhere = clinic.site.federation.data.model_copy(update={"patient_scope": "global"})
    agreed = clinic.site.federation.model_copy(update={"data": everywhere})
    assert first in data.read(clinic.site.model_copy(update={"federation": agreed})).client.patients
    assert first in own(clinic.site, site=site, patient_scope="global").client.patients


def test_one_picture_has_one_label(clinic: Clinic) -> None:
    dataset = read_dataset(clinic.site.data)
    images, labels, (first, *others) = dataset.images.copy(), dataset.labels, dataset.rows(0)
    other = next(row for row in others if dataset.patient[row] == dataset.patient[first])
    images[other] = images[first]
    turned = labels.copy()
    turned[other] = (labels[first] + 1) % len(dataset.class_names)
    with pytest.raises(ManifestError, match=r"1 training images are byte for byte another with another label"):
        own(clinic.site, images=images, labels=turned)


def test_a_class_that_is_written_otherwise_is_hinted_at(clinic: Clinic) -> None:
    names = read_dataset(clinic.site.data).class_names
    with pytest.raises(ManifestError, match=rf"no class '{names[0].upper()}' \(did you mean '{names[0]}'\?\)"):
        own(clinic.site, class_names=(names[0].upper(), *names[1:]))


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("patient", "P-7", "more than one way"),
        ("patient", "p\u200b7", "which nobody sees"),
        ("site", "nan", "blank or unknown"),
        ("site", "North", "more than one way"),
        ("Patient", "p", "looks like 'patient'"),
    ],
)
def test_a_file_of_somebody_elses_is_held_to_the_same_rules(clinic: Clinic, column: str, value: str, why: str) -> None:
    arrays = read_arrays(clinic.site.data)
    count = len(arrays["labels"])
    given = {"patient": [f"q{k}" for k in range(count - 1)], "site": ["north"] * (count - 1), "Patient": ["p"] * (count - 1)}[
        column
    ]
    given = ["p-7", *given[1:]] if column == "patient" and why.startswith("more") else given
    np.savez(clinic.site.data, **{**arrays, column: np.array([*given, value])})
    with pytest.raises(ManifestError, match=why):
        data.read(clinic.site)


def test_images_that_would_leak_are_refused(clinic: Clinic) -> None:
    dataset = read_dataset(clinic.site.data)
    images, train_rows, val_rows = dataset.images.copy(), dataset.rows(0), dataset.rows(1)
    images[val_rows[0]] = images[train_rows[0]]
    with pytest.raises(LeakError, match=f"1 images held out .* first row {val_rows[0]}"):
        own(clinic.site, images=images)
    images = dataset.images.copy()
    other = next(row for row in train_rows if dataset.patient[row] != dataset.patient[train_rows[0]])
    images[other] = images[train_rows[0]]
    with pytest.raises(ManifestError, match="1 training images are also another patient's"):
        own(clinic.site, images=images)


def test_images_of_another_size_or_none_to_train_on_are_refused(clinic: Clinic) -> None:
    dataset = read_dataset(clinic.site.data)
    with pytest.raises(ManifestError, match="import them again with --size 28"):
        own(clinic.site, images=dataset.images[:, :20, :20])
    with pytest.raises(ManifestError, match="no images to train on"):
        own(clinic.site, images=dataset.images, split=np.full_like(dataset.split, 1))


def test_verification_gives_numbers_only(clinic: Clinic) -> None:
    withdrawn = clinic.withdraw(0)
    reply = clinic.desk.perform(*clinic.message(verify(clinic.model), withdrawn=withdrawn))
    numbers = clinic.read(reply).numbers
    client = clinic.lab.federation.clients[NAME]
    gone = torch.tensor([p in clinic.group(0) for p in client.patients])
    loss = torch.nn.functional.cross_entropy(clinic.lab.network.logits(clinic.model, client.images[gone]), client.labels[gone])
    assert reply[1] == b""
    assert numbers is not None
    assert set(numbers) == {"forget_loss", "forget_accuracy", "membership_auc", "forget_images", "held_out_images"}
    assert numbers["forget_loss"] == pytest.approx(float(loss), rel=1e-5)
    assert numbers["forget_images"] == int(gone.sum())
    assert numbers["held_out_images"] == int((clinic.lab.federation.test.client == 0).sum())
    assert 0 <= numbers["membership_auc"] <= 1


def test_a_whole_hospital_is_scored_on_all_its_images(clinic: Clinic) -> None:
    numbers = clinic.ask(verify(clinic.model, 0, whole=True)).numbers
    assert numbers is not None
    assert numbers["forget_images"] == len(clinic.lab.federation.clients[NAME])


def test_without_held_out_images_there_is_no_membership(clinic: Clinic) -> None:
    split = read_dataset(clinic.site.data).split
    own(clinic.site, split=np.where(split == 1, 2, split).astype(np.uint8))
    numbers = clinic.ask(verify(clinic.model, 0, whole=True)).numbers
    assert numbers is not None
    assert "membership_auc" not in numbers
    assert numbers["held_out_images"] == 0
