"""Small sets and files that the tests of the data layer share."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from PIL import Image

from afuic.data import Dataset, phantom, registry
from afuic.data.registry import Entry

torch.set_num_threads(1)


@pytest.fixture
def small() -> Dataset:
    return phantom(3, n=(120, 40, 40))


@pytest.fixture
def with_patients() -> Dataset:
    return phantom(3, n=(240, 60, 60), sites=3, patients=60)


def medmnist_file(path: Path) -> Entry:
    """A tiny file in MedMNIST's layout at ``path``, and the entry that describes it."""
    made = phantom(1, classes=2, n=(6, 3, 3), size=8)
    arrays = {}
    for code, name in enumerate(("train", "val", "test")):
        arrays[f"{name}_images"] = made.images[made.split == code][..., 0]
        arrays[f"{name}_labels"] = made.labels[made.split == code][:, None].astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return Entry("tinymnist", md5, (6, 3, 3), 1, ("a", "b"), "for tests", size=8)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Entry, Path]:
    """A registered set ``tinymnist`` and the good file of it, in a folder ``mirror``."""
    file = tmp_path / "mirror" / "tinymnist.npz"
    entry = medmnist_file(file)
    monkeypatch.setitem(registry._BY_NAME, entry.name, entry)
    return entry, file


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start local web servers: ``serve(body, status, length)`` returns a URL; ``length`` is the Content-Length announced."""
    servers = []

    def start(body: bytes, status: int = 200, length: int | None = None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/tinymnist.npz"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Folder:
    """A hospital's folder of PNG files with a csv, filled row by row."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: list[dict[str, str]] = []

    def add(self, shade: int, *, shape: tuple[int, ...] = (8, 8), write: bool = True, **cells: str) -> None:
        """A picture of one shade; equal shades are exact duplicates."""
        name = f"{len(self.rows)}.png"
        if write:
            Image.fromarray(np.full(shape, shade, dtype=np.uint8)).save(self.root / name)
        self.rows.append({"image": name, **cells})

    def save(self) -> Path:
        path = self.root / "manifest.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        return path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    root = tmp_path / "hospital"
    root.mkdir()
    return Folder(root)
