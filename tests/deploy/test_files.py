"""The folder appears whole or not at all, nothing is overwritten, and a secret is for its owner alone."""

from __future__ import annotations

import os
import stat

import pytest

from afuic.deploy.files import File, text, write_tree
from afuic.errors import ConfigError, StoreError


def test_contents_modes_and_empty_folders(tmp_path):
    before = os.umask(0)
    try:
        write_tree(tmp_path / "a" / "b", {"x/secret": text("s", secret=True), "x/open": File(b"o"), "x/y/empty": None})
    finally:
        os.umask(before)
    modes = {path.relative_to(tmp_path): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if "b" in path.parts}
    assert {str(path): oct(mode) for path, mode in modes.items()} == {
        "a/b": "0o700",
        "a/b/x": "0o700",
        "a/b/x/secret": "0o600",
        "a/b/x/open": "0o644",
        "a/b/x/y": "0o700",
        "a/b/x/y/empty": "0o700",
    }
    assert (tmp_path / "a/b/x/secret").read_text() == "s"


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "new").mkdir()
    write_tree(tmp_path / "new", {"x": text("1")})
    assert (tmp_path / "new" / "x").read_text() == "1"


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_there_is_never_touched(tmp_path, kind):
    target = tmp_path / "there"
    if kind == "folder":
        target.mkdir()
        (target / "mine").write_text("mine")
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path)
    with pytest.raises(ConfigError, match=str(target)):
        write_tree(target, {"x": text("1")})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]


def test_a_failure_leaves_nothing_behind(tmp_path):
    def fails(built):
        assert (built / "x").exists()
        raise StoreError("no room")

    with pytest.raises(StoreError, match="no room"):
        write_tree(tmp_path / "new", {"x": text("1")}, fails)
    assert list(tmp_path.iterdir()) == []
