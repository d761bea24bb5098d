"""Models on disk under the digest of their content: the same model is stored once, and an edited one is noticed when it is read."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from afuic.errors import StoreError
from afuic.params import Params, digest
from afuic.store import codec
from afuic.store.files import read_json, read_tensors, sync_folder, write_bytes, write_json, writing

SUFFIX = ".safetensors"
MARK = "store.json"
MOST, PIECE = 32, 32


class Blobs:
    """A folder of safetensors files named by digest. One process writes and deletes; others may read meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, for this user alone."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            sync_folder(self.folder)
            sync_folder(self.folder.parent)

    def require(self, key: str) -> None:
        """StoreError unless this folder belongs to the database whose mark is ``key``: another's files would be taken for rubbish."""
        if self._mark().get("mark") != key or not self.folder.is_dir():
            raise StoreError(
                f"{self.folder.parent}: does not belong to this database; name the folder it was made with, or restore that from a backup"
            )

    def begin(self) -> str:
        """Mark the folder as one in which a store is being made; the store's mark, random. Durable when it returns."""
        return self._write({"mark": secrets.token_hex(16), "making": True})

    def begun(self) -> bool:
        """Whether the making of a store has begun here and not ended."""
        return "making" in self._mark()

    def finish(self, key: str) -> None:
        """The store with this mark has been made."""
        if self.begun():
            self._write({"mark": key})

    def empty(self) -> bool:
        """Whether nothing is here but what the making of a store can have left that was cut short."""
        place = self.folder.parent
        if not place.exists():
            return True
        if self.begun():
            return sum(not path.name.startswith(".") for path in self._files()) <= 1
        return all(path.name == "lost+found" for path in place.iterdir())

    def _mark(self) -> dict[str, Any]:
        path = self.folder.parent / MARK
        found = read_json(path) if path.exists() else {}
        return found if isinstance(found, dict) else {}

    def _write(self, content: dict[str, Any]) -> str:
        place = self.folder.parent
        write_json(place / MARK, content)
        sync_folder(place)
        return str(content["mark"])

    def put(self, params: Params) -> str:
        """Store a model, durable when this returns; its digest."""
        name = digest(params)
        content, path = codec.tensor_bytes(_apart(params)), self.path(name)
        if not (path.exists() and path.stat().st_size == len(content)):
            known = path.parent.exists()
            write_bytes(path, content)
            sync_folder(path.parent)
            if not known:
                sync_folder(self.folder)
        return name

    def get(self, name: str) -> dict[str, torch.Tensor]:
        """The model of that digest; StoreError where it is missing or its bytes are others."""
        path = self.path(name)
        if not path.exists():
            raise StoreError(f"{path}: no such model; it was removed by retention or by a purge, or restore it from a backup")
        found = read_tensors(path)
        if digest(found) != name:
            raise StoreError(
                f"{path}: its content is not what its name says; it was changed from outside, restore it from a backup"
            )
        return found

    def path(self, name: str) -> Path:
        """Where the model of that digest is or would be."""
        number = name.removeprefix("sha256:")
        return self.folder / number[:2] / f"{number}{SUFFIX}"

    def delete(self, names: Iterable[str]) -> None:
        """Delete those of the models that are there."""
        paths = {self.path(name) for name in names}
        for path in sorted(paths):
            with writing(path):
                path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths if path.parent.exists()}:
            sync_folder(folder)

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Bytes of those of the models that are there."""
        return {name: self.path(name).stat().st_size for name in names if self.path(name).exists()}

    def unnamed(self, used: Collection[str]) -> list[Path]:
        """Whole files that are not a used model; what a killed process has left half-written is deleted."""
        wanted, found = {self.path(name) for name in used}, []
        for path in self._files():
            if path.name.startswith(".") and f"{SUFFIX}." in path.name:
                remove(path)
            elif path not in wanted:
                found.append(path)
        return found

    def found(self, names: Collection[str]) -> list[str]:
        """Those of ``names`` that some file still holds, whatever it is called, and the files that cannot be read: by what is in them."""
        left = {name for name in names if self.path(name).exists()}
        for path in self._files():
            try:
                left |= {digest(read_tensors(path))} & set(names)
            except StoreError:
                if path.exists():
                    left.add(f"{path.relative_to(self.folder)} (unreadable)")
        return sorted(left)

    def pieces(self, names: Iterable[str]) -> list[bytes]:
        """Some bytes of what those of the models hold that are there, by which a copy is known elsewhere: of at most ``MOST`` models."""
        paths = [path for path in map(self.path, sorted(names)) if path.exists()]
        step = max(1, -(-len(paths) // MOST))
        return [piece for path in paths[::step] for piece in _pieces(path)]

    def size(self) -> int:
        """Bytes of all files."""
        total = 0
        for path in self._files():
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue
        return total

    def free(self) -> int:
        """Bytes free on the disk."""
        return shutil.disk_usage(self.folder).free

    def _files(self) -> Iterator[Path]:
        yield from (path for path in sorted(self.folder.rglob("*")) if path.is_file())


class Stored:
    """Stores every model it is called with, each once, and remembers under what digest: for ``codec.encode``."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self._known: dict[int, tuple[str, Params]] = {}

    def __call__(self, params: Params) -> str:
        if id(params) not in self._known:
            self._known[id(params)] = (self.blobs.put(params), params)
        return self._known[id(params)][0]

    @property
    def digests(self) -> frozenset[str]:
        """Of all of them."""
        return frozenset(name for name, _ in self._known.values())


def _pieces(path: Path) -> Iterator[bytes]:
    """Three of ``PIECE`` bytes from inside the numbers, which are the same in every file of that model; none that is all alike."""
    size = path.stat().st_size
    with path.open("rb") as file:
        begin = 8 + int.from_bytes(file.read(8), "little")
        for quarter in (1, 2, 3):
            file.seek(begin + (size - begin) * quarter // 4)
            piece = file.read(PIECE)
            if len(piece) == PIECE and len(set(piece)) > PIECE // 4:
                yield piece


def remove(path: Path) -> None:
    """Delete one file."""
    with writing(path):
        path.unlink()


def _apart(params: Params) -> Params:
    """The model, copied where two of its tensors hold the same memory: a file of tensors cannot share."""
    places = {tensor.untyped_storage().data_ptr() for tensor in params.values()}
    return params if len(places) == len(params) else {name: tensor.detach().clone() for name, tensor in params.items()}
