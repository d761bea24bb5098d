"""A hospital's folder or npz becomes one clean npz, or an error that names the row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from afuic.config import Data, Partition
from afuic.data import federate, import_manifest, load, splits
from afuic.data.dataset import TEST, TRAIN, VAL
from afuic.data.images import digests
from afuic.errors import ConfigError, ManifestError
from afuic.identity import Scope
from afuic.rng import stream
from tests.data.conftest import Folder

HAM = Path(os.environ.get("AFUIC_HAM10000", Path(__file__).parents[3] / "shared" / "data" / "ham10000_28.npz"))


def fill(folder: Folder, patients: int = 20) -> Folder:
    """Two images of every patient, each of its own shade; classes and sites in turn."""
    for k in range(2 * patients):
        folder.add(5 * k, label=f"{k // 2 % 2}", site="north" if k < patients else "south", patient=f"p{k // 2}")
    return folder


def write(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def valid(n: int = 12) -> dict[str, Any]:
    images = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((n, 8, 8, 1), dtype=np.uint8)
    return {"images": images, "labels": np.arange(n) % 2, "split": np.arange(n) % 3}


def test_csv_to_npz_and_back(folder: Folder, tmp_path: Path) -> None:
    report = import_manifest(fill(folder).save(), tmp_path / "out.npz", name="ours", size=16)
    assert (report.name, report.patients, report.moved, report.original) == ("ours", 20, 0, (8, 8))
    assert report.sites == {"north": 20, "south": 20}
    assert sum(report.n.values()) == 40
    dataset = load(str(tmp_path / "out.npz"))
    assert dataset.images.shape == (40, 16, 16, 1)
    assert dataset.class_names == ("0", "1")
    assert dataset.images[3].max() == 15
    assert dataset.patient is not None
    for patient in set(dataset.patient.tolist()):
        assert len(set(dataset.split[dataset.patient == patient].tolist())) == 1


def test_a_word_for_unknown_is_no_patient(folder: Folder, tmp_path: Path) -> None:
    for k, patient in enumerate(["unknown", "NaN", "n/a", "?", "", "p0", "p0", "nana"] * 4):
        folder.add(5 * k, label=f"{k % 2}", site="north", patient=patient)
    assert import_manifest(folder.save(), tmp_path / "out.npz").patients == 2
    found = load(str(tmp_path / "out.npz")).patient
    assert found is not None
    assert sorted(set(found.tolist())) == ["", "nana", "p0"]


def test_labels_have_one_value_an_image(tmp_path: Path) -> None:
    for labels in (np.array(3), np.zeros((12, 2), dtype=np.int64)):
        with pytest.raises(ManifestError, match="there must be one for each image"):
            load(str(write(tmp_path / "odd.npz", **(valid() | {"labels": labels}))))


def test_the_licence_is_kept_with_the_set(folder: Folder, tmp_path: Path) -> None:
    import_manifest(fill(folder).save(), tmp_path / "out.npz", licence="CC BY-NC 4.0")
    assert load(str(tmp_path / "out.npz")).licence == "CC BY-NC 4.0"
    import_manifest(write(tmp_path / "in.npz", **valid(), licence="CC0"), tmp_path / "from.npz")
    assert load(str(tmp_path / "from.npz")).licence == "CC0"


def test_the_same_source_gives_the_same_bytes(folder: Folder, tmp_path: Path) -> None:
    source = fill(folder).save()
    for name in ("a.npz", "b.npz"):
        import_manifest(source, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz", "hospital"]


def test_colour_is_kept_and_classes_are_sorted(folder: Folder, tmp_path: Path) -> None:
    for k in range(30):
        folder.add(8 * k, shape=(8, 8, 3), label=("wart", "mole")[k % 2])
    import_manifest(folder.save(), tmp_path / "out.npz")
    dataset = load(str(tmp_path / "out.npz"))
    assert dataset.images.shape[1:] == (28, 28, 3)
    assert dataset.class_names == ("mole", "wart")
    assert dataset.labels[:2].tolist() == [1, 0]
    assert dataset.patient is None


@pytest.mark.parametrize("label", ["", "unknown", "NaN", " "])
def test_blank_and_unknown_labels_are_refused(folder: Folder, tmp_path: Path, label: str) -> None:
    folder.add(1, label="a")
    folder.add(2, label=label)
    with pytest.raises(ManifestError, match=r"1 of 2 labels are blank or unknown, first row 2"):
        import_manifest(folder.save(), tmp_path / "out.npz")


@pytest.mark.parametrize(("row", "many"), [("b.png,x,Bern, Insel,p2", "more"), ("b.png,x,Bern", "fewer")])
def test_rows_of_another_length_would_shift_columns_and_are_refused(tmp_path: Path, row: str, many: str) -> None:
    source = tmp_path / "m.csv"
    source.write_text(f"image,label,site,patient\na.png,y,Genf,p1\n{row}\n")
    with pytest.raises(ManifestError, match=f"line 3 has {many} cells than the header"):
        import_manifest(source, tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_missing_files_are_listed(folder: Folder, tmp_path: Path) -> None:
    for k in range(6):
        folder.add(k, label="a", write=k < 2)
    with pytest.raises(ManifestError, match=r"4 of 6 image files are missing, first '2.png', '3.png', '4.png'"):
        import_manifest(folder.save(), tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_missing_columns_are_named(tmp_path: Path) -> None:
    source = tmp_path / "m.csv"
    source.write_text("image,diagnosis\na.png,x\n")
    with pytest.raises(ManifestError, match=r"no column 'label' in its header \(image, diagnosis\)"):
        import_manifest(source, tmp_path / "out.npz")
    source.write_text("")
    with pytest.raises(ManifestError, match="no column 'image', 'label' in its header"):
        import_manifest(source, tmp_path / "out.npz")
    source.write_text("image,label\n")
    with pytest.raises(ManifestError, match="no rows"):
        import_manifest(source, tmp_path / "out.npz")
    with pytest.raises(ManifestError, match="cannot be read"):
        import_manifest(tmp_path / "absent.csv", tmp_path / "out.npz")


def test_ragged_sizes_are_refused(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, label="a")
    folder.add(2, label="a", shape=(9, 8))
    with pytest.raises(ManifestError, match=r"2 different shapes \(1 of 8 × 8 × 1, 1 of 9 × 8 × 1\)"):
        import_manifest(folder.save(), tmp_path / "out.npz")


def test_files_that_are_no_8_bit_images_are_refused(folder: Folder, tmp_path: Path) -> None:
    folder.add(1, label="a")
    (folder.root / "0.png").write_bytes(b"no picture")
    with pytest.raises(ManifestError, match=r"0\.png: not a readable image"):
        import_manifest(folder.save(), tmp_path / "out.npz")
    Image.fromarray(np.full((8, 8), 4000, dtype=np.uint16)).save(folder.root / "0.png")
    with pytest.raises(ManifestError, match="more than 8 bits"):
        import_manifest(folder.save(), tmp_path / "out.npz")


def test_shares_and_paths_are_checked(folder: Folder, tmp_path: Path) -> None:
    source = fill(folder).save()
    with pytest.raises(ConfigError, match="give shares"):
        import_manifest(source, tmp_path / "out.npz", val=0.5, test=0.5)
    with pytest.raises(ConfigError, match="give shares"):
        import_manifest(source, tmp_path / "out.npz", val=float("nan"))
    with pytest.raises(ConfigError, match="overwrite its source"):
        import_manifest(source, source)


class TestDuplicates:
    def test_without_given_splits_copies_stay_together(self, folder: Folder, tmp_path: Path) -> None:
        for k in range(60):
            folder.add(k % 30, label="ab"[k % 2])
        import_manifest(folder.save(), tmp_path / "out.npz")
        dataset = load(str(tmp_path / "out.npz"))
        for split in (TRAIN, VAL, TEST):
            inside, outside = (set(digests(dataset.images[mask])) for mask in (dataset.split == split, dataset.split != split))
            assert not inside & outside

    def test_across_given_splits_are_refused_without_patients(self, folder: Folder, tmp_path: Path) -> None:
        for shade, split in ((1, "train"), (2, "train"), (1, "test"), (3, "val")):
            folder.add(shade, label="a", split=split)
        with pytest.raises(ManifestError, match=r"2 images without a patient have exact duplicates .* first row 0"):
            import_manifest(folder.save(), tmp_path / "out.npz")

    def test_across_given_splits_move_with_their_patients(self, folder: Folder, tmp_path: Path) -> None:
        # p's image of shade 1 is in test as well: p's two images in train move there; r stays in train
        for shade, patient, split in ((1, "p", "train"), (2, "p", "train"), (1, "p", "test"), (3, "r", "train")):
            folder.add(shade, label="ab"[shade == 3], patient=patient, split=split)
        report = import_manifest(folder.save(), tmp_path / "out.npz")
        assert report.moved == 2
        assert load(str(tmp_path / "out.npz")).split.tolist() == [TEST, TEST, TEST, TRAIN]

    def test_a_single_class_is_refused(self, folder: Folder, tmp_path: Path) -> None:
        for shade in range(20):
            folder.add(shade, label="a")
        with pytest.raises(ManifestError, match="every label is 'a'; a classifier needs at least two classes"):
            import_manifest(folder.save(), tmp_path / "out.npz")
        assert not (tmp_path / "out.npz").exists()

    def test_if_all_images_are_copies_there_is_nothing_to_split(self, folder: Folder, tmp_path: Path) -> None:
        for _ in range(10):
            folder.add(1, label="a")
        with pytest.raises(ManifestError, match="no image came into"):
            import_manifest(folder.save(), tmp_path / "out.npz")

    def test_a_split_of_another_name_is_refused(self, folder: Folder, tmp_path: Path) -> None:
        folder.add(1, label="a", split="holdout")
        with pytest.raises(ManifestError, match="split holds 'holdout'"):
            import_manifest(folder.save(), tmp_path / "out.npz")


@given(
    pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12)), min_size=1, max_size=60),
    val=st.floats(0, 0.3),
    test=st.floats(0.1, 0.5),
    seed=st.integers(0, 99),
)
def test_no_split_tears_a_patient_or_an_image_apart(pairs: list[tuple[int, int]], val: float, test: float, seed: int) -> None:
    patients = np.array([f"p{patient}" if patient else "" for patient, _ in pairs])
    keys = [bytes([image]) for _, image in pairs]
    group = splits.groups(patients, keys)
    split = splits.assign(group, np.zeros(len(pairs), dtype=np.int64), val, test, stream(seed)).tolist()
    for column in (keys, [patient or row for row, patient in enumerate(patients.tolist())]):
        sides: dict[object, set[int]] = {}
        for key, side in zip(column, split, strict=True):
            sides.setdefault(key, set()).add(side)
        assert all(len(found) == 1 for found in sides.values())


def test_strata_are_split_in_proportion() -> None:
    # 100 groups of one image in each of two strata: (i + 1/2) / 100 < 0.2 for i <= 19, < 0.3 for i <= 29
    strata = np.repeat(np.arange(2), 100)
    split = splits.assign(np.arange(200), strata, 0.1, 0.2, stream(0))
    for stratum in range(2):
        assert np.bincount(split[strata == stratum]).tolist() == [70, 10, 20]


class TestNpz:
    def test_foreign_layout_with_lesions_and_words(self, tmp_path: Path) -> None:
        arrays = valid(40) | {"lesion_id": [f"l{k // 4}" for k in range(40)], "labels": np.array(["x", "y"] * 20)}
        del arrays["split"]
        report = import_manifest(write(tmp_path / "in.npz", **arrays), tmp_path / "out.npz", size=8)
        assert report.patients == 10
        assert report.class_names == ("x", "y")
        assert report.n["test"] == 8

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"images": np.zeros((12, 8, 8, 1))}, "must be uint8"),
            ({"images": np.zeros((12, 8, 8, 2), dtype=np.uint8)}, "1 or 3 channels"),
            ({"images": np.zeros((0, 8, 8, 1), dtype=np.uint8), "labels": np.zeros(0, dtype=int)}, "no images"),
            ({"labels": np.arange(11) % 2}, "labels has shape"),
            ({"labels": np.full(12, 0.5)}, "must be integers"),
            ({"labels": np.full(12, -1)}, "12 labels are negative, first -1"),
            ({"labels": np.arange(12) % 3, "class_names": np.array(["a", "b"])}, "4 labels are not among the 2 classes"),
            ({"split": np.full(12, 3)}, "split holds"),
            ({"site": np.array([""] + ["a"] * 11)}, "1 of 12 sites are blank or unknown, first row 0"),
            ({"patient": np.array(["p"] * 12)}, "1 patients are in more than one split, first 'p'"),
            ({"images": np.array([np.zeros((2, 2)), np.zeros((3, 3))], dtype=object)}, "Python objects"),
        ],
    )
    def test_load_names_what_is_wrong(self, tmp_path: Path, change: dict[str, Any], message: str) -> None:
        path = write(tmp_path / "bad.npz", **valid() | change)
        with pytest.raises(ManifestError, match=message) as caught:
            load(str(path))
        assert "bad.npz" in str(caught.value)

    def test_missing_arrays_and_broken_files(self, tmp_path: Path) -> None:
        arrays = valid()
        del arrays["split"]
        with pytest.raises(ManifestError, match=r"no array 'split' .* 'afuic data import'"):
            load(str(write(tmp_path / "raw.npz", **arrays)))
        whole = write(tmp_path / "whole.npz", **valid()).read_bytes()
        (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ManifestError, match="not an npz file, or cut off"):
            load(str(tmp_path / "half.npz"))
        (tmp_path / "text.npz").write_text("hello")
        with pytest.raises(ManifestError, match="not an npz file, or cut off"):
            load(str(tmp_path / "text.npz"))

    def test_flipped_bytes_never_pass_as_data(self, tmp_path: Path) -> None:
        whole = bytearray(write(tmp_path / "whole.npz", **valid()).read_bytes())
        whole[300] ^= 0xFF
        (tmp_path / "flipped.npz").write_bytes(whole)
        with pytest.raises(ManifestError, match="not a readable npz"):
            load(str(tmp_path / "flipped.npz"))


@pytest.mark.skipif(not HAM.is_file(), reason=f"HAM10000 is not at {HAM}; set AFUIC_HAM10000 to the npz")
@pytest.mark.parametrize(("scope", "patients", "moved"), [("global", 7470, True), ("site", 7479, False)])
def test_ham10000_by_site(tmp_path: Path, scope: Scope, patients: int, moved: bool) -> None:
    """Nine lesions were taken at two sites: 7470 of them where a lesion's id means the same everywhere."""
    report = import_manifest(HAM, tmp_path / "ham.npz", scope=scope)
    assert report.sites == {"rosendahl": 2259, "vidir_modern": 3363, "vidir_molemax": 3954, "vienna_dias": 439}
    assert (report.patients, report.at_several_sites) == (patients, 9)
    assert sum(report.n.values()) == 10015
    assert report.ignored == ("flamby_center", "flamby_fold", "image_id")
    assert report.sides == ("flamby_fold",)
    federation = federate(load(str(tmp_path / "ham.npz")), Data(partition=Partition(kind="site"), calibration=500), 0)
    assert tuple(federation.clients) == tuple(report.sites)
    assert bool(federation.dropped["train_moved_site"]) == moved
    held = [set(client.patients) for client in federation.clients.values()]
    twice = sum(map(len, held)) - len(set.union(*held))
    assert twice == 0 if moved else 0 < twice <= 9
    shares = np.bincount(federation.test.client) / np.array(list(report.sites.values()))
    assert np.abs(shares - 0.2).max() < 0.01
