"""The hospital's side of an erasure request: whose images they are, and what is left without them. Ids never leave the hospital."""

from __future__ import annotations

import numpy as np
import torch

from afuic.data.federation import ClientData
from afuic.errors import DataError
from afuic.identity import meant, quoted
from afuic.text import normal


def choose_patients(client: ClientData, count_or_ids: int | tuple[str, ...], generator: np.random.Generator) -> tuple[str, ...]:
    """The ids given, sorted and each once, or that many drawn at random; DataError for unknown ids or an impossible number."""
    held = sorted(set(client.patients))
    if not isinstance(count_or_ids, int):
        return _known(held, count_or_ids)
    if not 1 <= count_or_ids <= len(held):
        raise DataError(f"cannot choose {count_or_ids} patients: the client holds {len(held)}; ask for 1 to {len(held)}")
    drawn = generator.choice(len(held), count_or_ids, replace=False)
    return tuple(held[index] for index in sorted(drawn.tolist()))


def split_forget(client: ClientData, patients: tuple[str, ...] | None) -> tuple[ClientData, ClientData]:
    """The images to forget and those to retain, in their old order; None forgets them all. DataError for an unknown id."""
    every = tuple(sorted(set(client.patients)))
    wanted = set(every if patients is None else _known(list(every), patients))
    forget = torch.tensor([patient in wanted for patient in client.patients], dtype=torch.bool)
    return client.take(forget.nonzero().flatten()), client.take((~forget).nonzero().flatten())


def _known(held: list[str], ids: tuple[str, ...]) -> tuple[str, ...]:
    wanted = {normal(i) for i in ids}
    unknown = sorted(wanted - set(held))
    if unknown:
        first = ", ".join(f"{quoted(i)}{meant(i, held)}" for i in unknown[:3])
        raise DataError(f"{len(unknown)} of {len(ids)} patients are not held by the client, first {first}; check the ids")
    if not ids:
        raise DataError("no patient named; give at least one id, or ask for the erasure of the whole client")
    return tuple(sorted(wanted))
