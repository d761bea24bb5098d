"""The phantom is deterministic, learnable, and has the sites and patients it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from afuic.data import load, phantom


def test_same_seed_same_bytes() -> None:
    assert np.array_equal(phantom(4).images, phantom(4).images)
    assert not np.array_equal(phantom(4).images, phantom(5).images)
    assert np.array_equal(load("phantom").images, phantom(0).images)


@pytest.mark.parametrize("classes", [2, 4, 8])
def test_the_nearest_class_mean_is_right_for_most_test_images(classes: int) -> None:
    made = phantom(0, classes=classes, n=(400, 0, 100))
    train, test = made.images[:400].reshape(400, -1).astype(float), made.images[400:].reshape(100, -1).astype(float)
    means = np.stack([train[made.labels[:400] == k].mean(axis=0) for k in range(classes)])
    guesses = ((test[:, None] - means[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (guesses == made.labels[400:]).mean() > 0.8


def test_sites_and_patients() -> None:
    made = phantom(0, n=(100, 20, 30), sites=2, patients=15, channels=3)
    assert made.images.shape == (150, 28, 28, 3)
    assert made.site is not None
    assert made.patient is not None
    assert set(made.site.tolist()) == {"site-0", "site-1"}
    # 15 * 100 / 150 = 10 patients in train, 15 * 20 / 150 = 2 in val, 15 * 30 / 150 = 3 in test
    assert [len(set(made.patient[made.split == split].tolist())) for split in range(3)] == [10, 2, 3]
    for patient in set(made.patient.tolist()):
        rows = made.patient == patient
        assert len(set(made.labels[rows].tolist())) == len(set(made.split[rows].tolist())) == 1
