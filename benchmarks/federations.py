"""The federations that the method is chosen and measured on; HAM10000 has to be imported first (docs/data.md)."""

from __future__ import annotations

import os

HAM10000 = os.environ.get("AFUIC_HAM10000_NPZ", "ham10000.npz")
SITES = ("rosendahl", "vidir_molemax", "vidir_modern", "vienna_dias")


def _site(site: str) -> tuple[str, ...]:
    return (
        f"data.name={HAM10000}",
        "data.patient_scope=global",
        "data.partition.kind=site",
        f"requests.0.client={site}",
        f"data.trigger.client={site}",
    )


FEDERATIONS: dict[str, tuple[str, ...]] = {
    "bloodmnist": (),
    "organamnist": ("data.name=organamnist", "data.partition.clients=10", "data.partition.alpha=0.3"),
    **{f"ham10000-{site}": _site(site) for site in SITES},
}
"""Overrides of the default configuration: six hospitals of BloodMNIST (Dirichlet 0.5), ten of OrganAMNIST (0.3), four real sites."""
