"""From one data set to a federation: hospitals with their training images, test images, and the server's calibration images.

Order of events: resize, refuse pictures that two patients share, remove duplicates, draw ``limit``, divide, take calibration images, check
for leaks, plant the trigger.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from afuic import config as settings
from afuic.config import Data, Trigger
from afuic.data.dataset import (
    SPLITS,
    TEST,
    TRAIN,
    VAL,
    Bytes,
    Dataset,
    Ints,
    check_scope,
    contradictions,
    ids_within,
    patient_ids,
)
from afuic.data.images import digests, match_channels, resize, to_tensor
from afuic.data.loading import load
from afuic.data.partition import Plan, Rows, divide
from afuic.data.triggers import check_trigger, choose_triggered, stamp
from afuic.errors import ConfigError, DataError, LeakError
from afuic.identity import quoted
from afuic.rng import stream


@dataclass(frozen=True, eq=False)
class ClientData:
    """What one hospital holds: ``images`` float32 [n, c, h, w] in [−1, 1]; ``labels`` int64 [n], after the trigger relabelled;
    ``patients`` n ids, each of one person here (``i`` and the image's row where unknown); ``triggered`` bool [n].
    """

    images: Tensor
    labels: Tensor
    patients: tuple[str, ...]
    triggered: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> ClientData:
        """The images at ``rows``, int64 [m], in that order."""
        ids = tuple(self.patients[row] for row in rows.tolist())
        return ClientData(self.images[rows], self.labels[rows], ids, self.triggered[rows])


@dataclass(frozen=True, eq=False)
class TestSet:
    """``images`` float32 [n, c, h, w] in [−1, 1]; ``labels`` int64 [n]; ``client`` int64 [n], whose distribution an image stands for."""

    __test__ = False

    images: Tensor
    labels: Tensor
    client: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Federation:
    """The data of one experiment. ``clients`` in a fixed order, to which ``test.client`` refers; ``calibration`` float32 [m, c, h, w].

    ``dropped`` counts the documented repairs: ``train_in_test``, ``val_in_test``, ``train_in_val``, ``train_repeated`` (exact
    duplicates removed), ``train_two_labels`` (of all these copies, those with another label than the one that was kept),
    ``train_moved_site`` and ``test_moved_site`` (images counted at their patient's main site), ``test_unknown_site`` (test images of a
    site without training images, removed). ``evaluate.results.repairs`` puts them into words.
    """

    name: str
    clients: Mapping[str, ClientData]
    test: TestSet
    calibration: Tensor
    class_names: tuple[str, ...]
    channels: int
    size: int
    trigger: Trigger | None
    dropped: Mapping[str, int]


def federate(dataset: Dataset, config: Data, seed: int, cache: Path | None = None) -> Federation:
    """Divide a data set as ``config`` says; the same arguments give the same bytes.

    Exact duplicates stay in one split only, test before val before train, and once among the training images: a copy at another
    hospital would survive its erasure. ConfigError for an impossible partition or trigger, DataError for a set without training or test
    images, LeakError where calibration images are also training or test images.
    """
    dataset = _scoped(replace(dataset, images=resize(dataset.images, config.size)), config)
    dealt = _dealt(dataset, config, seed)
    known = dealt.plan.test >= 0
    train, test = dealt.train, dealt.test[known]
    test_set = TestSet(to_tensor(dataset.images[test]), _labels(dataset, test), torch.from_numpy(dealt.plan.test[known]))
    calibration = _calibration(dataset, dealt.val, config, seed, cache)
    _check_leaks(calibration, dataset.images[train], dataset.images[test])
    return Federation(
        name=dataset.name,
        clients=_clients(dataset, train, dealt.plan, config.trigger, seed),
        test=test_set,
        calibration=to_tensor(calibration),
        class_names=dataset.class_names,
        channels=dataset.images.shape[3],
        size=config.size,
        trigger=config.trigger,
        dropped=dealt.dropped,
    )


def suggestion(dataset: Dataset, path: Path) -> tuple[str, ...]:
    """Settings (``key=value``) under which this set, in the file ``path``, can be divided and run; empty where there are too few images.

    Each hospital is a site where there are sites; otherwise as many hospitals are tried as in the default, with as many images. The size
    is the set's, or the nearest that the default network takes; the batch is the default's, or all images of the largest hospital.
    """
    size = min(max(dataset.images.shape[1], settings.SMALL[0]), settings.SMALL[1])
    dataset = replace(dataset, images=resize(dataset.images, size))
    base = [
        f"name={_value(path.stem)}",
        f"data.name={_value(str(path))}",
        *([f"data.size={size}"] if size != Data().size else []),
    ]
    base += [] if len(dataset.rows(VAL)) else ["data.calibration=0"]
    try:
        train, _, test, _ = _kept(dataset)
    except DataError:  # images that were told apart at their own size are one picture at this one
        return ()
    for kind in _kinds(dataset):
        chosen = settings.load(None, (*base, *kind))
        try:
            plan = _plan(dataset, train, test, chosen.data, chosen.seed)
        except ConfigError:
            continue
        first, most = chosen.requests[0].client, int(np.bincount(plan.train).max())
        batch = () if most >= chosen.training.batch else (f"training.batch={most}",)
        return (*base, *kind, *batch, *(() if first in plan.names else (f"requests.0.client={_value(plan.names[0])}",)))
    return ()


def _kinds(dataset: Dataset) -> Iterator[tuple[str, ...]]:
    """Ways to divide a set, the best first."""
    if dataset.site is not None:
        yield from (("data.partition.kind=site", *least) for least in _LEAST)
    for named in ((), ("data.partition.kind=iid" if dataset.patient is None else "data.partition.kind=patient",)):
        for clients in ((), ("data.partition.clients=3",), ("data.partition.clients=2",)):
            yield from ((*named, *clients, *least) for least in _LEAST)


_LEAST = ((), *((f"data.partition.min_images={least}",) for least in (16, 4, 1)))


def _value(text: str) -> str:
    """A text as ``--set`` reads it back: as it is, or as a TOML string where TOML would take it for something else."""
    try:
        tomllib.loads(f"v = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True, eq=False)
class _Dealt:
    """Which rows are trained on, validated and tested on, and which hospital's they are."""

    train: Ints
    val: Ints
    test: Ints
    plan: Plan
    dropped: dict[str, int]


def _dealt(dataset: Dataset, config: Data, seed: int) -> _Dealt:
    train, val, test, dropped = _kept(dataset)
    train = _limited(train, config.limit, seed)
    plan = _plan(dataset, train, test, config, seed)
    dropped |= {"train_moved_site": plan.moved, "test_moved_site": plan.test_moved}
    return _Dealt(train, val, test, plan, dropped | {"test_unknown_site": int((plan.test < 0).sum())})


def _kept(dataset: Dataset) -> tuple[Ints, Ints, Ints, dict[str, int]]:
    """The rows of each split without duplicates, and what was dropped."""
    keep, dropped = _without_duplicates(dataset)
    train, val, test = (np.flatnonzero(keep & (dataset.split == split)) for split in (TRAIN, VAL, TEST))
    _check_splits(dataset, train, test)
    return train, val, test, dropped


def _scoped(dataset: Dataset, config: Data) -> Dataset:
    """The set with its patients' ids meaning what the configuration says, if it says anything."""
    if config.patient_scope in (None, dataset.patient_scope):
        return dataset
    return check_scope(replace(dataset, patient_scope=config.patient_scope), dataset.name)


def _without_duplicates(dataset: Dataset) -> tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], dict[str, int]]:
    """Which images to keep, bool [n], and how many were dropped for which reason."""
    keys = digests(dataset.images)
    _check_owners(dataset, keys)
    keep = np.ones(len(dataset), dtype=np.bool_)
    dropped = {"train_in_test": 0, "val_in_test": 0, "train_in_val": 0, "train_repeated": 0, "train_two_labels": 0}
    first: dict[bytes, int] = {}
    for split in (TEST, VAL, TRAIN):
        for row in dataset.rows(split):
            other = first.setdefault(keys[row], int(row))
            keep[row] = other == row or split == dataset.split[other] != TRAIN
            if keep[row]:
                continue
            same = dataset.split[other] == TRAIN
            dropped["train_repeated" if same else f"{SPLITS[split]}_in_{SPLITS[dataset.split[other]]}"] += 1
            dropped["train_two_labels"] += int(split == TRAIN and dataset.labels[row] != dataset.labels[other])
    return keep, dropped


def _check_owners(dataset: Dataset, keys: list[bytes]) -> None:
    """An image that two patients share would stay when one of them withdraws, whichever of the copies is kept."""
    if dataset.patient is None:
        return
    rows = dataset.rows(TRAIN)
    owners = np.where(dataset.patient == "", "", patient_ids(dataset))[rows].tolist()
    pairs = contradictions([keys[row] for row in rows], owners)
    if pairs:
        a, b = (f"row {rows[k]} ({quoted(ids_within([owners[k]])[0]) if owners[k] else 'unknown'})" for k in pairs[0])
        raise DataError(
            f"{dataset.name}: {len(pairs)} training images are another patient's as well, first {a} and {b}; such an image would stay "
            f"when one of the two withdraws, so keep it once, under its own patient"
        )


def _check_splits(dataset: Dataset, train: Ints, test: Ints) -> None:
    for name, rows in (("train", train), ("test", test)):
        if not len(rows):
            raise DataError(
                f"{dataset.name}: no {name} images (after removing duplicates across splits); import it with a {name} split"
            )


def _limited(rows: Ints, limit: int | None, seed: int) -> Ints:
    if limit is None or limit >= len(rows):
        return rows
    return np.sort(stream(seed, "data", "limit").choice(rows, limit, replace=False))


def _plan(dataset: Dataset, train: Ints, test: Ints, config: Data, seed: int) -> Plan:
    generator = stream(seed, "data", "partition")
    return divide(_rows(dataset, train), _rows(dataset, test), config.partition, len(dataset.class_names), generator)


def _rows(dataset: Dataset, rows: Ints) -> Rows:
    sites = None if dataset.site is None else dataset.site[rows]
    return Rows(dataset.labels[rows], patient_ids(dataset)[rows], sites, dataset.patient is not None)


def _labels(dataset: Dataset, rows: Ints) -> Tensor:
    return torch.from_numpy(dataset.labels[rows])


def _clients(dataset: Dataset, train: Ints, plan: Plan, trigger: Trigger | None, seed: int) -> dict[str, ClientData]:
    clients = {name: _client(dataset, train[plan.train == index]) for index, name in enumerate(plan.names)}
    if trigger is not None:
        check_trigger(trigger, plan.names, dataset.class_names)
        clients[trigger.client] = _poisoned(clients[trigger.client], trigger, seed)
    return clients


def _client(dataset: Dataset, rows: Ints) -> ClientData:
    ids = ids_within(str(patient) for patient in patient_ids(dataset)[rows])
    return ClientData(to_tensor(dataset.images[rows]), _labels(dataset, rows), ids, torch.zeros(len(rows), dtype=torch.bool))


def _poisoned(client: ClientData, trigger: Trigger, seed: int) -> ClientData:
    triggered = choose_triggered(client.labels, trigger, seed)
    images = client.images.clone()
    images[triggered] = stamp(client.images[triggered], trigger)
    labels = client.labels.masked_fill(triggered, trigger.target_class)
    return replace(client, images=images, labels=labels, triggered=triggered)


def _calibration(dataset: Dataset, val: Ints, config: Data, seed: int, cache: Path | None) -> Bytes:
    """At most ``config.calibration`` images, uint8 [m, h, w, c], in the order of a seeded permutation."""
    channels = dataset.images.shape[3]
    if not config.calibration:
        return np.empty((0, config.size, config.size, channels), dtype=np.uint8)
    if config.calibration_from is None:
        source, rows = dataset, val
    else:
        source = load(config.calibration_from, cache=cache)
        rows = source.rows(VAL) if len(source.rows(VAL)) else np.arange(len(source))
    if not len(rows):
        raise ConfigError(
            f"{dataset.name} has no validation images to calibrate with; set data.calibration = 0 or data.calibration_from"
        )
    chosen = stream(seed, "data", "calibration").permutation(rows)[: config.calibration]
    return match_channels(resize(source.images[chosen], config.size), channels)


def _check_leaks(calibration: Bytes, train: Bytes, test: Bytes) -> None:
    held = digests(calibration)
    shared = {name: len(set(held) & set(digests(images))) for name, images in (("training", train), ("test", test))}
    if any(shared.values()):
        counts = " and ".join(f"{count} {name} images" for name, count in shared.items() if count)
        raise LeakError(f"the calibration set holds {counts}; choose another data.calibration_from that shares none")
