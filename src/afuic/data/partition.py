"""Which image belongs to which hospital, for training images and, by the same law, for test images.

What is dealt are patients where the data set names them, single images where it does not, so no patient is ever at two hospitals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from afuic.config import Partition
from afuic.data.dataset import Ints, Strings
from afuic.errors import ConfigError

_TRIES = 500

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """What the partition needs to know of some images: ``labels`` int64 [n], ``patients`` strings [n], the same for images of
    one person alone (``dataset.patient_ids``), ``sites`` [n] or None.
    """

    labels: Ints
    patients: Strings
    sites: Strings | None
    patients_known: bool


@dataclass(frozen=True, eq=False)
class Plan:
    """``names`` of the clients; for each training and test image the client's index, −1 for a test image of a site that trains nothing.

    ``moved`` and ``test_moved``: images counted at their patient's main site instead of their own.
    """

    names: tuple[str, ...]
    train: Ints
    test: Ints
    moved: int = 0
    test_moved: int = 0


def divide(train: Rows, test: Rows, spec: Partition, classes: int, generator: np.random.Generator) -> Plan:
    """Deal the images to clients. ConfigError where ``min_images`` cannot be met, or sites or patients are asked for but unknown."""
    if spec.kind == "site":
        return _by_site(train, test, spec)
    if spec.kind == "patient" and not train.patients_known:
        raise ConfigError("data.partition.kind = 'patient': the data set names no patients; choose 'iid' or 'dirichlet'")
    if spec.clients * spec.min_images > len(train.labels):
        raise ConfigError(
            f"data.partition: {spec.clients} clients with at least {spec.min_images} images each need more than the "
            f"{len(train.labels)} training images; lower clients or min_images, or raise data.limit"
        )
    return _dealt(train, test, spec, classes, generator)


def _dealt(train: Rows, test: Rows, spec: Partition, classes: int, generator: np.random.Generator) -> Plan:
    strata = classes if spec.kind == "dirichlet" else 1
    training, testing = _units(train, classes), _units(test, classes)
    for _ in range(_TRIES):
        shares = _shares(spec, strata, generator)
        clients = _deal(training, shares, generator)[training.of]
        if np.bincount(clients, minlength=spec.clients).min() >= spec.min_images:
            names = tuple(f"hospital-{k}" for k in range(spec.clients))
            return Plan(names, clients, _deal(testing, shares, generator)[testing.of])
    raise ConfigError(
        f"data.partition: in {_TRIES} draws some client always had fewer than {spec.min_images} of the {len(train.labels)} training "
        f"images; lower min_images or clients, or raise alpha"
    )


def _shares(spec: Partition, strata: int, generator: np.random.Generator) -> _Floats:
    """For each stratum what share of it each client gets, [strata, clients]."""
    if spec.kind == "dirichlet":
        return generator.dirichlet(np.full(spec.clients, spec.alpha), size=strata)
    return np.full((strata, spec.clients), 1 / spec.clients)


@dataclass(frozen=True, eq=False)
class _Units:
    """Patients or single images: ``of`` the unit of each image [n], ``size`` images in a unit [u], ``label`` its majority class [u]."""

    of: Ints
    size: Ints
    label: Ints


def _units(rows: Rows, classes: int) -> _Units:
    ids, of = np.unique(rows.patients, return_inverse=True)
    return _Units(of, np.bincount(of, minlength=len(ids)), _majority(of, rows.labels, len(ids), classes))


def _majority(of: Ints, values: Ints, units: int, kinds: int) -> Ints:
    """The most frequent value in each unit, the lowest of equals."""
    table = np.zeros((units, kinds), dtype=np.int64)
    np.add.at(table, (of, values), 1)
    return table.argmax(axis=1) if units else np.empty(0, dtype=np.int64)


def _deal(units: _Units, shares: _Floats, generator: np.random.Generator) -> Ints:
    """The client of each unit: within each stratum the shuffled units are cut at the clients' shares of the images."""
    client = np.empty(len(units.size), dtype=np.int64)
    stratum = units.label if len(shares) > 1 else np.zeros_like(units.label)
    for kind, share in enumerate(shares):
        members = generator.permutation(np.flatnonzero(stratum == kind))
        ends = np.cumsum(units.size[members])
        middles = (ends - units.size[members] / 2) / max(1, ends[-1] if len(ends) else 1)
        client[members] = np.searchsorted(np.cumsum(share)[:-1], middles, side="right")
    return client


def _by_site(train: Rows, test: Rows, spec: Partition) -> Plan:
    if train.sites is None or test.sites is None:
        raise ConfigError("data.partition.kind = 'site': the data set names no sites; choose 'iid', 'dirichlet' or 'patient'")
    home = _home_sites(train.patients, train.sites)
    names = tuple(str(name) for name in np.unique(home))
    if len(names) < 2:
        raise ConfigError(f"data.partition.kind = 'site': there is only one site ({names[0]}); a federation needs at least two")
    clients = np.searchsorted(np.array(names), home)
    _check_sites(names, np.bincount(clients), spec.min_images)
    index = {name: k for k, name in enumerate(names)}
    tested = _home_sites(test.patients, test.sites)
    at = np.array([index.get(str(site), -1) for site in tested], dtype=np.int64)
    return Plan(names, clients, at, int((home != train.sites).sum()), int((tested != test.sites).sum()))


def _home_sites(patients: Strings, sites: Strings) -> Strings:
    """For each image the site that holds most of its patient's images, the alphabetically first of equals."""
    names, site = np.unique(sites, return_inverse=True)
    ids, of = np.unique(patients, return_inverse=True)
    return names[_majority(of, site, len(ids), len(names))[of]]


def _check_sites(names: tuple[str, ...], counts: Ints, min_images: int) -> None:
    small = [f"{name} ({count})" for name, count in zip(names, counts, strict=True) if count < min_images]
    if small:
        raise ConfigError(
            f"data.partition: fewer than min_images = {min_images} training images at {', '.join(small)}; lower min_images"
        )
