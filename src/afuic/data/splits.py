"""Splitting an imported set so that neither a patient nor an image is on two sides.

Rule: images with the same bytes, and images of the same patient, form one group (transitively), and a group goes to one split as a
whole. If the source brings its own splits and tears a group apart, the group moves to the most protected split it touches (test before
val before train), provided all its images have a patient; otherwise the import is refused.
"""

from __future__ import annotations

import numpy as np

from afuic.data.dataset import TEST, TRAIN, VAL, Bytes, Ints, Strings
from afuic.errors import ManifestError


def groups(patients: Strings | None, keys: list[bytes]) -> Ints:
    """The group of each image, int64 [n], numbered from 0 in the order of appearance. ``keys``: a digest of each image."""
    parent: dict[object, object] = {}

    def root(node: object) -> object:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for row, key in enumerate(keys):
        patient = str(patients[row]) if patients is not None else ""
        if patient:
            parent[root(key)] = root(patient)
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(root(key), len(numbers)) for key in keys], dtype=np.int64)


def assign(group: Ints, strata: Ints, val: float, test: float, generator: np.random.Generator) -> Bytes:
    """A split for each image, uint8 [n]: in each stratum about ``test`` and ``val`` of the images, by whole groups.

    A group belongs to the stratum of its first image. Within a stratum the shuffled groups are cut where the running share of images
    passes ``test`` and ``test + val``.
    """
    _, first = np.unique(group, return_index=True)
    sizes = np.bincount(group)
    split = np.empty(len(sizes), dtype=np.uint8)
    for stratum in np.unique(strata):
        members = generator.permutation(np.flatnonzero(strata[first] == stratum))
        ends = np.cumsum(sizes[members])
        middles = (ends - sizes[members] / 2) / (ends[-1] if len(ends) else 1)
        split[members] = np.select([middles < test, middles < test + val], [TEST, VAL], TRAIN)
    return split[group]


def reconcile(split: Bytes, group: Ints, patients: Strings | None, where: str) -> tuple[Bytes, int]:
    """The source's own splits with torn groups moved together, and how many images moved; ManifestError where that is not possible."""
    highest = np.zeros(int(group.max(initial=-1)) + 1, dtype=np.uint8)
    np.maximum.at(highest, group, split)
    lowest = np.full_like(highest, TEST)
    np.minimum.at(lowest, group, split)
    torn = (highest != lowest)[group]
    nameless = torn & (patients == "" if patients is not None else np.True_)
    if nameless.any():
        raise ManifestError(
            f"{where}: {int(nameless.sum())} images without a patient have exact duplicates in another split, first row "
            f"{int(np.flatnonzero(nameless)[0])}; remove the duplicates, name the patients, or leave the split out"
        )
    return highest[group], int((highest[group] != split).sum())
