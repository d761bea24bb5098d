"""A hospital's own images into one npz: from a csv of image files, or from an npz of arrays.

csv: columns ``image`` (a path, relative to the csv), ``label``, and optionally ``site``, ``patient``, ``split`` (train, val or test).
npz: arrays ``images`` uint8 [n, h, w, c] or [n, h, w] and ``labels`` (integers or strings), optionally ``site``, ``patient`` or
``lesion_id``, ``split`` (0, 1, 2 or the names), ``class_names``, ``patient_scope``. Other columns and arrays are not read, and the report
names them; one that looks like a column that is read is refused.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from afuic.data import pictures, splits
from afuic.data.dataset import SPLITS, Bytes, Dataset, Ints, Strings, check, contradictions, patient_keys
from afuic.data.federation import suggestion
from afuic.data.images import digests, resize
from afuic.data.npz import (
    COLUMNS,
    classes,
    named_labels,
    owners,
    patient_scope,
    patients,
    read_arrays,
    require,
    row,
    sites,
    strings,
    text,
    with_channels,
    write_dataset,
)
from afuic.data.tables import read_table
from afuic.errors import ConfigError, ManifestError
from afuic.identity import Place, Scope, at_several_sites, ignored_columns, quoted
from afuic.rng import stream

_HEADINGS, _REQUIRED = ("image", "label", "site", "patient", "split"), ("image", "label")
_WAY_OUT = "rename it, or say --ignore with its name if it is something else"
_SIDES = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})


@dataclass(frozen=True)
class ImportReport:
    """What was written. ``n``: images per split; ``patients`` and ``sites``: how many (sites by name); ``nameless``: images whose patient
    is unknown, where others have one; ``at_several_sites``: ids that occur at more than one site, and mean what ``patient_scope`` says;
    ``moved``: images put into another split than the source's because of duplicates or patients on two sides; ``copies``: images that
    are byte for byte another's, ``elsewhere`` of them another site's; ``ignored``: columns that were not read, ``sides``: those of them
    that hold words like train and test; ``untaught``: classes without an image; ``original``: height and width before resizing;
    ``flattened``: images that were transparent in places, where black was laid beneath; ``run``: settings under which the set can be
    tried (``--set``), none where it is too small.
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
    patient_scope: Scope = "site"
    at_several_sites: int = 0
    nameless: int = 0
    copies: int = 0
    elsewhere: int = 0
    ignored: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()
    untaught: tuple[str, ...] = ()
    run: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Source:
    """A source as columns; ``given`` is its own split, if it has one; ``place`` says where an image's row is."""

    images: Bytes
    labels: Ints
    class_names: tuple[str, ...]
    site: Strings | None
    patient: Strings | None
    scope: Scope
    given: Bytes | None
    licence: str
    original: tuple[int, int]
    place: Place
    flattened: int = 0
    ignored: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()

    @property
    def keys(self) -> Strings | None:
        """A key for each image's patient (see ``dataset.patient_keys``)."""
        return patient_keys(self.patient, self.site, self.scope)


def import_manifest(
    source: Path | str,
    out: Path | str,
    *,
    name: str | None = None,
    licence: str | None = None,
    size: int = 28,
    seed: int = 0,
    val: float = 0.1,
    test: float = 0.2,
    scope: Scope | None = None,
    ignore: Collection[str] = (),
    force: bool = False,
) -> ImportReport:
    """Read ``source``, resize to ``size`` × ``size``, split by patient, and write ``out`` for ``load``.

    Without splits of its own the set is divided into about ``test`` and ``val`` shares within each site and class. Images with the same
    bytes and images of one patient stay together (see ``splits``). The same arguments give the same bytes. ``licence`` is recorded with
    the set; None: what the source names, else "unknown". ``scope``: whether a patient's id means one person at every site (``global``) or
    another one at each (``site``); None: what the source declares, else ``site``. ``ignore``: columns that are left alone though they look
    like one that is read. ``force``: overwrite ``out``.

    ManifestError names the row or file that cannot be used; ConfigError for impossible shares, or where ``out`` exists.
    """
    if not (val >= 0 and test > 0 and val + test < 1):
        raise ConfigError(f"val = {val}, test = {test}: give shares with test above 0 and val + test below 1")
    source, out = Path(source), Path(out)
    _check_out(source, out, force)
    read = _from_npz(source, size, scope, ignore) if source.suffix == ".npz" else _from_csv(source, size, scope, ignore)
    keys = digests(read.images)
    _check_copies(read, keys, str(source))
    split, moved = _split(read, keys, str(source), seed, val, test)
    dataset = _dataset(read, split, name or source.stem, source.name, licence or read.licence)
    _check_filled(check(dataset, str(source)), str(source))
    write_dataset(dataset, out)
    elsewhere = [] if read.site is None else contradictions(keys, read.site.tolist())
    return replace(_report(dataset, out, moved, read), copies=len(keys) - len(set(keys)), elsewhere=len(elsewhere))


def _check_out(source: Path, out: Path, force: bool) -> None:
    if out.resolve() == source.resolve():
        raise ConfigError(f"{out}: the result would overwrite its source; choose another file")
    if out.is_dir():
        raise ConfigError(f"{out}: is a folder; name the npz to write")
    if out.exists() and not force:
        raise ConfigError(f"{out}: exists already; choose another file, or say --force to overwrite it")


def _dataset(read: _Source, split: Bytes, name: str, source: str, licence: str) -> Dataset:
    columns = read.images, read.labels, split, read.site, read.patient
    return Dataset(name, *columns, class_names=read.class_names, licence=licence, source=source, patient_scope=read.scope)


def _report(dataset: Dataset, out: Path, moved: int, read: _Source) -> ImportReport:
    at = Counter(map(str, dataset.site)) if dataset.site is not None else Counter[str]()
    keys = None if read.keys is None else read.keys.tolist()
    shared = 0
    if dataset.site is not None and dataset.patient is not None:
        shared = len(at_several_sites(dataset.patient.tolist(), dataset.site.tolist()))
    here = set(dataset.labels.tolist())
    return ImportReport(
        path=out,
        name=dataset.name,
        n=dataset.counts(),
        class_names=dataset.class_names,
        sites=dict(sorted(at.items())),
        patients=0 if keys is None else len(set(keys) - {""}),
        moved=moved,
        original=read.original,
        flattened=read.flattened,
        patient_scope=dataset.patient_scope,
        at_several_sites=shared,
        nameless=0 if keys is None else keys.count(""),
        ignored=read.ignored,
        sides=read.sides,
        untaught=tuple(name for number, name in enumerate(dataset.class_names) if number not in here),
        run=suggestion(dataset, out),
    )


def _check_copies(read: _Source, keys: list[bytes], where: str) -> None:
    """One picture under two patients would stay when one of them withdraws; under two labels at least one of them is wrong."""
    owners = ["", ""] if read.keys is None else read.keys.tolist()
    names = [read.class_names[label] if 0 <= label < len(read.class_names) else str(label) for label in read.labels.tolist()]
    for what, values, why in (
        ("patients", owners, "it would stay when one of the two withdraws, so keep it once, under its own patient"),
        ("labels", names, "keep it once, under the right one"),
    ):
        pairs = [] if read.keys is None and what == "patients" else contradictions(keys, values)
        if pairs:
            a, b = pairs[0]
            raise ManifestError(
                f"{where}: {len(pairs)} images are byte for byte the same as another ({_size(read)}) and have different {what}, first "
                f"{read.place(a)} ({_owner(values[a])}) and {read.place(b)} ({_owner(values[b])}); {why}"
            )


def _owner(value: str) -> str:
    return quoted(value.replace("\x1f", "/")) if value else "unknown"


def _size(read: _Source) -> str:
    return f"at {read.images.shape[1]} × {read.images.shape[2]}"


def _split(read: _Source, keys: list[bytes], where: str, seed: int, val: float, test: float) -> tuple[Bytes, int]:
    group = splits.groups(read.keys, keys)
    if read.given is not None:
        return splits.reconcile(read.given, group, read.patient, where)
    site = np.zeros_like(read.labels) if read.site is None else np.unique(read.site, return_inverse=True)[1]
    strata = site * len(read.class_names) + read.labels
    return splits.assign(group, strata, val, test, stream(seed, "import", "split")), 0


def _check_filled(dataset: Dataset, where: str) -> None:
    empty = [name for name in ("train", "test") if not dataset.counts()[name]]
    if empty:
        raise ManifestError(
            f"{where}: no image came into {' or '.join(empty)}; there are too few images or patients, or too many copies"
        )
    if len(dataset.class_names) < 2:
        raise ManifestError(f"{where}: every label is {dataset.class_names[0]!r}; a classifier needs at least two classes")


def _from_npz(path: Path, size: int, scope: Scope | None, ignore: Collection[str]) -> _Source:
    arrays, where = read_arrays(path), str(path)
    require(arrays, ("images", "labels"), path, "give at least these two")
    ignored = ignored_columns(list(arrays), COLUMNS, where, ignore, what="array", way_out=_WAY_OUT)
    images = with_channels(arrays["images"])
    names, labels = classes(arrays, path)
    scope = scope or patient_scope(arrays, path) or "site"
    site = sites(strings(arrays, "site", path), where, row)
    columns = {name: strings({name: arrays[name]}, name, path) for name in ignored if _one_each(arrays[name], labels)}
    read = _Source(
        images=images,
        labels=labels,
        class_names=names,
        site=site,
        patient=patients(owners(arrays, path), site, scope, where, row),
        scope=scope,
        given=_given(strings(arrays, "split", path), path),
        licence=text(arrays, "licence", path) or "unknown",
        original=images.shape[1:3],
        place=row,
        ignored=ignored,
        sides=_sides({name: column.tolist() for name, column in columns.items() if column is not None}),
    )
    check(_dataset(read, np.zeros(len(labels), dtype=np.uint8), "", "", ""), where)
    return replace(read, images=resize(images, size))


def _one_each(array: npt.NDArray[Any], labels: Ints) -> bool:
    return array.dtype.kind in "US" and array.shape == labels.shape


def _sides(columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Columns that say train or test and are not read as a split."""
    words = {name: {cell.strip().lower() for cell in cells} - {""} for name, cells in columns.items()}
    return tuple(name for name, found in words.items() if len(found) > 1 and found <= _SIDES)


def _from_csv(path: Path, size: int, scope: Scope | None, ignore: Collection[str]) -> _Source:
    table, where = read_table(path, _HEADINGS, _REQUIRED, tuple(ignore)), str(path)
    names, labels = named_labels(list(table.columns["label"]), where, table.place)
    cells = table.columns["image"]
    files = [path.parent / cell for cell in cells]
    _check_files(files, cells, path)
    column = {key: np.array(table.columns[key]) if key in table.columns else None for key in ("site", "patient", "split")}
    site = sites(column["site"], where, table.place)
    who = patients(column["patient"], site, scope or "site", where, table.place)
    given = _given(column["split"], path)
    images, original, flattened = _read_images(files, size, path)
    return _Source(
        images=images,
        labels=labels,
        class_names=names,
        site=site,
        patient=who,
        scope=scope or "site",
        given=given,
        licence="unknown",
        original=original,
        place=table.place,
        flattened=flattened,
        ignored=table.ignored,
        sides=_sides({name: table.columns[name] for name in table.ignored}),
    )


def _given(values: Strings | None, path: Path) -> Bytes | None:
    if values is None:
        return None
    codes = {name: code for code, name in enumerate(SPLITS)} | {str(code): code for code in range(len(SPLITS))}
    bad = sorted(set(values.tolist()) - codes.keys())
    if bad:
        raise ManifestError(f"{path}: split holds {bad[0]!r}; write train, val or test")
    return np.array([codes[value] for value in values.tolist()], dtype=np.uint8)


def _check_files(files: list[Path], cells: Sequence[str], path: Path) -> None:
    missing = [cell for file, cell in zip(files, cells, strict=True) if not os.path.isfile(file)]
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
