"""Every training image is at exactly one hospital, no patient at two, and test images follow the same law."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from afuic.config import Data, Partition
from afuic.data import Dataset, federate
from afuic.data.partition import Plan, Rows, divide
from afuic.errors import ConfigError
from afuic.rng import stream


def rows(labels: list[int], patients: list[str] | None = None, sites: list[str] | None = None) -> Rows:
    ids = patients or [str(k) for k in range(len(labels))]
    return Rows(
        np.array(labels, dtype=np.int64), np.array(ids), None if sites is None else np.array(sites), patients is not None
    )


def owners(plan: Plan, given: Rows) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for patient, client in zip(given.patients.tolist(), plan.train.tolist(), strict=True):
        found.setdefault(patient, set()).add(client)
    return found


@settings(max_examples=40, deadline=None)
@given(
    data=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 39)), min_size=100, max_size=200),
    clients=st.integers(2, 4),
    kind=st.sampled_from(["iid", "dirichlet", "patient"]),
    seed=st.integers(0, 1000),
)
def test_patients_never_straddle_and_every_image_is_dealt(
    data: list[tuple[int, int]], clients: int, kind: str, seed: int
) -> None:
    train = rows([label for label, _ in data], [f"p{patient}" for _, patient in data])
    spec = Partition.model_validate({"kind": kind, "clients": clients, "min_images": 1, "alpha": 1.0})
    try:
        plan = divide(train, train, spec, 4, stream(seed))
    except ConfigError:
        reject()
    assert plan.train.min() >= 0
    assert plan.train.max() < clients
    assert np.bincount(plan.train, minlength=clients).min() >= 1
    assert all(len(where) == 1 for where in owners(plan, train).values())


@settings(max_examples=40, deadline=None)
@given(n=st.integers(60, 300), clients=st.integers(2, 6), seed=st.integers(0, 1000), alpha=st.sampled_from([0.3, 1.0, 100.0]))
def test_dirichlet_keeps_the_minimum_and_gives_test_images_the_same_proportions(
    n: int, clients: int, seed: int, alpha: float
) -> None:
    train = rows([k % 3 for k in range(n)])
    spec = Partition(kind="dirichlet", alpha=alpha, clients=clients, min_images=5)
    plan = divide(train, train, spec, 3, stream(seed))
    assert np.bincount(plan.train, minlength=clients).min() >= 5
    for label in range(3):
        mine, theirs = (np.bincount(side[train.labels == label], minlength=clients) for side in (plan.train, plan.test))
        assert mine.tolist() == theirs.tolist()


def test_iid_shares_are_equal() -> None:
    # 103 images over 4 clients, cut where (i + 1/2) / 103 passes 1/4, 1/2, 3/4: i <= 25.25, 51, 76.75, so 26 + 25 + 26 + 26
    plan = divide(rows([0] * 103), rows([0] * 8), Partition(kind="iid", clients=4, min_images=1), 2, stream(0))
    assert np.bincount(plan.train).tolist() == [26, 25, 26, 26]
    assert np.bincount(plan.test).tolist() == [2, 2, 2, 2]


def test_a_small_alpha_is_uneven_and_a_large_one_even() -> None:
    train = rows([k % 4 for k in range(4000)])

    def spread(alpha: float) -> float:
        plan = divide(train, train, Partition(alpha=alpha, clients=5, min_images=1), 4, stream(1))
        return float(np.std([np.bincount(plan.train[train.labels == k], minlength=5) for k in range(4)]))

    assert spread(0.1) > 5 * spread(100.0)


def test_dirichlet_deals_whole_patients_by_their_majority_class() -> None:
    # one patient of two images of class 1 and one of class 0 goes with class 1
    train = rows([1, 1, 0] * 40, [f"p{k // 3}" for k in range(120)])
    plan = divide(train, train, Partition(alpha=1.0, clients=2, min_images=3), 2, stream(0))
    assert plan.train.reshape(40, 3).std(axis=1).max() == 0


def test_an_impossible_minimum_is_an_error() -> None:
    with pytest.raises(ConfigError, match="6 clients with at least 64 images each need more than the 300 training images"):
        divide(rows([0] * 300), rows([0]), Partition(), 1, stream(0))
    with pytest.raises(ConfigError, match=r"in 500 draws .* fewer than 40"):
        divide(rows([0] * 100), rows([0]), Partition(alpha=1e-5, clients=2, min_images=40), 1, stream(0))


def test_patient_partition_needs_patients() -> None:
    with pytest.raises(ConfigError, match="names no patients"):
        divide(rows([0] * 100), rows([0]), Partition(kind="patient", clients=2, min_images=1), 1, stream(0))


class TestSites:
    spec = Partition(kind="site", min_images=1)

    def test_each_site_is_a_client_and_a_patient_counts_at_its_main_site(self) -> None:
        train = rows([0] * 5, ["p", "p", "p", "q", "r"], ["ulm", "bonn", "ulm", "bonn", "bonn"])
        test = rows([0] * 3, ["s", "t", "u"], ["ulm", "bonn", "kiel"])
        plan = divide(train, test, self.spec, 1, stream(0))
        assert plan.names == ("bonn", "ulm")
        assert plan.train.tolist() == [1, 1, 1, 0, 0]
        assert plan.test.tolist() == [1, 0, -1]
        assert plan.moved == 1

    def test_errors(self) -> None:
        with pytest.raises(ConfigError, match="names no sites"):
            divide(rows([0]), rows([0]), self.spec, 1, stream(0))
        one = rows([0, 0], None, ["a", "a"])
        with pytest.raises(ConfigError, match=r"only one site \(a\)"):
            divide(one, one, self.spec, 1, stream(0))
        two = rows([0, 0, 0], None, ["a", "a", "b"])
        with pytest.raises(ConfigError, match=r"min_images = 2 training images at b \(1\)"):
            divide(two, two, Partition(kind="site", min_images=2), 1, stream(0))

    def test_through_federate(self, with_patients: Dataset) -> None:
        config = Data(name="phantom", partition=Partition(kind="site", min_images=5), calibration=10)
        federation = federate(with_patients, config, 0)
        assert tuple(federation.clients) == ("site-0", "site-1", "site-2")
        held = [set(client.patients) for client in federation.clients.values()]
        assert sum(map(len, held)) == len(set.union(*held))
        assert with_patients.site is not None
        test_sites = with_patients.site[with_patients.rows(2)]
        assert [tuple(federation.clients)[k] for k in federation.test.client.tolist()] == test_sites.tolist()
