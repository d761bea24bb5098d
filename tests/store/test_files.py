"""Durable writes: a file is whole or absent, whatever fails on the way, and a broken one is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from afuic.errors import StoreError
from afuic.store import files

WRITES: dict[str, Callable[[Path], None]] = {
    "bytes": lambda path: files.write_bytes(path, b"new"),
    "json": lambda path: files.write_json(path, {"new": True}),
    "tensors": lambda path: files.write_tensors(path, {"new": torch.ones(3)}),
}


def _full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def _stopped(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_file_appears_with_its_folders_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    files.write_bytes(path, b"content")
    assert path.read_bytes() == b"content"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("fails_in", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.chmod"])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None], fails_in: str
) -> None:
    monkeypatch.setattr(fails_in, _full)
    with pytest.raises(StoreError, match=r"file: cannot be written \(No space left on device\); free space"):
        write(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", [_full, _stopped])
def test_what_was_there_before_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Callable[..., None]) -> None:
    path = tmp_path / "file"
    files.write_bytes(path, b"old")
    monkeypatch.setattr("os.fsync", failure)
    with pytest.raises((StoreError, KeyboardInterrupt)):
        files.write_bytes(path, b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


def test_it_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("os.fsync", lambda _: seen.append((tmp_path / "file").exists()))
    files.write_bytes(tmp_path / "file", b"content")
    assert (seen, (tmp_path / "file").exists()) == ([False], True)


def test_json_keeps_its_values_and_letters(tmp_path: Path) -> None:
    value = {"klinik": "Köln", "list": [1, 2.5, None, True], "nested": {"a": {}}}
    files.write_json(tmp_path / "file.json", value)
    assert files.read_json(tmp_path / "file.json") == value
    assert "Köln" in (tmp_path / "file.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b'{"cut": ', b"\xff\xfe not text"])
def test_broken_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"file\.json: not readable JSON"):
        files.read_json(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent\.json: no such file"):
        files.read_json(tmp_path / "absent.json")
    with pytest.raises(StoreError, match="not readable JSON"):
        files.read_json(tmp_path)
    with pytest.raises(StoreError, match=r"absent\.safetensors: not a readable safetensors file"):
        files.read_tensors(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("content", [b"", b"\x80\x04 a pickle", b"\xff" * 64])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"file\.safetensors: not a readable safetensors file"):
        files.read_tensors(path)


def test_tensors_come_back_in_memory_of_their_own(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3.0), "b": torch.ones(2, 2, requires_grad=True), "t": torch.arange(6.0).view(2, 3).T}
    files.write_tensors(tmp_path / "file", tensors)
    back = files.read_tensors(tmp_path / "file")
    assert {name: t.tolist() for name, t in back.items()} == {name: t.tolist() for name, t in tensors.items()}
    assert all(t.data_ptr() % 64 == 0 for t in back.values())


HOLDER = """
import sys
from pathlib import Path
from afuic.store.files import holding
with holding(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_folder_is_held_by_one_process_at_a_time_and_let_go_when_it_dies(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="b: another process works there"), files.holding(folder):
            pass
        other.kill()
        with files.holding(folder, wait=True):  # goes on as soon as the other is gone
            assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/inner: cannot be written"), files.holding(tmp_path / "file" / "inner"):
        pass
