"""Whatever way a set comes in, nobody becomes somebody else: patients, classes, sites, columns, copies."""

from __future__ import annotations

import csv
import unicodedata
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from afuic import config as settings
from afuic.config import Data, Partition
from afuic.data import federate, import_manifest, load
from afuic.data.dataset import TRAIN
from afuic.data.npz import read_dataset, write_dataset
from afuic.data.tables import read_ids
from afuic.engines.laboratory import prepare
from afuic.errors import ConfigError, DataError, ManifestError
from afuic.evaluate.results import repairs
from afuic.identity import likeness

Entrance = Callable[..., Path]
N = 40


def columns(**given: Sequence[Any]) -> dict[str, list[Any]]:
    """``N`` pictures' columns: two classes in turn, unless said otherwise."""
    return {"label": ["ab"[k % 2] for k in range(N)], **{key: v if isinstance(v, str) else list(v) for key, v in given.items()}}


def pictures(copies: dict[int, int] | None = None) -> np.ndarray[Any, Any]:
    images = np.random.default_rng(0).integers(0, 256, (N, 28, 28), dtype=np.uint8)
    for target, source in (copies or {}).items():
        images[target] = images[source]
    return images


def as_csv(folder: Path, copies: dict[int, int] | None = None, **given: Sequence[Any]) -> Path:
    """The pictures as PNG files with a csv."""
    table = {"image": [f"{k}.png" for k in range(N)], **columns(**given)}
    for k, image in enumerate(pictures(copies)):
        Image.fromarray(image).save(folder / f"{k}.png")
    with (folder / "set.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return folder / "set.csv"


def as_npz(folder: Path, copies: dict[int, int] | None = None, **given: Sequence[Any]) -> Path:
    """The pictures as an npz of arrays, for the import."""
    arrays = {("labels" if key == "label" else key): np.array(values) for key, values in columns(**given).items()}
    np.savez(folder / "set.npz", images=pictures(copies), **arrays)
    return folder / "set.npz"


def bring_in(source: Path) -> Path:
    import_manifest(source, source.parent / "out.npz", val=0.2)
    return source.parent / "out.npz"


def by_hand(source: Path) -> Path:
    """An npz in afuic's layout that no import has seen."""
    arrays = dict(np.load(source))
    split = np.zeros(N, dtype=np.uint8) if "patient" in arrays else np.arange(N) % 3
    np.savez(source, **{"split": split, **arrays})
    read_dataset(source)
    return source


ENTRANCES = {
    "csv": lambda folder, **given: bring_in(as_csv(folder, **given)),
    "npz": lambda folder, **given: bring_in(as_npz(folder, **given)),
    "own layout": lambda folder, **given: by_hand(as_npz(folder, **given)),
}


@pytest.fixture(params=ENTRANCES)
def entrance(request: pytest.FixtureRequest) -> Entrance:
    found: Entrance = ENTRANCES[request.param]
    return found


def spelt(one: str, other: str) -> list[str]:
    """A column with ``one`` and ``other`` in it, in turn with others."""
    return [(one, "q", other, "r")[k // 2 % 4] for k in range(N)]


SPELLINGS = [
    ("7", "007"), ("7", "7.0"), ("07", "7"), ("p7", "P7"), ("p7", "p07"), ("p 7", "p7"), ("p  7", "p 7"), ("p\u00a07", "p 7"),
    ("p\u200b7", "p7"),
    ("M\u00fcller", unicodedata.normalize("NFD", "M\u00fcller")), ("M\u00dcLLER", "m\u00fcller"), ("p\u20137", "p-7"), ("\uff17", "7"),
]  # fmt: skip


class TestSpellings:
    @pytest.mark.parametrize(("one", "other"), SPELLINGS)
    @pytest.mark.parametrize("column", ["patient", "site", "label"])
    def test_of_one_name_are_refused(self, entrance: Entrance, tmp_path: Path, column: str, one: str, other: str) -> None:
        with pytest.raises(ManifestError, match=r"1 (patients|sites|labels) are written in more than one way, first '"):
            entrance(tmp_path, **{column: spelt(one, other)})
        assert not (tmp_path / "out.npz").exists()

    def test_at_two_sites_are_two_patients(self, entrance: Entrance, tmp_path: Path) -> None:
        site = ["north" if k < N // 2 else "south" for k in range(N)]
        patient = [f"{k // 2}" if k < N // 2 else f"00{(k - N // 2) // 2}" for k in range(N)]
        found = load(str(entrance(tmp_path, site=site, patient=patient))).patient
        assert found is not None
        assert len(set(found.tolist())) == 20

    @pytest.mark.parametrize("column", ["patient", "site", "label"])
    def test_composed_letters_are_what_is_kept(self, entrance: Entrance, tmp_path: Path, column: str) -> None:
        path = entrance(tmp_path, **{column: spelt(" Mu\u0308ller ", "Weiss")})
        dataset = load(str(path))
        found = {"patient": dataset.patient, "site": dataset.site, "label": np.array(dataset.class_names)}[column]
        assert found is not None
        assert "M\u00fcller" in found.tolist()

    @pytest.mark.parametrize("text", ["p\u200b1", "p1\u200b", "\u202ep1", "p\u00ad1", "p\u20281", "p\x071"])
    @pytest.mark.parametrize("column", ["patient", "site", "label"])
    def test_with_what_nobody_sees_are_refused(self, entrance: Entrance, tmp_path: Path, column: str, text: str) -> None:
        with pytest.raises(ManifestError, match=r"holds U\+.*, which nobody sees"):
            entrance(tmp_path, **{column: spelt(text, "other")})

    def test_class_names_of_an_npz_are_held_to_the_same(self, entrance: Entrance, tmp_path: Path) -> None:
        for names, said in (
            (("Benign", "benign"), "more than one way"),
            (("a", "a"), "1 classes have a name twice, first 'a'"),
            (("a", " a"), "1 classes have a name twice, first 'a'"),
            (("a", ""), "1 of 2 classes are blank or unknown, first class 1"),
            (("a", "None"), "1 of 2 classes are blank or unknown, first class 1"),
            (("a", "b\u200b"), "which nobody sees"),
        ):
            if entrance is ENTRANCES["csv"]:
                pytest.skip("a csv has no class_names")
            with pytest.raises(ManifestError, match=said):
                entrance(tmp_path, label=np.arange(N) % 2, class_names=np.array(names))


WORDS = [
    "None",
    "<NA>",
    "#N/A",
    "NaT",
    "-",
    "nan",
    "NULL",
    "n/a",
    "unknown",
    "?",
    "",
    " ",
    "N.A.",
    "--",
    "\u2013",
    "(null)",
    "\\N",
    "#REF!",
    "\u200b",
]


class TestMissing:
    @pytest.mark.parametrize("word", WORDS)
    def test_a_patient_is_unknown(self, entrance: Entrance, tmp_path: Path, word: str) -> None:
        patient = [f"p{k // 8}" if k % 2 else word for k in range(N)]
        path = entrance(tmp_path, patient=patient)
        found = load(str(path)).patient
        assert found is not None
        assert sorted(set(found.tolist())) == ["", "p0", "p1", "p2", "p3", "p4"]

    @pytest.mark.parametrize("word", WORDS)
    @pytest.mark.parametrize("column", ["site", "label"])
    def test_a_site_or_class_is_refused(self, entrance: Entrance, tmp_path: Path, column: str, word: str) -> None:
        values = [word if k % 8 == 3 else "ab"[k % 2] for k in range(N)]
        with pytest.raises(ManifestError, match=rf"5 of 40 {column}s are blank or unknown, first row (4, line 5|3) \("):
            entrance(tmp_path, **{column: values})

    def test_numbers_with_gaps_are_whole_again(self, tmp_path: Path) -> None:
        found = load(str(bring_in(as_npz(tmp_path, patient=[k // 4 if k % 4 else np.nan for k in range(N)])))).patient
        assert found is not None
        assert set(found.tolist()) == {"", *map(str, range(10))}
        with pytest.raises(ManifestError, match="patient holds fractions"):
            import_manifest(as_npz(tmp_path, patient=[0.5] * N), tmp_path / "other.npz")

    @pytest.mark.parametrize(("kind", "first"), [(np.float32, 2**24), (np.float16, 2**11), (np.float64, 2**53)])
    def test_numbers_that_their_kind_cannot_tell_apart_are_refused(
        self, entrance: Entrance, tmp_path: Path, kind: Any, first: int
    ) -> None:
        if entrance is ENTRANCES["csv"]:
            pytest.skip("a csv holds texts")
        with pytest.raises(ManifestError, match="patient holds fractions, or numbers too large to be exact; save it as text"):
            entrance(tmp_path, patient=np.array([first + k // 4 for k in range(N)]).astype(kind))


class TestBytes:
    """Texts that were saved as bytes."""

    @pytest.mark.parametrize("column", ["patient", "site", "label"])
    def test_are_read_as_utf8(self, entrance: Entrance, tmp_path: Path, column: str) -> None:
        if entrance is ENTRANCES["csv"]:
            pytest.skip("a csv is text")
        dataset = load(str(entrance(tmp_path, **{column: [value.encode() for value in spelt("M\u00fcller", "Weiss")]})))
        found = {"patient": dataset.patient, "site": dataset.site, "label": np.array(dataset.class_names)}[column]
        assert found is not None
        assert set(found.tolist()) == {"M\u00fcller", "Weiss", "q", "r"}

    @pytest.mark.parametrize("column", ["patient", "site", "label", "class_names", "licence"])
    def test_of_another_encoding_are_refused(self, entrance: Entrance, tmp_path: Path, column: str) -> None:
        if entrance is ENTRANCES["csv"]:
            pytest.skip("a csv is text")
        with pytest.raises(ManifestError, match=r"holds bytes that are not UTF-8 .*; save it as text"):
            entrance(tmp_path, **{"label": np.arange(N) % 2, column: ["M\u00fcller".encode("latin-1")] * N})

    def test_name_classes_and_the_set(self, entrance: Entrance, tmp_path: Path) -> None:
        if entrance is ENTRANCES["csv"]:
            pytest.skip("a csv is text")
        given = {"class_names": [b"benign", b"malignant"], "licence": [b"CC BY"], "patient_scope": [b" global "]}
        dataset = load(str(entrance(tmp_path, label=np.arange(N) % 2, **given)))
        assert dataset.class_names == ("benign", "malignant")
        assert (dataset.licence, dataset.patient_scope) == ("CC BY", "global")

    def test_several_for_the_whole_set_are_refused(self, entrance: Entrance, tmp_path: Path) -> None:
        if entrance is ENTRANCES["csv"]:
            pytest.skip("a csv has none")
        with pytest.raises(ManifestError, match="licence holds 2 entries; it is of the whole set"):
            entrance(tmp_path, licence=["CC BY", "CC0"])


def test_lesions_are_patients_whatever_made_the_file(entrance: Entrance, tmp_path: Path) -> None:
    if entrance is ENTRANCES["csv"]:
        pytest.skip("a csv has none")
    source = {"lesion_id": [f"p{k // 4}" for k in range(N)], "split": [0] * 32 + [2] * 8}
    found = load(str(entrance(tmp_path, **source))).patient
    assert found is not None
    assert len(set(found.tolist())) == 10
    with pytest.raises(ManifestError, match="in more than one split"):
        by_hand(as_npz(tmp_path, lesion_id=[f"p{k % 4}" for k in range(N)], split=[0] * 32 + [2] * 8))


@pytest.mark.parametrize(
    ("more", "why"), [({"labels.npy": b"garbage"}, "'labels' is in it twice"), ({"note": b"x"}, "'note' in it is no array")]
)
def test_an_npz_with_odd_members_is_refused(tmp_path: Path, more: dict[str, bytes], why: str) -> None:
    source = as_npz(tmp_path, label=np.arange(N) % 2)
    with zipfile.ZipFile(source, "a") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in more.items():
            file.writestr(name, file.read(name) if name in file.namelist() else content)
    with pytest.raises(ManifestError, match=f"{why}; save the arrays anew"):
        import_manifest(source, tmp_path / "out.npz")


def test_a_path_that_no_file_system_takes_is_a_missing_image(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text(f"image,label\n{'x' * 300}.png,a\n")
    with pytest.raises(ManifestError, match="1 of 1 image files are missing"):
        import_manifest(tmp_path / "set.csv", tmp_path / "out.npz")


class TestLabels:
    def test_negative_codes_are_refused(self, entrance: Entrance, tmp_path: Path) -> None:
        if entrance is ENTRANCES["csv"]:
            pytest.skip("in a csv a label is a name")
        with pytest.raises(ManifestError, match=r"20 labels are negative, first -1 \(row 0\)"):
            entrance(tmp_path, label=np.arange(N) % 2 - 1)

    @pytest.mark.parametrize("codes", [(10011, 20345), (1, 2), (1, 3), (7, 100000)])
    def test_codes_become_the_classes_names(self, entrance: Entrance, tmp_path: Path, codes: tuple[int, int]) -> None:
        dataset = load(str(entrance(tmp_path, label=[codes[k % 2] for k in range(N)])))
        assert dataset.class_names == tuple(map(str, codes))
        assert dataset.labels.tolist() == [k % 2 for k in range(N)]

    def test_words_are_looked_up_in_class_names(self, tmp_path: Path) -> None:
        dataset = load(str(by_hand(as_npz(tmp_path, class_names=["b", "a", "c"]))))
        assert dataset.class_names == ("b", "a", "c")
        assert dataset.labels[:2].tolist() == [1, 0]
        with pytest.raises(ManifestError, match=r"the label 'b' .* is not among class_names"):
            by_hand(as_npz(tmp_path, class_names=["a", "c"]))

    def test_classes_without_an_image_are_told(self, tmp_path: Path) -> None:
        source = as_npz(tmp_path, label=np.arange(N) % 2, class_names=["a", "b", "c"])
        assert import_manifest(source, tmp_path / "out.npz").untaught == ("c",)


class TestHeadings:
    @pytest.mark.parametrize(
        "heading",
        ["Patient", "PATIENT", "patient_id", "PatientID", "pateint", "subject", "Split", "SPLIT", "Site", "hospital"],
    )
    def test_that_look_like_a_column_are_refused(self, entrance: Entrance, tmp_path: Path, heading: str) -> None:
        values = ["train", "test", "val", "train"] * (N // 4)
        with pytest.raises(ManifestError, match=rf"(column|array) '{heading}' is not read but looks like"):
            entrance(tmp_path, **{heading: values})
        assert not (tmp_path / "out.npz").exists()

    @pytest.mark.parametrize("make", [as_csv, as_npz])
    def test_unless_they_are_said_to_be_something_else(self, tmp_path: Path, make: Entrance) -> None:
        source = make(tmp_path, subject=["knee", "hip"] * (N // 2), age=["7"] * N)
        report = import_manifest(source, tmp_path / "out.npz", ignore=["subject"])
        assert report.ignored == ("subject", "age")
        assert load(str(report.path)).patient is None

    def test_of_a_split_under_another_name_are_told(self, tmp_path: Path) -> None:
        source = as_csv(tmp_path, fold_1=["train", "test"] * (N // 2), view=["a", "b"] * (N // 2))
        assert import_manifest(source, tmp_path / "out.npz").sides == ("fold_1",)

    @pytest.mark.parametrize("heading", ["label", "image", "patient", "note"])
    def test_that_occur_twice_are_refused(self, tmp_path: Path, heading: str) -> None:
        text = as_csv(tmp_path, patient=["p"] * N, note=["x"] * N).read_text().splitlines()
        (tmp_path / "set.csv").write_text("\n".join([f"{text[0]}, {heading} ", *(f"{line},y" for line in text[1:])]))
        with pytest.raises(ManifestError, match=f"2 columns are headed '{heading}'"):
            import_manifest(tmp_path / "set.csv", tmp_path / "out.npz")


class TestQuotes:
    @pytest.mark.parametrize("stray", [10, 0, 38])
    @pytest.mark.parametrize("closed", [39, None])
    def test_that_swallow_rows_are_refused(self, tmp_path: Path, stray: int, closed: int | None) -> None:
        comments = ["ok"] * N
        path = as_csv(tmp_path, comment=comments)
        lines = path.read_text().splitlines()
        lines[stray + 1] = lines[stray + 1].replace("ok", '"see report')
        if closed is not None:
            lines[closed + 1] = lines[closed + 1].replace("ok", 'ok"')
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(ManifestError, match=rf"line {stray + 2}\b"):
            import_manifest(path, tmp_path / "out.npz")

    @pytest.mark.parametrize("column", ["label", "site", "patient"])
    def test_within_a_cell_that_is_read_are_refused(self, tmp_path: Path, column: str) -> None:
        path = as_csv(tmp_path, **{column: ["x" if k % 2 else 'y"' for k in range(N)]})
        with pytest.raises(ManifestError, match=rf"line 2: {column} is 'y\"', with a quote in it"):
            import_manifest(path, tmp_path / "out.npz")

    def test_a_line_break_in_a_cell_is_refused_even_where_it_is_meant(self, tmp_path: Path) -> None:
        path = as_csv(tmp_path, comment=["a\nb", *["ok"] * (N - 1)])
        with pytest.raises(ManifestError, match=r"a quote is opened on line 2 and not closed on it"):
            import_manifest(path, tmp_path / "out.npz")

    @pytest.mark.parametrize(("sign", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
    def test_other_separators_are_named(self, tmp_path: Path, sign: str, word: str) -> None:
        path = as_csv(tmp_path)
        path.write_text(path.read_text().replace(",", sign))
        with pytest.raises(ManifestError, match=f"separated by {word}; save it as csv with commas"):
            import_manifest(path, tmp_path / "out.npz")

    @pytest.mark.parametrize(
        ("name", "kind"), [("a.xlsx", "an Excel workbook"), ("a.dcm", "a DICOM file"), ("a.nii.gz", "a compressed file")]
    )
    def test_other_files_are_named(self, tmp_path: Path, name: str, kind: str) -> None:
        (tmp_path / name).write_bytes(b"PK\x03\x04")
        with pytest.raises(ManifestError, match=kind):
            import_manifest(tmp_path / name, tmp_path / "out.npz")

    @pytest.mark.parametrize(
        ("name", "kind"), [("a.nii", "NIfTI"), ("a.NII.GZ", "NIfTI"), ("a.dcm", "DICOM"), ("a.nrrd", "NRRD")]
    )
    def test_volumes_among_the_images_are_named(self, tmp_path: Path, name: str, kind: str) -> None:
        (tmp_path / name).write_bytes(b"\x1f\x8b" + b"0" * 400)
        (tmp_path / "set.csv").write_text(f"image,label\n{name},a\n")
        with pytest.raises(ManifestError, match=f"{kind} is not supported by this import: export its slices as 8-bit PNG"):
            import_manifest(tmp_path / "set.csv", tmp_path / "out.npz")

    def test_rows_of_nothing_at_the_end_are_no_rows(self, tmp_path: Path) -> None:
        path = as_csv(tmp_path, site=["x", "y"] * (N // 2))
        path.write_text(path.read_text() + ",,\n\n , ,\n")
        assert sum(import_manifest(path, tmp_path / "out.npz").n.values()) == N


class TestCopies:
    @pytest.mark.parametrize("make", [as_csv, as_npz])
    def test_of_one_picture_under_two_patients_are_refused(self, tmp_path: Path, make: Entrance) -> None:
        for other in ("p9", "None"):
            patient = [f"p{k // 8}" for k in range(N)]
            patient[30] = other
            source = make(tmp_path, {30: 0}, patient=patient)
            with pytest.raises(
                ManifestError, match=r"1 images are byte for byte .* different patients, first row .*'p0'\) and row"
            ):
                import_manifest(source, tmp_path / "out.npz")

    @pytest.mark.parametrize("make", [as_csv, as_npz])
    def test_of_one_picture_under_two_labels_are_refused(self, tmp_path: Path, make: Entrance) -> None:
        with pytest.raises(ManifestError, match=r"different labels, first row .*'a'\) and row .*'b'\)"):
            import_manifest(make(tmp_path, {1: 0}), tmp_path / "out.npz")

    def test_of_one_patient_or_of_nobody_are_counted(self, tmp_path: Path) -> None:
        assert import_manifest(as_npz(tmp_path, {2: 0}), tmp_path / "a.npz").copies == 1
        assert import_manifest(as_npz(tmp_path, {2: 0}, patient=[k // 4 for k in range(N)]), tmp_path / "b.npz").copies == 1

    def test_at_another_site_are_counted_apart(self, tmp_path: Path) -> None:
        report = import_manifest(as_npz(tmp_path, {2: 0, 5: 3}, site=["north"] * 4 + ["south"] * (N - 4)), tmp_path / "out.npz")
        assert (report.copies, report.elsewhere) == (2, 1)

    def test_one_number_at_two_sites_is_two_owners(self, tmp_path: Path) -> None:
        site, patient = ["north", "south"] * (N // 2), [k // 4 for k in range(N)]
        label = ["ab"[k // 2 % 2] for k in range(N)]
        with pytest.raises(ManifestError, match=r"different patients, first row 0 \('north/0'\) and row 1 \('south/0'\)"):
            import_manifest(as_npz(tmp_path, {1: 0}, site=site, patient=patient, label=label), tmp_path / "out.npz")

    def test_are_refused_by_a_run_whatever_made_the_file(self, tmp_path: Path) -> None:
        path = as_npz(tmp_path, {2: 0}, patient=[f"p{k}" for k in range(N)], split=[2] * 8 + [0] * (N - 8))
        moved = load(str(path))
        federate(moved, Data(partition=Partition(kind="iid", clients=2, min_images=1), calibration=0), 0)
        path = as_npz(tmp_path, {12: 10}, patient=[f"p{k}" for k in range(N)], split=[2] * 8 + [0] * (N - 8))
        with pytest.raises(
            DataError, match=r"1 training images are another patient's as well, first row 10 \('p10'\) and row 12 \('p12'\)"
        ):
            federate(load(str(path)), Data(partition=Partition(kind="iid", clients=2, min_images=1), calibration=0), 0)


def three(folder: Path, **changes: Sequence[Any]) -> Path:
    """Three sites that number their own patients 0 to 6."""
    site = [("north", "south", "west")[k % 3] for k in range(N)]
    return as_npz(folder, **{"site": site, "patient": [k // 3 % 7 for k in range(N)], **changes})


BY_SITE = Data(partition=Partition(kind="site", min_images=1), calibration=0)


class TestScope:
    def test_numbers_of_a_site_are_its_own(self, tmp_path: Path) -> None:
        report = import_manifest(three(tmp_path), tmp_path / "out.npz", val=0)
        assert (report.patients, report.at_several_sites, report.patient_scope) == (21, 7, "site")
        dataset = load(str(report.path))
        federation = federate(dataset, BY_SITE, 0)
        assert not federation.dropped["train_moved_site"] | federation.dropped["test_moved_site"]
        assert dataset.site is not None
        for name, client in federation.clients.items():
            assert len(client) == int(((dataset.site == name) & (dataset.split == TRAIN)).sum())
            assert set(client.patients) <= set("0123456")

    @pytest.mark.parametrize("kind", ["iid", "patient", "dirichlet"])
    def test_two_people_of_one_number_at_one_hospital_have_two_names(self, tmp_path: Path, kind: str) -> None:
        dataset = load(str(import_manifest(three(tmp_path), tmp_path / "out.npz", val=0).path))
        partition = Partition.model_validate({"kind": kind, "clients": 2, "min_images": 1})
        clients = federate(dataset, Data(partition=partition, calibration=0), 0).clients
        held = [name for client in clients.values() for name in set(client.patients)]
        trained = dataset.split == TRAIN
        assert dataset.site is not None
        assert dataset.patient is not None
        people = set(zip(dataset.site[trained].tolist(), dataset.patient[trained].tolist(), strict=True))
        assert len(held) == len(people)
        assert any("/" in name for name in held)

    def test_a_set_or_a_configuration_can_declare_them_global(self, tmp_path: Path) -> None:
        report = import_manifest(three(tmp_path), tmp_path / "out.npz", val=0, scope="global")
        assert (report.patients, report.at_several_sites, report.patient_scope) == (7, 7, "global")
        dataset = load(str(report.path))
        assert dataset.patient_scope == "global"
        again = import_manifest(report.path, tmp_path / "again.npz")
        assert again.patient_scope == "global"
        assert import_manifest(report.path, tmp_path / "local.npz", scope="site").patients == 21

    def test_the_configuration_stands_above_the_set(self, tmp_path: Path) -> None:
        # 3 patients with images at two sites, all in train; the others are at one
        site = ["north" if k % 2 else "south" for k in range(N)]
        patient = [f"p{k // 4}" if k < 12 else f"{'ns'[k % 2]}{k // 4}" for k in range(N)]
        dataset = load(str(by_hand(as_npz(tmp_path, site=site, patient=patient, split=[0] * 28 + [2] * 12))))
        assert federate(dataset, BY_SITE, 0).dropped["train_moved_site"] == 0
        everywhere = federate(dataset, BY_SITE.model_copy(update={"patient_scope": "global"}), 0)
        assert everywhere.dropped["train_moved_site"] == 6
        assert len(repairs(dict.fromkeys(everywhere.dropped, 1))) == len(everywhere.dropped)
        assert any("6 training images count at another site than their own" in line for line in repairs(everywhere.dropped))

    def test_declared_global_too_late_it_is_refused(self, tmp_path: Path) -> None:
        dataset = load(str(import_manifest(three(tmp_path), tmp_path / "out.npz", val=0).path))
        with pytest.raises(ManifestError, match=r"patients are in more than one split"):
            federate(dataset, BY_SITE.model_copy(update={"patient_scope": "global"}), 0)

    def test_a_word_that_is_no_scope_is_refused(self, entrance: Entrance, tmp_path: Path) -> None:
        if entrance is ENTRANCES["csv"]:
            pytest.skip("a csv declares none")
        with pytest.raises(ManifestError, match=r"'everywhere' is not one; write site or global"):
            entrance(tmp_path, patient_scope="everywhere")

    def test_two_spellings_at_two_sites_are_two_names_at_one_hospital(self, tmp_path: Path) -> None:
        # north writes 7 and south 007: two people, whom no list of withdrawals may take for one
        site, patient = ["north", "south"] * (N // 2), [("7", "007")[k % 2] if k < 20 else f"p{k}" for k in range(N)]
        source = as_npz(tmp_path, site=site, patient=patient, split=[0] * 30 + [2] * 10, label=[k // 2 % 2 for k in range(N)])
        report = import_manifest(source, tmp_path / "out.npz")
        assert report.at_several_sites == 2
        config = Data(partition=Partition(kind="iid", clients=2, min_images=1), calibration=0)
        names = [set(client.patients) for client in federate(load(str(report.path)), config, 0).clients.values()]
        assert any({"north/7", "south/007"} <= held for held in names) or any({"7"} <= held for held in names)
        for held in names:
            assert len(set(map(likeness, held))) == len(held)

    @pytest.mark.parametrize("taken", ["i5", "I5", "i05"])
    def test_an_unknown_patient_never_has_anothers_name(self, tmp_path: Path, taken: str) -> None:
        patient = [taken if k < 4 else "" for k in range(N)]
        dataset = load(str(by_hand(as_npz(tmp_path, patient=patient))))
        clients = federate(
            _tested(dataset), Data(partition=Partition(kind="iid", clients=2, min_images=1), calibration=0), 0
        ).clients
        assert [likeness(name) for client in clients.values() for name in client.patients].count("i5") == 4


def _tested(dataset: Any) -> Any:
    return replace(dataset, split=np.repeat(np.array([0, 2], dtype=np.uint8), [N - 8, 8]))


class TestWriting:
    def test_a_file_is_overwritten_only_where_that_is_asked(self, tmp_path: Path) -> None:
        source, out = as_npz(tmp_path), tmp_path / "out.npz"
        out.write_bytes(b"mine")
        with pytest.raises(ConfigError, match=r"out\.npz: exists already; choose another file, or say --force"):
            import_manifest(source, out)
        assert out.read_bytes() == b"mine"
        import_manifest(source, out, force=True)
        assert len(load(str(out))) == N
        with pytest.raises(ConfigError, match="is a folder"):
            import_manifest(source, tmp_path, force=True)

    def test_what_is_written_is_what_is_read(self, tmp_path: Path) -> None:
        first = load(str(import_manifest(three(tmp_path), tmp_path / "out.npz", scope="global", val=0).path))
        write_dataset(first, tmp_path / "again.npz")
        again = load(str(tmp_path / "again.npz"))
        assert vars(again).keys() == vars(first).keys()
        for name, value in vars(first).items():
            assert np.array_equal(getattr(again, name), value)

    @pytest.mark.parametrize(("size", "run"), [(8, 16), (16, 16), (28, 28), (64, 64), (128, 64)])
    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"patient": [k // 4 for k in range(N)]},
            {"site": ["north", "south"] * (N // 2)},
            {"site": ["1", "2"] * (N // 2), "patient": [k // 4 for k in range(N)]},
            {"site": ["true"] * 10 + ["Haus 2"] * 30},
            {"site": ["only"] * N},
        ],
    )
    @pytest.mark.parametrize("name", ["out.npz", "my own set.npz", "12.npz"])
    def test_the_settings_for_a_run_can_be_planned(
        self, tmp_path: Path, size: int, run: int, given: dict[str, Any], name: str
    ) -> None:
        report = import_manifest(as_npz(tmp_path, **given), tmp_path / name, size=size)
        chosen = settings.load(None, report.run)
        assert chosen.data.name == str(tmp_path / name)
        assert chosen.data.size == run
        federation = prepare(chosen).federation
        assert chosen.requests[0].client in federation.clients
        assert chosen.training.batch <= max(map(len, federation.clients.values()))
        sites = set(given.get("site", ()))
        if len(sites) > 1:
            assert set(federation.clients) == sites

    def test_none_are_named_where_two_patients_pictures_become_one(self, tmp_path: Path) -> None:
        images = np.random.default_rng(0).integers(0, 256, (N, 16, 16), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
        images[1] = images[0]
        images[1, 0, 0] ^= 1
        arrays = {"labels": np.arange(N) % 2, "patient": np.arange(N), "split": [0] * 30 + [2] * 10}
        np.savez(tmp_path / "set.npz", images=images, **arrays)
        assert import_manifest(tmp_path / "set.npz", tmp_path / "out.npz", size=128).run == ()

    def test_without_validation_images_none_are_asked_for(self, tmp_path: Path) -> None:
        report = import_manifest(as_npz(tmp_path), tmp_path / "out.npz", val=0)
        assert "data.calibration=0" in report.run


class TestLists:
    """What a clerk writes when patients withdraw."""

    def listed(self, folder: Path, text: str) -> tuple[str, ...]:
        (folder / "ids.csv").write_text(text, encoding="utf-8")
        return read_ids(folder / "ids.csv")

    def test_ids_are_composed_and_trimmed(self, tmp_path: Path) -> None:
        assert self.listed(tmp_path, "\ufeffpatient,why\n Mu\u0308ller ,x\n7,y\n7,z\n") == ("M\u00fcller", "7")
        assert self.listed(tmp_path, "p1\n\np2\n") == ("p1", "p2")
        assert self.listed(tmp_path, "patient\np1,\n") == ("p1",)

    @pytest.mark.parametrize("word", [w for w in WORDS if w.strip()])
    def test_a_word_for_missing_is_no_patient(self, tmp_path: Path, word: str) -> None:
        with pytest.raises(ManifestError, match=r"line 3.* names no patient"):
            self.listed(tmp_path, f"patient\np1\n{word}\n")

    @pytest.mark.parametrize("heading", ["Patient", "patients", "patient_id", "Patient ID", "subject"])
    def test_a_heading_that_is_not_ours_is_no_patient(self, tmp_path: Path, heading: str) -> None:
        with pytest.raises(ManifestError, match=f"heading '{heading}' is not 'patient'"):
            self.listed(tmp_path, f"{heading}\np1\n")

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("patient,patient\np1,p2\n", "2 columns are headed 'patient'"),
            ("patient,Patient\np1,p2\n", "the column 'Patient' is not read but looks like 'patient'"),
            ("p7\np07\n", "more than one way"),
            ("p\u200b7\n", "which nobody sees"),
            ("patient;why\np1;x\n", "separated by semicolons"),
            ("p1;p2\n", "separated by semicolons"),
            ('p1\n"p2\np3\np4"\n', "a quote is opened on line 2"),
            ('p1\n"p2\n', "line 2"),
            ('p1\np"2\n', "line 2: 'p\"2' has a quote in it"),
            ("p1,p2\n", "several columns"),
            ("p1\np2,p3\n", "line 2: it has more cells than the first line"),
            ("patient\np1,p2\n", "line 2: it has more cells than the first line"),
            ("patient,why\np1,x,p2\n", "line 2: it has more cells than the first line"),
            ("", "no patient in it"),
            ("patient\n", "no patient in it"),
            ("patient,why\n,x\n", "line 2: no id in it"),
        ],
    )
    def test_what_is_not_sure_is_refused(self, tmp_path: Path, text: str, why: str) -> None:
        with pytest.raises(ManifestError, match=why):
            self.listed(tmp_path, text)


def test_a_request_names_its_hospital_in_either_of_unicodes_forms(tmp_path: Path) -> None:
    site = ["Mu\u0308nchen", "Berlin"] * (N // 2)
    report = import_manifest(as_npz(tmp_path, site=site, label=[k // 2 % 2 for k in range(N)]), tmp_path / "out.npz")
    for name in ("M\u00fcnchen", "Mu\u0308nchen"):
        chosen = settings.load(None, (*report.run, f"requests.0.client={name}"))
        assert chosen.requests[0].client in federate(load(str(report.path)), chosen.data, 0).clients
    chosen = settings.load(None, (*report.run, "requests.0.client=berlin"))
    with pytest.raises(ConfigError, match=r"'berlin' does not exist \(did you mean 'Berlin'\?\)"):
        prepare(chosen)
