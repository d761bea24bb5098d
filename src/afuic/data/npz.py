"""Reading and writing image sets as npz files, never with pickles.

afuic's own layout: ``images`` uint8 [n, h, w, c] or [n, h, w]; ``labels`` integers [n]; ``split`` integers [n] (0 train, 1 val, 2
test); optional strings ``site`` [n], ``patient`` [n] (empty where unknown), ``class_names`` [k] (else the numbers), and the single
strings ``name``, ``licence``, ``source``. MedMNIST's layout: ``train_images``, ``train_labels`` [n, 1] and so on for val and test.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from afuic.data.dataset import SPLITS, Bytes, Dataset, Ints, Strings, check
from afuic.data.files import replacing
from afuic.data.registry import Entry
from afuic.errors import DataError, ManifestError

Arrays = Mapping[str, npt.NDArray[Any]]


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an npz; ManifestError for a file that is none, is truncated, or holds Python objects."""
    try:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise ManifestError(f"{path}: not an npz file, or cut off; save the arrays with numpy.savez or get the file again")
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give the path of an npz made by 'afuic data import'") from None
    except (ValueError, EOFError, OSError, KeyError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ManifestError(
            f"{path}: not a readable npz of plain arrays ({error}); images of different sizes or Python objects cannot be read, "
            f"so save one uint8 array"
        ) from error


def read_dataset(path: Path) -> Dataset:
    """A set in afuic's own layout; ManifestError naming the file and what is wrong in it."""
    arrays = read_arrays(path)
    require(arrays, ("images", "labels", "split"), path, "bring the file into shape with 'afuic data import'")
    labels = whole_numbers(arrays["labels"], "labels", path)
    dataset = Dataset(
        name=text(arrays, "name") or path.stem,
        images=with_channels(arrays["images"]),
        labels=labels,
        split=_codes(arrays["split"], path),
        site=strings(arrays, "site"),
        patient=strings(arrays, "patient"),
        class_names=class_names(arrays, labels),
        licence=text(arrays, "licence") or "unknown",
        source=text(arrays, "source") or str(path),
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
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ManifestError(f"{path}: {what} have the shape {list(values.shape)}; there must be one for each image")
    return values.astype(np.int64)


def strings(arrays: Arrays, name: str) -> Strings | None:
    """An array as stripped strings, or None where there is none; numbers are written out."""
    return np.char.strip(arrays[name].astype(np.str_)) if name in arrays else None


def text(arrays: Arrays, name: str) -> str:
    """A single string, empty where there is none."""
    return str(arrays[name]) if name in arrays and arrays[name].ndim == 0 else ""


def class_names(arrays: Arrays, labels: Ints) -> tuple[str, ...]:
    """The classes' names, or their numbers where the file gives none."""
    if "class_names" in arrays:
        return tuple(str(name) for name in arrays["class_names"].reshape(-1))
    return tuple(str(k) for k in range(int(labels.max(initial=-1)) + 1))


def _codes(values: npt.NDArray[Any], path: Path) -> Bytes:
    return np.clip(whole_numbers(values, "split", path), -1, 255).astype(np.uint8)
