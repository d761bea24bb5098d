"""A hospital's results until the server has them safe: what was computed once is answered again, byte for byte, and never computed twice.

A result is two files, the tensors and then the document, which alone makes it valid. Files are named by a hash, since a task's name
comes from outside. ``basis`` says what a result follows from; one that follows from anything else is thrown away, not sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from afuic.document import parse_json
from afuic.engines.hospital import files
from afuic.errors import JsonError

FORMAT = "afuic-result/1"
KEPT = 16
"""At most so many results: a server that never confirms any must not fill the hospital's disk."""
DOCUMENT, TENSORS = ".json", ".safetensors"


class Outbox:
    """The results in ``folder``; one desk at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, task: str, basis: str, document: bytes, tensors: bytes) -> None:
        """Make a result durable."""
        head = {"format": FORMAT, "basis": basis, "tensors": _digest(tensors), "document": document.decode()}
        files.keep(self._path(task, TENSORS), tensors)
        files.keep(self._path(task, DOCUMENT), json.dumps(head).encode())
        self._bound()

    def find(self, task: str, basis: str) -> tuple[bytes, bytes] | None:
        """The document and the tensors of a task done before; None, and nothing is left of it, where it is another's or broken."""
        head = self._head(self._path(task, DOCUMENT))
        if head.get("format") == FORMAT and head.get("basis") == basis:
            document, tensors = head.get("document"), _read(self._path(task, TENSORS))
            if isinstance(document, str) and tensors is not None and _digest(tensors) == head.get("tensors"):
                return document.encode(), tensors
        self.drop((task,))
        return None

    def drop(self, tasks: Iterable[str]) -> None:
        """Delete the results of these tasks, where there are any."""
        there = [path for task in tasks for suffix in (DOCUMENT, TENSORS) if (path := self._path(task, suffix)).exists()]
        files.remove(there)

    def clear(self) -> None:
        """Delete every result, the halves of one among them."""
        if self.folder.is_dir():
            files.remove(path for path in sorted(self.folder.iterdir()) if path.is_file())

    def _bound(self) -> None:
        """Only the newest results stay, and nothing that a crash left half written."""
        documents = sorted(files.listed(self.folder, DOCUMENT), key=_written)
        kept = {path.stem for path in documents[-KEPT:]}
        files.remove(path for path in sorted(self.folder.iterdir()) if path.is_file() and path.stem not in kept)

    def _head(self, path: Path) -> dict[str, Any]:
        try:
            value = parse_json(_read(path) or b"{}")
        except JsonError:
            return {}
        return value if isinstance(value, dict) else {}

    def _path(self, task: str, suffix: str) -> Path:
        return self.folder / (hashlib.sha256(task.encode()).hexdigest() + suffix)


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # a withdrawal has just cleared the outbox
        return 0


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
