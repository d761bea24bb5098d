"""A list of patients in a csv: what a hospital's clerk writes when some of its patients withdraw."""

from __future__ import annotations

import csv
from pathlib import Path

from afuic.errors import ManifestError

COLUMN = "patient"


def read_ids(path: Path) -> tuple[str, ...]:
    """The ids in the column ``patient``, or in the only column of a file without a header; ManifestError names the line that is wrong."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [
                (number, row)
                for number, row in enumerate(csv.reader(file, strict=True), 1)
                if any(cell.strip() for cell in row)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise ManifestError(f"{path}: not a readable csv ({why}); write one id a line, or a column headed {COLUMN!r}") from None
    header = [cell.strip() for cell in rows[0][1]] if rows else []
    if COLUMN not in header and len(header) > 1:
        raise ManifestError(f"{path}: several columns, and none is headed {COLUMN!r}; head the one with the ids so")
    place = header.index(COLUMN) if COLUMN in header else 0
    ids = [_cell(path, number, row, place) for number, row in rows[COLUMN in header :]]
    if not ids:
        raise ManifestError(f"{path}: no patient in it; write one id a line, or a column headed {COLUMN!r}")
    return tuple(dict.fromkeys(ids))


def _cell(path: Path, number: int, row: list[str], place: int) -> str:
    if len(row) <= place or not row[place].strip():
        raise ManifestError(f"{path}, line {number}: no id in it; write one, or delete the line")
    return row[place].strip()
