"""A labelled image set in one shape, whatever it was read from, so that all later steps know one type only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from afuic.errors import ManifestError
from afuic.identity import Scope, at_several_sites, distinct, likeness

TRAIN, VAL, TEST = 0, 1, 2
SPLITS = ("train", "val", "test")

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Strings = npt.NDArray[np.str_]
T = TypeVar("T")

_AT = "\x1f"
"""Between a site's name and a patient's id in a key; no name holds it."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with labels, splits and, where known, sites and patients; row i of every array is image i.

    ``images`` uint8 [n, h, w, c], c = 1 or 3; ``labels`` int64 [n] in 0 … len(class_names) − 1; ``split`` uint8 [n] (0 train,
    1 val, 2 test); ``site`` and ``patient`` strings [n] or None; an empty patient is an unknown one. ``patient_scope``: whether an id means
    one person at every site (``global``) or another one at each (``site``).
    """

    name: str
    images: Bytes
    labels: Ints
    split: Bytes
    site: Strings | None
    patient: Strings | None
    class_names: tuple[str, ...]
    licence: str
    source: str
    patient_scope: Scope = "site"

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, split: int) -> Ints:
        """Row numbers of one split, ascending."""
        return np.flatnonzero(self.split == split)

    def counts(self) -> dict[str, int]:
        """Images per split, by the split's name."""
        return {name: len(self.rows(code)) for code, name in enumerate(SPLITS)}


def patient_keys(patient: Strings | None, site: Strings | None, scope: Scope) -> Strings | None:
    """For each image a key that is the same for images of one patient and no others; empty where the patient is unknown.

    It is the id, with the site's name before it where the id occurs at several sites and so means several people.
    """
    if patient is None or site is None or scope == "global":
        return patient
    shared = at_several_sites(patient.tolist(), site.tolist())
    return (
        np.where(np.isin(patient, list(shared)), np.char.add(np.char.add(site, _AT), patient), patient) if shared else patient
    )


def patient_ids(dataset: Dataset) -> Strings:
    """One key for each image: its patient's, or a name made of the row (``i5``), which no patient has, where that one is unknown."""
    keys = patient_keys(dataset.patient, dataset.site, dataset.patient_scope)
    nameless = [] if keys is None else np.flatnonzero(keys == "").tolist()
    taken = set(map(likeness, keys.tolist())) if keys is not None and nameless else set()
    letter = "i"
    while any(f"{letter}{row}" in taken for row in nameless):
        letter += "i"
    own = np.array([f"{letter}{row}" for row in range(len(dataset))], dtype=np.str_)
    return own if keys is None else np.where(keys == "", own, keys)


def ids_within(keys: Iterable[str]) -> tuple[str, ...]:
    """The ids by which one hospital knows these patients: as its set has them, with the site's name (``north/17``) where two share one."""
    every = tuple(keys)
    people = set(every)
    like = {key: likeness(_id(key)) for key in people}
    owners = Counter(like.values())
    said = {key: key if owners[like[key]] > 1 else _id(key) for key in people}
    mark = "/"
    while len({text.replace(_AT, mark) for text in said.values()}) < len(people):
        mark += "/"
    return tuple(said[key].replace(_AT, mark) for key in every)


def _id(key: str) -> str:
    return key.rpartition(_AT)[2]


def contradictions(images: Sequence[bytes], values: Sequence[T]) -> list[tuple[int, int]]:
    """Images with the same digest as an earlier one and another value (patient, label), as pairs of entries: the earlier, the later."""
    first: dict[bytes, int] = {}
    pairs = ((first.setdefault(key, row), row) for row, key in enumerate(images))
    return [(a, b) for a, b in pairs if values[a] != values[b]]


def check(dataset: Dataset, where: str) -> Dataset:
    """The data set itself, or a ManifestError naming the first thing about it that is impossible."""
    _check_images(dataset.images, where)
    _check_lengths(dataset, where)
    check_classes(dataset.class_names, where)
    _check_codes(dataset, where)
    _check_sites(dataset, where)
    _check_patients(dataset, where)
    return dataset


def check_scope(dataset: Dataset, where: str) -> Dataset:
    """The data set itself, or a ManifestError where, as its ids are understood now, a patient is in more than one split."""
    _check_patients(dataset, where)
    return dataset


def _check_images(images: Bytes, where: str) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ManifestError(
            f"{where}: images are {images.dtype} {list(images.shape)}; they must be uint8 [n, h, w, c] with 1 or 3 channels"
        )
    if not images.size:
        raise ManifestError(f"{where}: there are no images; give at least one of each split")


def _check_lengths(dataset: Dataset, where: str) -> None:
    for field in ("labels", "split", "site", "patient"):
        column = getattr(dataset, field)
        if column is not None and column.shape != (len(dataset.images),):
            raise ManifestError(
                f"{where}: {field} has shape {list(column.shape)} for {len(dataset.images)} images; give one entry for each image"
            )


def check_classes(names: Sequence[str], where: str) -> tuple[str, ...]:
    """The classes' names in their normal form; ManifestError where one is blank, or two are one."""
    return tuple(distinct(names, "classes", where, lambda k: f"class {k}", "give each class a name of its own"))


def _check_codes(dataset: Dataset, where: str) -> None:
    classes = len(dataset.class_names)
    bad = np.flatnonzero((dataset.labels < 0) | (dataset.labels >= classes))
    if bad.size:
        raise ManifestError(
            f"{where}: {bad.size} labels are not among the {classes} classes, first {dataset.labels[bad[0]]} at row {bad[0]}; "
            f"they count from 0: correct them or extend class_names"
        )
    if dataset.split.max() > TEST:
        raise ManifestError(f"{where}: split holds {dataset.split.max()}; write 0 for train, 1 for val, 2 for test")


def _check_sites(dataset: Dataset, where: str) -> None:
    blank = np.flatnonzero(dataset.site == "") if dataset.site is not None else np.array([], dtype=np.int64)
    if blank.size:
        raise ManifestError(
            f"{where}: {blank.size} images have a blank site, first row {blank[0]}; fill it in or leave sites out"
        )


def _check_patients(dataset: Dataset, where: str) -> None:
    keys = patient_keys(dataset.patient, dataset.site, dataset.patient_scope)
    if keys is None:
        return
    known = keys != ""
    pairs = np.unique(np.stack([keys[known], dataset.split[known].astype(np.str_)], axis=1), axis=0)
    ids, times = np.unique(pairs[:, 0], return_counts=True)
    if (times > 1).any():
        raise ManifestError(
            f"{where}: {int((times > 1).sum())} patients are in more than one split, first {_id(str(ids[times > 1][0]))!r}; "
            f"import the set again so that it is split by patient"
        )
