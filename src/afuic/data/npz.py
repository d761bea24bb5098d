"""Reading and writing image sets as npz files, never with pickles.

afuic's own layout: ``images`` uint8 [n, h, w, c] or [n, h, w]; ``labels`` integers [n]; ``split`` integers [n] (0 train, 1 val, 2
test); optional strings ``site`` [n], ``patient`` [n] (empty where unknown), ``class_names`` [k] (else the labels that occur), and the
single strings ``name``, ``licence``, ``source`` and ``patient_scope`` (``site`` or ``global``, see ``identity``). MedMNIST's layout:
``train_images``, ``train_labels`` [n, 1] and so on for val and test.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from afuic.data.dataset import SPLITS, Bytes, Dataset, Ints, Strings, check, check_classes
from afuic.data.files import replacing
from afuic.data.registry import Entry
from afuic.errors import ConfigError, DataError, ManifestError
from afuic.identity import Place, Scope, filled, ignored_columns, names, quoted, scope_of
from afuic.text import normal

Arrays = Mapping[str, npt.NDArray[Any]]
COLUMNS = {
    "images": "image", "labels": "label", "site": "site", "patient": "patient", "lesion_id": "patient", "split": "split",
} | {name: name for name in ("class_names", "name", "licence", "source", "patient_scope")}  # fmt: skip
"""The arrays that are read, and as what."""
LARGEST_EXACT = 53
"""Bits of a whole number that every step up to here keeps; float32 keeps 24 and float16 11, so that ids above become one another."""


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an npz; ManifestError for a file that is none, is truncated, or holds Python objects."""
    try:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise ManifestError(f"{path}: not an npz file, or cut off; save the arrays with numpy.savez or get the file again")
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return _arrays({key: file[key] for key in file.files}, file.files, path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give the path of an npz made by 'afuic data import'") from None
    except (ValueError, EOFError, OSError, KeyError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ManifestError(
            f"{path}: not a readable npz of plain arrays ({error}); images of different sizes or Python objects cannot be read, "
            f"so save one uint8 array"
        ) from error


def _arrays(found: dict[str, Any], listed: Sequence[str], path: Path) -> dict[str, npt.NDArray[Any]]:
    """What was found; ManifestError where some of it is no array (numpy gives its bytes), or a name is there twice (it gives the last)."""
    odd = [name for name, value in found.items() if not isinstance(value, np.ndarray)]
    twice = [name for name, times in Counter(listed).items() if times > 1]
    if odd or twice:
        what = f"{quoted(odd[0])} in it is no array" if odd else f"{quoted(twice[0])} is in it twice"
        raise ManifestError(f"{path}: {what}; save the arrays anew with numpy.savez")
    return found


def read_dataset(path: Path) -> Dataset:
    """A set in afuic's own layout; ManifestError naming the file and what is wrong in it."""
    arrays = read_arrays(path)
    require(arrays, ("images", "labels", "split"), path, "bring the file into shape with 'afuic data import'")
    ignored_columns(list(arrays), COLUMNS, str(path), what="array")
    named, labels = classes(arrays, path)
    site = sites(strings(arrays, "site", path), str(path), row)
    scope = patient_scope(arrays, path) or "site"
    dataset = Dataset(
        name=text(arrays, "name", path) or path.stem,
        images=with_channels(arrays["images"]),
        labels=labels,
        split=_codes(arrays["split"], path),
        site=site,
        patient=patients(owners(arrays, path), site, scope, str(path), row),
        class_names=named,
        licence=text(arrays, "licence", path) or "unknown",
        source=text(arrays, "source", path) or str(path),
        patient_scope=scope,
    )
    return check(dataset, str(path))


def read_medmnist(path: Path, entry: Entry) -> Dataset:
    """A set in MedMNIST's layout, with the names and the licence of its entry."""
    arrays = read_arrays(path)
    require(
        arrays, [f"{name}_{kind}" for name in SPLITS for kind in ("images", "labels")], path, "delete it to download it again"
    )
    split = np.repeat(np.arange(3, dtype=np.uint8), [len(arrays[f"{name}_labels"]) for name in SPLITS])
    dataset = Dataset(
        name=entry.name,
        images=with_channels(np.concatenate([arrays[f"{name}_images"] for name in SPLITS])),
        labels=np.concatenate([arrays[f"{name}_labels"].reshape(-1) for name in SPLITS]).astype(np.int64),
        split=split,
        site=None,
        patient=None,
        class_names=entry.classes,
        licence=entry.licence,
        source="MedMNIST v3, Zenodo record 10519652",
    )
    return check(dataset, str(path))


def write_dataset(dataset: Dataset, path: Path) -> None:
    """Write a set in afuic's own layout: whole or not at all; the same set gives the same bytes."""
    arrays: dict[str, Any] = {"images": dataset.images, "labels": dataset.labels, "split": dataset.split}
    arrays |= {key: column for key in ("site", "patient") if (column := getattr(dataset, key)) is not None}
    arrays["class_names"] = np.array(dataset.class_names, dtype=np.str_)
    arrays |= {key: np.array(getattr(dataset, key), dtype=np.str_) for key in ("name", "licence", "source")}
    if dataset.patient_scope != "site":
        arrays["patient_scope"] = np.array(dataset.patient_scope, dtype=np.str_)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def require(arrays: Arrays, names: tuple[str, ...] | list[str], path: Path, advice: str) -> None:
    """ManifestError unless all the named arrays are there."""
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ManifestError(f"{path}: no array {', '.join(map(repr, missing))} among {sorted(arrays)}; {advice}")


def with_channels(images: npt.NDArray[Any]) -> Bytes:
    """Images with a last axis for the channels, added where grey images have none; what they are made of is checked later."""
    return images[..., None] if images.ndim == 3 else images


def whole_numbers(values: npt.NDArray[Any], what: str, path: Path) -> Ints:
    """Integers as int64 [n], from [n] or [n, 1]; ManifestError for any other kind."""
    if values.dtype.kind not in "iu":
        raise ManifestError(f"{path}: {what} are {values.dtype}; they must be integers")
    return _one_each(values, what, path).astype(np.int64)


def _one_each(values: npt.NDArray[Any], what: str, path: Path) -> npt.NDArray[Any]:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ManifestError(f"{path}: {what} have the shape {list(values.shape)}; there must be one for each image")
    return values


def strings(arrays: Arrays, name: str, path: Path) -> Strings | None:
    """An array as strings, or None where there is none: bytes are UTF-8, whole numbers are written as such, NaN as nothing."""
    if name not in arrays:
        return None
    values = arrays[name].reshape(-1)
    if values.dtype.kind == "f":
        return _of_floats(values, name, path)
    if values.dtype.kind == "S":
        return _of_bytes(values, name, path)
    if values.dtype.kind not in "Uiu":
        raise ManifestError(f"{path}: {name} holds {values.dtype}; save texts or whole numbers")
    return values.astype(np.str_)


def _of_floats(values: npt.NDArray[Any], name: str, path: Path) -> Strings:
    """Numbers that a table with gaps has made floating-point: 7.0 is 7 again."""
    known, exact = ~np.isnan(values), 2 ** min(np.finfo(values.dtype).nmant + 1, LARGEST_EXACT)
    if (np.abs(values[known]) >= exact).any() or (values[known] != np.rint(values[known])).any():
        raise ManifestError(f"{path}: {name} holds fractions, or numbers too large to be exact; save it as text")
    out: Strings = np.where(known, np.where(known, values, 0).astype(np.int64).astype(np.str_), "")
    return out


def _of_bytes(values: npt.NDArray[Any], name: str, path: Path) -> Strings:
    try:
        return np.array([value.decode() for value in values.tolist()], dtype=np.str_)
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: {name} holds bytes that are not UTF-8 ({error}); save it as text") from None


def owners(arrays: Arrays, path: Path) -> Strings | None:
    """The patients' ids as the file has them, in ``patient`` or else in ``lesion_id``."""
    return strings(arrays, "patient" if "patient" in arrays else "lesion_id", path)


def row(number: int) -> str:
    """Where an entry of an array is."""
    return f"row {number}"


def sites(values: Strings | None, where: str, place: Place) -> Strings | None:
    """The hospitals' names in their normal form; ManifestError where one is missing or written in two ways."""
    if values is None:
        return None
    found = filled(values.tolist(), "sites", where, place, "fill them in or leave sites out")
    return np.array(found, dtype=np.str_)


def patients(values: Strings | None, site: Strings | None, scope: Scope, where: str, place: Place) -> Strings | None:
    """The patients' ids in their normal form, empty where a word says that the patient is unknown: such images are of as many patients."""
    if values is None:
        return None
    within = None if site is None or scope == "global" or len(site) != len(values) else site.tolist()
    return np.array(names(values.tolist(), "patients", where, place, within), dtype=np.str_)


def patient_scope(arrays: Arrays, path: Path) -> Scope | None:
    """What the file declares of its patients' ids, if anything."""
    try:
        return scope_of(text(arrays, "patient_scope", path)) if "patient_scope" in arrays else None
    except ConfigError as error:
        raise ManifestError(f"{path}: {error}") from None


def text(arrays: Arrays, name: str, path: Path) -> str:
    """A single string in its normal form, empty where there is none; ManifestError where there are several."""
    found = strings(arrays, name, path)
    if found is None:
        return ""
    if len(found) != 1:
        raise ManifestError(f"{path}: {name} holds {len(found)} entries; it is of the whole set, so save a single text")
    return normal(str(found[0]))


def classes(arrays: Arrays, path: Path) -> tuple[tuple[str, ...], Ints]:
    """The classes' names and each image's class. Without ``class_names`` the labels that occur, codes or words, are the classes."""
    labels, where = _one_each(arrays["labels"], "labels", path), str(path)
    given = strings(arrays, "class_names", path)
    known = None if given is None else check_classes(given.tolist(), where)
    if labels.dtype.kind not in "US":
        labels = whole_numbers(labels, "labels", path)
        if known is not None:
            return known, labels
        _check_codes(labels, where)
    found = strings({"labels": labels}, "labels", path)
    return named_labels([] if found is None else found.tolist(), where, row, known)


def _check_codes(labels: Ints, where: str) -> None:
    below = np.flatnonzero(labels < 0)
    if below.size:
        raise ManifestError(
            f"{where}: {below.size} labels are negative, first {labels[below[0]]} ({row(int(below[0]))}); leave such images out, or give "
            f"their class a code from 0"
        )


def named_labels(
    values: list[str], where: str, place: Place, known: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], Ints]:
    """The classes, ``known`` or else in the order of their numbers or of the alphabet, and each image's class, int64 [n]."""
    found = filled(values, "labels", where, place, "give each image a class or leave it out")
    every = known or tuple(sorted(set(found), key=lambda v: (0, int(v), v) if v.isdecimal() else (1, 0, v)))
    index = {value: number for number, value in enumerate(every)}
    odd = next((k for k, name in enumerate(found) if name not in index), None)
    if odd is not None:
        raise ManifestError(f"{where}: the label {found[odd]!r} ({place(odd)}) is not among class_names; add it there")
    return every, np.array([index[value] for value in found], dtype=np.int64)


def _codes(values: npt.NDArray[Any], path: Path) -> Bytes:
    return np.clip(whole_numbers(values, "split", path), -1, 255).astype(np.uint8)
