"""A hospital's own images into one npz: from a csv of image files, or from an npz of arrays.

csv: columns ``image`` (a path, relative to the csv), ``label``, and optionally ``site``, ``patient``, ``split`` (train, val or test).
npz: arrays ``images`` uint8 [n, h, w, c] or [n, h, w] and ``labels`` (integers or strings), optionally ``site``, ``patient`` or
``lesion_id``, ``split`` (0, 1, 2 or the names), ``class_names``. Other columns and arrays are ignored.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from afuic.data import pictures, splits
from afuic.data.dataset import SPLITS, Bytes, Dataset, Ints, Strings, check
from afuic.data.images import digests, resize
from afuic.data.npz import class_names, read_arrays, require, strings, text, whole_numbers, with_channels, write_dataset
from afuic.errors import ConfigError, ManifestError
from afuic.rng import stream

_UNKNOWN = {"", "unknown", "nan", "na", "n/a", "null", "?"}


@dataclass(frozen=True)
class ImportReport:
    """What was written. ``n``: images per split; ``patients`` and ``sites``: how many (sites by name); ``moved``: images put into another
    split than the source's because of duplicates or patients on two sides; ``original``: height and width before resizing;
    ``flattened``: images that were transparent in places, where black was laid beneath.
    """

    path: Path
    name: str
    n: Mapping[str, int]
    class_names: tuple[str, ...]
    sites: Mapping[str, int]
    patients: int
    moved: int
    original: tuple[int, int]
    flattened: int = 0


@dataclass(frozen=True, eq=False)
class _Table:
    """A source as columns; ``given`` is its own split, if it has one."""

    images: Bytes
    labels: Ints
    class_names: tuple[str, ...]
    site: Strings | None
    patient: Strings | None
    given: Bytes | None
    licence: str
    original: tuple[int, int]
    flattened: int = 0


def import_manifest(
    source: Path,
    out: Path,
    *,
    name: str | None = None,
    licence: str | None = None,
    size: int = 28,
    seed: int = 0,
    val: float = 0.1,
    test: float = 0.2,
) -> ImportReport:
    """Read ``source``, resize to ``size`` × ``size``, split by patient, and write ``out`` for ``load``.

    Without splits of its own the set is divided into about ``test`` and ``val`` shares within each site and class. Images with the same
    bytes and images of one patient stay together (see ``splits``). The same arguments give the same bytes. ManifestError names the
    row or file that cannot be used; ConfigError for impossible shares. ``licence`` is recorded with the set; None: what the
    source names, else "unknown".
    """
    if not (val >= 0 and test > 0 and val + test < 1):
        raise ConfigError(f"val = {val}, test = {test}: give shares with test above 0 and val + test below 1")
    if out.resolve() == source.resolve():
        raise ConfigError(f"{out}: the result would overwrite its source; choose another file")
    table = _from_npz(source, size) if source.suffix == ".npz" else _from_csv(source, size)
    table = replace(table, patient=_named(table.patient))
    split, moved = _split(table, str(source), seed, val, test)
    dataset = _dataset(table, split, name or source.stem, source.name, licence or table.licence)
    _check_filled(check(dataset, str(source)), str(source))
    write_dataset(dataset, out)
    return replace(_report(dataset, out, moved, table.original), flattened=table.flattened)


def _named(patient: Strings | None) -> Strings | None:
    """Empty where a word says that the patient is unknown: such images are of as many patients, not of one."""
    return None if patient is None else np.where(np.isin(np.char.lower(patient), list(_UNKNOWN)), "", patient)


def _dataset(table: _Table, split: Bytes, name: str, source: str, licence: str) -> Dataset:
    columns = table.images, table.labels, split, table.site, table.patient
    return Dataset(name, *columns, class_names=table.class_names, licence=licence, source=source)


def _report(dataset: Dataset, out: Path, moved: int, original: tuple[int, int]) -> ImportReport:
    sites = Counter(map(str, dataset.site)) if dataset.site is not None else Counter[str]()
    patients = len(set(dataset.patient.tolist()) - {""}) if dataset.patient is not None else 0
    return ImportReport(
        out, dataset.name, dataset.counts(), dataset.class_names, dict(sorted(sites.items())), patients, moved, original
    )


def _split(table: _Table, where: str, seed: int, val: float, test: float) -> tuple[Bytes, int]:
    group = splits.groups(table.patient, digests(table.images))
    if table.given is not None:
        return splits.reconcile(table.given, group, table.patient, where)
    site = np.zeros_like(table.labels) if table.site is None else np.unique(table.site, return_inverse=True)[1]
    strata = site * len(table.class_names) + table.labels
    return splits.assign(group, strata, val, test, stream(seed, "import", "split")), 0


def _check_filled(dataset: Dataset, where: str) -> None:
    empty = [name for name in ("train", "test") if not dataset.counts()[name]]
    if empty:
        raise ManifestError(
            f"{where}: no image came into {' or '.join(empty)}; there are too few images or patients, or too many copies"
        )
    if len(dataset.class_names) < 2:
        raise ManifestError(f"{where}: every label is {dataset.class_names[0]!r}; a classifier needs at least two classes")


def _from_npz(path: Path, size: int) -> _Table:
    arrays = read_arrays(path)
    require(arrays, ("images", "labels"), path, "give at least these two")
    patient = strings(arrays, "patient")
    images = with_channels(arrays["images"])
    names, labels = _named_labels(arrays["labels"].reshape(-1), path) if arrays["labels"].dtype.kind == "U" else ((), None)
    if labels is None:
        labels = whole_numbers(arrays["labels"], "labels", path)
        names = class_names(arrays, labels)
    table = _Table(
        images, labels, names, strings(arrays, "site"), strings(arrays, "lesion_id") if patient is None else patient,
        _given(strings(arrays, "split"), path), text(arrays, "licence") or "unknown", images.shape[1:3],
    )  # fmt: skip
    return _checked(table, size, path)


def _checked(table: _Table, size: int, path: Path) -> _Table:
    check(_dataset(table, np.zeros(len(table.labels), dtype=np.uint8), "", "", ""), str(path))
    return replace(table, images=resize(table.images, size))


def _from_csv(path: Path, size: int) -> _Table:
    columns = _read_csv(path)
    names, labels = _named_labels(np.array(columns["label"]), path)
    files = [path.parent / cell for cell in columns["image"]]
    _check_files(files, columns["image"], path)
    images, original, flattened = _read_images(files, size, path)
    column = {key: np.array(columns[key], dtype=np.str_) if key in columns else None for key in ("site", "patient", "split")}
    given = _given(column["split"], path)
    return _Table(images, labels, names, column["site"], column["patient"], given, "unknown", original, flattened)


def _read_csv(path: Path) -> dict[str, list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names, rows = reader.fieldnames or (), [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}: cannot be read as csv ({error}); give a UTF-8 file with a header") from error
    header = [(name or "").strip() for name in names]
    missing = [name for name in ("image", "label") if name not in header]
    if missing or not rows:
        lack = f"no column {', '.join(map(repr, missing))} in its header ({', '.join(header)})" if missing else "no rows"
        raise ManifestError(f"{path}: {lack}; the columns are image, label and optionally site, patient, split")
    for line, row in rows:
        if None in row or None in row.values():
            many = "more" if None in row else "fewer"
            raise ManifestError(
                f"{path}: line {line} has {many} cells than the header; put a text with commas in double quotes"
            )
    return {key.strip(): [row[key].strip() for _, row in rows] for key in names if key}


def _named_labels(values: Strings, path: Path) -> tuple[tuple[str, ...], Ints]:
    """The classes, in the order of their numbers or else of the alphabet, and each image's class."""
    values = np.char.strip(values)
    bad = [row for row, value in enumerate(values.tolist()) if value.lower() in _UNKNOWN]
    if bad:
        raise ManifestError(
            f"{path}: {len(bad)} of {len(values)} labels are blank or unknown, first row {bad[0] + 1} ({str(values[bad[0]])!r}); "
            f"give each image a class or leave it out"
        )
    found = sorted(set(values.tolist()), key=lambda value: (0, int(value), value) if value.isdecimal() else (1, 0, value))
    index = {value: number for number, value in enumerate(found)}
    return tuple(found), np.array([index[value] for value in values.tolist()], dtype=np.int64)


def _given(values: Strings | None, path: Path) -> Bytes | None:
    if values is None:
        return None
    codes = {name: code for code, name in enumerate(SPLITS)} | {str(code): code for code in range(len(SPLITS))}
    bad = sorted(set(values.tolist()) - codes.keys())
    if bad:
        raise ManifestError(f"{path}: split holds {bad[0]!r}; write train, val or test")
    return np.array([codes[value] for value in values.tolist()], dtype=np.uint8)


def _check_files(files: list[Path], cells: list[str], path: Path) -> None:
    missing = [cell for file, cell in zip(files, cells, strict=True) if not file.is_file()]
    if missing:
        raise ManifestError(
            f"{path}: {len(missing)} of {len(files)} image files are missing, first {', '.join(map(repr, missing[:3]))}; paths are "
            f"relative to the csv"
        )


def _read_images(files: list[Path], size: int, path: Path) -> tuple[Bytes, tuple[int, int], int]:
    """The pictures at ``size``, height and width before that, and how many were transparent in places."""
    small, shapes, flattened = [], Counter[tuple[int, ...]](), 0
    for file in files:
        picture = pictures.read(file)
        shapes[picture.pixels.shape] += 1
        flattened += picture.flattened
        small.append(resize(picture.pixels[None], size)[0])
    if len(shapes) > 1:
        kinds = ", ".join(f"{count} of {h} × {w} × {c}" for (h, w, c), count in shapes.most_common(3))
        raise ManifestError(
            f"{path}: images have {len(shapes)} different shapes ({kinds}); bring them to one size and one mode first"
        )
    height, width, _ = next(iter(shapes))
    return np.stack(small), (height, width), flattened
