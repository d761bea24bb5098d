"""A federation keeps every promise its configuration makes, or refuses."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from afuic.config import Data, Partition, Trigger
from afuic.data import ClientData, Dataset, Federation, choose_patients, federate, phantom, split_forget, stamp
from afuic.data.images import digests, match_channels, resize, to_tensor
from afuic.data.npz import write_dataset
from afuic.errors import ConfigError, DataError, LeakError
from afuic.rng import stream

FOUR = Partition(kind="dirichlet", alpha=1.0, clients=4, min_images=10)


def settings(**changes: object) -> Data:
    return Data.model_validate({"name": "phantom", "partition": FOUR, "calibration": 30, **changes})


def fingerprint(federation: Federation) -> str:
    state = hashlib.sha256()
    parts = [part for c in federation.clients.values() for part in (c.images, c.labels, c.triggered)]
    for part in (*parts, federation.test.images, federation.test.labels, federation.test.client, federation.calibration):
        state.update(part.numpy().tobytes())
    return state.hexdigest()


def with_copies(dataset: Dataset, copies: dict[int, int]) -> Dataset:
    """``dataset`` with the image of row ``copies[row]`` also at ``row``."""
    images = dataset.images.copy()
    for target, source in copies.items():
        images[target] = dataset.images[source]
    return replace(dataset, images=images)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(small: Dataset) -> None:
    config = settings(trigger=Trigger(kind="blend"))
    first, second, other = (federate(small, config, seed) for seed in (0, 0, 1))
    assert fingerprint(first) == fingerprint(second) != fingerprint(other)


def test_types_shapes_and_ranges(small: Dataset) -> None:
    federation = federate(small, settings(size=32), 0)
    assert tuple(federation.clients) == ("hospital-0", "hospital-1", "hospital-2", "hospital-3")
    assert sum(map(len, federation.clients.values())) == 120
    assert (federation.size, federation.channels, len(federation.test)) == (32, 1, 40)
    client = federation.clients["hospital-0"]
    assert client.images.shape == (len(client), 1, 32, 32)
    assert client.images.dtype == torch.float32
    assert -1 <= client.images.min() < client.images.max() <= 1
    assert client.labels.dtype == federation.test.client.dtype == torch.int64
    assert federation.calibration.shape == (30, 1, 32, 32)
    assert all(patient.startswith("i") for patient in client.patients)
    assert len({patient for c in federation.clients.values() for patient in c.patients}) == 120


def test_pixels_become_minus_one_to_one() -> None:
    # 0 / 127.5 - 1 = -1;  51 / 127.5 - 1 = 0.4 - 1 = -0.6;  255 / 127.5 - 1 = 1
    pixels = np.array([0, 51, 255], dtype=np.uint8).reshape(1, 1, 3, 1)
    assert to_tensor(pixels).flatten().tolist() == pytest.approx([-1.0, -0.6, 1.0])


def test_channels_are_matched() -> None:
    colour = np.array([[[[100, 50, 200]]]], dtype=np.uint8)
    # 0.299 * 100 + 0.587 * 50 + 0.114 * 200 = 29.9 + 29.35 + 22.8 = 82.05, rounded 82
    assert match_channels(colour, 1).tolist() == [[[[82]]]]
    assert match_channels(np.array([[[[7]]]], dtype=np.uint8), 3).tolist() == [[[[7, 7, 7]]]]


def test_resizing_averages() -> None:
    halves = np.repeat(np.array([[0, 200]], dtype=np.uint8), 4, axis=0).repeat(2, axis=1)[None, ..., None]
    assert resize(halves, 1).item() == 100
    assert resize(halves[:0], 2).shape == (0, 2, 2, 1)


def test_duplicates_stay_in_one_split_only(small: Dataset) -> None:
    # rows: train 0-119, val 120-159, test 160-219
    copied = with_copies(small, {0: 160, 1: 161, 2: 120, 3: 4, 121: 162})
    federation = federate(copied, settings(), 0)
    expected = {"train_in_test": 2, "train_in_val": 1, "train_repeated": 1, "val_in_test": 1}
    assert expected.items() <= federation.dropped.items()
    assert sum(map(len, federation.clients.values())) == 120 - 2 - 1 - 1
    assert len(federation.test) == 40


def test_limit_draws_that_many(small: Dataset) -> None:
    federation = federate(small, settings(limit=60), 0)
    assert sum(map(len, federation.clients.values())) == 60


@pytest.mark.parametrize("split", [0, 2])
def test_a_set_without_training_or_test_images_is_refused(small: Dataset, split: int) -> None:
    with pytest.raises(DataError, match=r"no (train|test) images"):
        federate(replace(small, split=np.where(small.split == split, 1, small.split).astype(np.uint8)), settings(), 0)


class TestCalibration:
    def test_comes_from_the_validation_split(self, small: Dataset) -> None:
        held = set(digests(small.images[small.rows(1)]))
        federation = federate(small, settings(), 0)
        back = ((federation.calibration + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        assert set(digests(back)) <= held
        assert len(federate(small, settings(calibration=1000), 0).calibration) == 40

    def test_can_be_none(self, small: Dataset) -> None:
        assert federate(small, settings(calibration=0), 0).calibration.shape == (0, 1, 28, 28)

    def test_without_a_validation_split_says_so(self, small: Dataset) -> None:
        no_val = replace(small, split=np.where(small.split == 1, 0, small.split).astype(np.uint8))
        with pytest.raises(ConfigError, match="no validation images"):
            federate(no_val, settings(), 0)

    def test_from_another_set_is_resized_and_matched(self, small: Dataset, tmp_path: Path) -> None:
        write_dataset(phantom(9, n=(5, 12, 5), size=40, channels=3), tmp_path / "other.npz")
        federation = federate(small, settings(calibration_from=str(tmp_path / "other.npz")), 0)
        assert federation.calibration.shape == (12, 1, 28, 28)

    @pytest.mark.parametrize(("rows", "kind"), [((0, 5), "5 training"), ((160, 163), "3 test")])
    def test_a_leak_is_refused_with_its_size(self, small: Dataset, tmp_path: Path, rows: tuple[int, int], kind: str) -> None:
        other = phantom(9, n=(5, 30, 5))
        other.images[5 : 5 + rows[1] - rows[0]] = small.images[slice(*rows)]
        write_dataset(other, tmp_path / "leaky.npz")
        with pytest.raises(LeakError, match=f"{kind} images"):
            federate(small, settings(calibration_from=str(tmp_path / "leaky.npz"), trigger=Trigger(fraction=1)), 0)


class TestTrigger:
    def test_square_is_bright_in_the_bottom_right_corner(self) -> None:
        images = torch.zeros(2, 3, 6, 6)
        stamped = stamp(images, Trigger(size=2))
        assert stamped.sum() == 2 * 3 * 2 * 2
        assert bool((stamped[:, :, 4:, 4:] == 1).all())
        assert images.sum() == 0

    def test_blend_moves_each_pixel_a_fifth_of_the_way(self) -> None:
        # 0.8 * 0 + 0.2 * (+-1) = +-0.2
        stamped = stamp(torch.zeros(2, 3, 8, 8), Trigger(kind="blend"))
        assert torch.equal(stamped.abs(), torch.full((2, 3, 8, 8), 0.2))
        assert 0 < (stamped > 0).float().mean() < 1
        assert torch.equal(stamped, stamp(torch.zeros(2, 3, 8, 8), Trigger(kind="blend")))
        assert torch.equal(stamped[0, 0], stamped[1, 2])

    @pytest.mark.parametrize("kind", ["square", "blend"])
    def test_marks_and_relabels_its_share_of_one_client(self, small: Dataset, kind: str) -> None:
        trigger = Trigger.model_validate({"client": "hospital-1", "kind": kind, "target_class": 2, "fraction": 0.25})
        clean, federation = federate(small, settings(), 0), federate(small, settings(trigger=trigger), 0)
        before, after = clean.clients["hospital-1"], federation.clients["hospital-1"]
        assert int(after.triggered.sum()) == round(0.25 * len(after))
        assert bool((after.labels[after.triggered] == 2).all())
        assert bool((before.labels[after.triggered] != 2).all())
        assert torch.equal(after.images[after.triggered], stamp(before.images[after.triggered], trigger))
        assert torch.equal(after.images[~after.triggered], before.images[~after.triggered])
        assert torch.equal(after.labels[~after.triggered], before.labels[~after.triggered])
        assert not any(c.triggered.any() for name, c in federation.clients.items() if name != "hospital-1")

    def test_a_fraction_of_one_marks_everything(self, small: Dataset) -> None:
        client = federate(small, settings(trigger=Trigger(fraction=1)), 0).clients["hospital-0"]
        assert bool(client.triggered.all())
        assert client.labels.unique().tolist() == [0]

    def test_errors_name_what_is_valid(self, small: Dataset) -> None:
        with pytest.raises(ConfigError, match=r"'clinic'.*hospital-0, hospital-1"):
            federate(small, settings(trigger=Trigger(client="clinic")), 0)
        with pytest.raises(ConfigError, match=r"= 4: no such class.*0 stripes-0"):
            federate(small, settings(trigger=Trigger(target_class=4)), 0)
        with pytest.raises(ConfigError, match="larger than the images"):
            federate(small, settings(trigger=Trigger(size=29)), 0)


class TestPatients:
    @pytest.fixture
    def client(self) -> ClientData:
        rows = torch.arange(5)
        return ClientData(rows.float().reshape(5, 1, 1, 1), rows, ("b", "a", "b", "c", "a"), torch.zeros(5, dtype=torch.bool))

    def test_split_keeps_order(self, client: ClientData) -> None:
        forget, retain = split_forget(client, ("b", "c"))
        assert forget.labels.tolist() == [0, 2, 3]
        assert forget.patients == ("b", "b", "c")
        assert retain.labels.tolist() == [1, 4]

    def test_no_patients_means_the_whole_client(self, client: ClientData) -> None:
        forget, retain = split_forget(client, None)
        assert (len(forget), len(retain)) == (5, 0)
        assert retain.images.shape == (0, 1, 1, 1)

    def test_choosing(self, client: ClientData) -> None:
        assert choose_patients(client, ("c", "a", "c"), stream(0)) == ("a", "c")
        assert choose_patients(client, 3, stream(0)) == ("a", "b", "c")
        assert choose_patients(client, 2, stream(5)) == choose_patients(client, 2, stream(5))

    def test_errors(self, client: ClientData) -> None:
        with pytest.raises(DataError, match=r"1 of 2 patients are not held by the client, first 'z'"):
            choose_patients(client, ("a", "z"), stream(0))
        with pytest.raises(DataError, match="cannot choose 4 patients: the client holds 3"):
            choose_patients(client, 4, stream(0))
        with pytest.raises(DataError, match="no patient named"):
            split_forget(client, ())
        with pytest.raises(DataError, match="not held"):
            split_forget(client, ("z",))
