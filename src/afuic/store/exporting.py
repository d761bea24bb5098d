"""A model in a file of its own, for use elsewhere: its tensors, and in the metadata where they come from and what network they belong to.

One entry of metadata holds all of it: safetensors writes several in any order, and the same model should be the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import save

from afuic.document import parse_json
from afuic.errors import JsonError, StoreError
from afuic.params import Params, digest
from afuic.settings import Architecture
from afuic.store.files import load_tensors, read_tensors, write_bytes
from afuic.store.rows import VersionRow

LINEAGE = "afuic.lineage"
OTHERS = ("other_contributors", "other_taught_by")
FIELDS = ("version", "step", "at", "digest", "contributors", "taught_by", "why", *OTHERS)


def export(content: bytes, row: VersionRow, network: Architecture, out: Path) -> None:
    """Write the tensors in ``content`` to ``out`` with ``row`` in the metadata; StoreError where they are not that version's."""
    try:
        tensors = load_tensors(content)
    except StoreError as error:
        raise StoreError(f"version {row.version}: what came is not safetensors ({error}); fetch it again") from None
    if digest(tensors) != row.digest:
        raise StoreError(
            f"version {row.version}: what came has another digest than {row.digest}; fetch it again, and tell the operator"
        )
    lineage = {name: value for name, value in asdict(row).items() if name in FIELDS and (value or name not in OTHERS)}
    write_bytes(out, save(tensors, _metadata(lineage, network)))


def write_model(out: Path, tensors: Params, network: Architecture, why: str) -> None:
    """Write a run's model to ``out``; ``why``: which one it is."""
    whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    write_bytes(out, save(whole, _metadata({"digest": digest(tensors), "why": why}, network)))


def _metadata(lineage: dict[str, Any], network: Architecture) -> dict[str, str]:
    return {LINEAGE: json.dumps(lineage | {"network": network.model_dump(mode="json")})}


def read_model(path: Path) -> tuple[Params, Architecture]:
    """The tensors of a file that ``export`` or ``write_model`` wrote, and their network.

    StoreError for any other file, and for tensors that are not those it was written with.
    """
    tensors = read_tensors(path)
    with safe_open(path, "pt") as file:
        text = (file.metadata() or {}).get(LINEAGE, "{}")
    try:
        lineage = parse_json(text)
        network = Architecture.model_validate(lineage.get("network"))
    except (JsonError, AttributeError, ValidationError):
        raise StoreError(
            f"{path}: does not say what network its tensors belong to; give a model that a run or 'afuic models export' wrote"
        ) from None
    if digest(tensors) != lineage.get("digest"):
        raise StoreError(f"{path}: its tensors are not those it was written with; get the file again")
    return tensors, network
