"""Text tables from outside: a set's csv, and a clerk's list of patients.

Read strictly: a row is one line. A quote that is opened and not closed on its line would swallow the rows up to the next quote.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from afuic.errors import ManifestError
from afuic.identity import column_meant, heading, ignored_columns, missing, names, quoted
from afuic.text import normal, shown

PATIENT = "patient"
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_OTHERS = {
    ".xlsx": "an Excel workbook", ".xls": "an Excel workbook", ".ods": "a spreadsheet", ".parquet": "a Parquet file",
    ".dcm": "a DICOM file", ".dicom": "a DICOM file", ".nii": "a NIfTI file", ".gz": "a compressed file", ".zip": "a compressed file",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A csv with a header: ``columns`` by heading, without blanks around cells; ``lines``: where each row is, counted from 1."""

    columns: Mapping[str, Sequence[str]]
    lines: Sequence[int]
    ignored: tuple[str, ...]

    def place(self, row: int) -> str:
        """Where row number ``row``, from 0, is in the file."""
        return f"row {row + 1}, line {self.lines[row]}"


def read_table(path: Path, known: Sequence[str], required: Sequence[str], ignore: Sequence[str] = ()) -> Table:
    """The table in ``path``; ManifestError names the line that is wrong, or the heading that is missing, repeated or misspelt.

    ``known``: headings that are read; ``required``: those of them that must be there; ``ignore``: headings that are left alone though
    they look like one that is read.
    """
    rows = _rows(path)
    header = [normal(cell) for cell in rows[0][1]] if rows else []
    where = str(path)
    _check_separator(path, header)
    lacking = [name for name in required if name not in header]
    if lacking or len(rows) < 2:
        lack = (
            f"no column {', '.join(map(repr, lacking))} in its header ({', '.join(map(shown, header))})"
            if lacking
            else "no rows"
        )
        like = [name for name in header if name not in known and column_meant(name) in lacking]
        hint = f"; {quoted(like[0])} looks like one" if like else ""
        raise ManifestError(f"{path}: {lack}; the columns are {_listed(known, required)}{hint}")
    way_out = "rename it, or say --ignore with its heading if it is something else"
    ignored = ignored_columns(header, {name: name for name in known}, where, ignore, way_out=way_out)
    _check_lengths(path, rows, len(header))
    columns = {name: [cells[k] for _, cells in rows[1:]] for k, name in enumerate(header)}
    _check_quotes(path, columns, known, rows)
    return Table(columns, [line for line, _ in rows[1:]], ignored)


def read_ids(path: Path) -> tuple[str, ...]:
    """The ids in the column ``patient``, or in the only column of a file without a header; ManifestError names the line that is wrong."""
    rows = _rows(path)
    header = [normal(cell) for cell in rows[0][1]] if rows else []
    _check_separator(path, header)
    _check_width(path, rows, len(header))
    if PATIENT not in header and len(header) > 1:
        raise ManifestError(f"{path}: several columns, and none is headed {PATIENT!r}; head the one with the ids so")
    if PATIENT in header:
        ignored_columns(header, {PATIENT: PATIENT}, str(path), way_out="take one of the two out")
        place, rows = header.index(PATIENT), rows[1:]
    else:
        place = 0
        _check_no_heading(path, rows)
    cells = [_cell(path, line, row, place) for line, row in rows]
    if not cells:
        raise ManifestError(f"{path}: no patient in it; write one id a line, or a column headed {PATIENT!r}")
    found = names(cells, "patients", str(path), lambda k: f"line {rows[k][0]}")
    return tuple(dict.fromkeys(found))


def _cell(path: Path, line: int, row: list[str], place: int) -> str:
    if len(row) <= place or not row[place]:
        raise ManifestError(f"{path}, line {line}: no id in it; write one, or delete the line")
    if missing(row[place]):
        raise ManifestError(f"{path}, line {line}: {quoted(row[place])} names no patient; write an id, or delete the line")
    if '"' in row[place]:
        raise ManifestError(f"{path}, line {line}: {quoted(row[place])} has a quote in it; correct it")
    return row[place]


def _check_no_heading(path: Path, rows: list[tuple[int, list[str]]]) -> None:
    """The only column has no heading that we know: what looks like one must not become a patient."""
    first = rows[0][1][0] if rows else ""
    if heading(first).isalpha() and column_meant(first) == PATIENT:
        raise ManifestError(f"{path}: its heading {quoted(first)} is not {PATIENT!r}; write that, or leave the heading out")


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows with anything in them, with the number of the line; cells without blanks around them."""
    if kind := _OTHERS.get(path.suffix.lower()):
        raise ManifestError(f"{path}: {kind}, not a csv; write a csv (UTF-8, commas) that names the images as 8-bit PNG files")
    found: list[tuple[int, list[str]]] = []
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                line += 1
                if reader.line_num != line:
                    raise ManifestError(
                        f"{path}: a quote is opened on line {line} and not closed on it, so that the text up to line {reader.line_num} "
                        f"would be one cell; delete the quote, or the line breaks in the cell"
                    )
                if any(cell.strip() for cell in row):
                    found.append((line, [cell.strip() for cell in row]))
    except OSError as error:
        raise ManifestError(
            f"{path}: cannot be read as csv ({error.strerror or error}); give a UTF-8 file with a header"
        ) from None
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: cannot be read as csv ({error}); save it as UTF-8") from None
    except csv.Error as error:
        raise ManifestError(
            f"{path}: cannot be read as csv ({error}, line {line + 1}); close each quote on its line, and double those within a cell"
        ) from None
    return found


def _check_separator(path: Path, header: Sequence[str]) -> None:
    for sign, word in _SEPARATORS.items():
        if any(sign in cell for cell in header):
            raise ManifestError(f"{path}: its cells are separated by {word}; save it as csv with commas (UTF-8)")


def _check_lengths(path: Path, rows: list[tuple[int, list[str]]], columns: int) -> None:
    for line, cells in rows:
        if len(cells) != columns:
            many = "more" if len(cells) > columns else "fewer"
            raise ManifestError(
                f"{path}: line {line} has {many} cells than the header; put a text with commas in double quotes"
            )


def _check_quotes(
    path: Path, columns: Mapping[str, Sequence[str]], known: Sequence[str], rows: list[tuple[int, list[str]]]
) -> None:
    for name in (name for name in known if name in columns):
        for row, cell in enumerate(columns[name]):
            if '"' in cell:
                raise ManifestError(
                    f"{path}: line {rows[row + 1][0]}: {name} is {quoted(cell)}, with a quote in it; correct it"
                )


def _check_width(path: Path, rows: list[tuple[int, list[str]]], columns: int) -> None:
    """A cell beyond the first line's would be an id that nobody reads."""
    for line, cells in rows:
        if any(cells[columns:]):
            raise ManifestError(f"{path}, line {line}: it has more cells than the first line; write one id a line")


def _listed(known: Sequence[str], required: Sequence[str]) -> str:
    return f"{', '.join(required)} and optionally {', '.join(name for name in known if name not in required)}"
