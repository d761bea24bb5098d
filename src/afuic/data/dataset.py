"""A labelled image set in one shape, whatever it was read from, so that all later steps know one type only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from afuic.errors import ManifestError

TRAIN, VAL, TEST = 0, 1, 2
SPLITS = ("train", "val", "test")

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Strings = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with labels, splits and, where known, sites and patients; row i of every array is image i.

    ``images`` uint8 [n, h, w, c], c = 1 or 3; ``labels`` int64 [n] in 0 … len(class_names) − 1; ``split`` uint8 [n] (0 train,
    1 val, 2 test); ``site`` and ``patient`` strings [n] or None; an empty patient is an unknown one.
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

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, split: int) -> Ints:
        """Row numbers of one split, ascending."""
        return np.flatnonzero(self.split == split)

    def counts(self) -> dict[str, int]:
        """Images per split, by the split's name."""
        return {name: len(self.rows(code)) for code, name in enumerate(SPLITS)}


def patient_ids(dataset: Dataset) -> Strings:
    """One id per image: the patient's, or ``i`` and the row number where the patient is unknown."""
    own = np.array([f"i{row}" for row in range(len(dataset))], dtype=np.str_)
    return own if dataset.patient is None else np.where(dataset.patient == "", own, dataset.patient)


def check(dataset: Dataset, where: str) -> Dataset:
    """The data set itself, or a ManifestError naming the first thing about it that is impossible."""
    _check_images(dataset.images, where)
    _check_lengths(dataset, where)
    _check_codes(dataset, where)
    _check_sites(dataset, where)
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


def _check_codes(dataset: Dataset, where: str) -> None:
    classes = len(dataset.class_names)
    bad = np.flatnonzero((dataset.labels < 0) | (dataset.labels >= classes))
    if bad.size:
        raise ManifestError(
            f"{where}: {bad.size} labels are not among the {classes} classes, first {dataset.labels[bad[0]]} at row {bad[0]}; "
            f"correct them or extend class_names"
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
    if dataset.patient is None:
        return
    known = dataset.patient != ""
    pairs = np.unique(np.stack([dataset.patient[known], dataset.split[known].astype(np.str_)], axis=1), axis=0)
    ids, times = np.unique(pairs[:, 0], return_counts=True)
    if (times > 1).any():
        raise ManifestError(
            f"{where}: {int((times > 1).sum())} patients are in more than one split, first {str(ids[times > 1][0])!r}; "
            f"import the set again so that it is split by patient"
        )
