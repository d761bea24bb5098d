"""A model that leaves the federation: checked against its digest, and with its lineage inside the file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save

from afuic.errors import StoreError
from afuic.params import digest
from afuic.store.files import load_tensors, write_bytes
from afuic.store.rows import VersionRow

LINEAGE = "afuic.lineage"
OTHERS = ("other_contributors", "other_taught_by")
FIELDS = ("version", "step", "at", "digest", "contributors", "taught_by", "why", *OTHERS)


def export(content: bytes, row: VersionRow, out: Path) -> None:
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
    write_bytes(out, save(tensors, {LINEAGE: json.dumps(lineage)}))
