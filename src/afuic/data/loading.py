"""One door to every data set: a registered name, or the path of an imported npz."""

from __future__ import annotations

from pathlib import Path

from afuic.data.dataset import Dataset
from afuic.data.download import Progress, fetch
from afuic.data.npz import read_dataset, read_medmnist
from afuic.data.phantoms import phantom
from afuic.data.registry import PHANTOM, find, supported


def load(name_or_path: str, *, cache: Path | None = None, progress: Progress | None = None) -> Dataset:
    """The set of that name (downloaded when it is not in the cache) or in that npz file; a name goes before a path.

    DataError for an unknown name, a missing file or a set that is not supported, ChecksumError for bytes that are not the published
    ones, ManifestError for a malformed npz.
    """
    if find(name_or_path) is None and (name_or_path.endswith(".npz") or Path(name_or_path).is_file()):
        return read_dataset(Path(name_or_path))
    entry = supported(name_or_path)
    if entry is PHANTOM:
        return phantom(0)
    return read_medmnist(fetch(entry.name, cache=cache, progress=progress), entry)
