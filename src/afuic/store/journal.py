"""The append-only record of a run: one JSON object a line, in the order in which things happened."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from afuic.document import parse_json
from afuic.errors import JsonError, StoreError
from afuic.store.files import writing


class Journal:
    """Appends lines; ``sync`` makes them durable and says how many there are, which is what a checkpoint refers to."""

    def __init__(self, path: Path, keep: int = 0) -> None:
        self.path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.count = _truncate(path, keep)
            self._file = path.open("a", encoding="utf-8")

    def append(self, line: Mapping[str, Any]) -> None:
        """Add one object."""
        with writing(self.path):
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.count += 1

    def sync(self) -> int:
        """Make everything appended durable; the number of lines."""
        with writing(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
        return self.count

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with writing(self.path):
            self._file.close()


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal; StoreError names the first that is broken."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                yield _parse(path, number, line)
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: not readable ({error})") from None


def merge(paths: Iterable[Path]) -> bytes:
    """Several journals one after the other, as bytes."""
    return b"".join(path.read_bytes() for path in paths)


def _parse(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = parse_json(line)
    except JsonError as error:
        raise StoreError(f"{path}, line {number}: {error}; the file was cut off or edited") from None
    if not isinstance(value, dict):
        raise StoreError(f"{path}, line {number}: not a JSON object")
    return value


def _truncate(path: Path, keep: int) -> int:
    if not path.exists():
        if keep:
            raise StoreError(f"{path}: gone, although a checkpoint refers to {keep} lines of it")
        return 0
    with path.open("rb") as file:
        kept = [len(line) for line in itertools.islice(file, keep) if line.endswith(b"\n")]
    if len(kept) < keep:
        raise StoreError(
            f"{path}: holds {len(kept)} whole lines, although a checkpoint refers to {keep}; it was cut off or edited"
        )
    os.truncate(path, sum(kept))
    return keep
