"""What an executor of an order is given: its own images on the right side, and nobody else's."""

from __future__ import annotations

import pytest
import torch

from afuic.engines.laboratory import Laboratory, prepare
from afuic.erase.rounds import SERVER, LocalTraining, Site
from afuic.protocol.effects import Perform
from tests.engines.conftest import small

TARGET, OTHER = "hospital-0", "hospital-1"


@pytest.fixture(scope="module")
def patients() -> Laboratory:
    """A federation of which three patients of the target are to be erased."""
    return prepare(small(requests=[{"client": TARGET, "at": 0.5, "patients": 3}], methods=["fedosd"]))


def site(lab: Laboratory, client: str, whole: bool = False) -> Site:
    target = client == TARGET
    return lab.worker().site(
        Perform("t", "r", client, {}, (), LocalTraining(), target, whole, 1 if target and not whole else 0)
    )


def count(images: tuple[torch.Tensor, torch.Tensor] | None) -> int | None:
    return None if images is None else len(images[0])


def test_a_client_that_stays_has_nothing_to_forget(patients: Laboratory) -> None:
    found = site(patients, OTHER)
    assert (count(found.forget), count(found.retain)) == (None, len(patients.federation.clients[OTHER]))
    assert found.calibration is None


def test_a_target_has_the_withdrawn_patients_images_and_the_rest(patients: Laboratory) -> None:
    found, held = site(patients, TARGET), patients.federation.clients[TARGET]
    gone = sum(patient in patients.patients[TARGET][0] for patient in held.patients)
    assert gone >= 3
    assert (count(found.forget), count(found.retain)) == (gone, len(held) - gone)


def test_a_target_that_leaves_has_everything_to_forget(patients: Laboratory) -> None:
    found = site(patients, TARGET, whole=True)
    assert (count(found.forget), count(found.retain)) == (len(patients.federation.clients[TARGET]), None)


def test_the_server_has_unlabelled_images_alone(patients: Laboratory) -> None:
    found = site(patients, SERVER)
    assert found.calibration is not None
    assert len(found.calibration) == 40
    assert found.forget is found.retain is None


def test_everyone_can_compute_features(patients: Laboratory) -> None:
    found = site(patients, OTHER)
    assert found.features is not None
    assert found.retain is not None
    features = found.features(found.initial(torch.Generator()), found.retain[0][:2])
    # gn-small: 64 channels of 4·4 for the phantoms' 28 pixels
    assert features.shape == (2, 1024)
