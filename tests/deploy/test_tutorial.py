"""The tutorial, literally: every block of it in one shell, in an empty folder, on the data set that it names."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import afuic
from afuic.certify.envelope import verify
from afuic.certify.keys import load_public
from afuic.data.files import cache_dir
from afuic.deploy import running
from afuic.deploy.kernel import Family
from afuic.settings import SERVER_FILE, Server, load
from afuic.store.book import Book

PAGE = Path(__file__).parents[2] / "docs" / "deployment" / "tutorial.md"
NAMED = re.compile(r"--data (\w+)")
WRAPPER = '#!/bin/sh\nexec "{python}" -m afuic.cli "$@"\n'

pytestmark = [pytest.mark.deployment, pytest.mark.slow]


def script() -> str:
    """Its blocks in their order; the first that fails ends it. Only how to install stands in indented lines, which are left out."""
    return "set -eu\n" + "\n".join(
        re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """The empty folder; whatever runs for a federation in it is ended."""
    folder = tmp_path / "empty"
    folder.mkdir()
    yield folder
    if (folder / "federation").exists():
        running.stop(running.place(folder / "federation"))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The test's own programs first; a source tree that is not installed gets an ``afuic`` here."""
    own = Path(sys.executable).parent
    path = [str(own), os.environ["PATH"]]
    if shutil.which("afuic", path=str(own)) is None:
        made = tmp_path / "bin"
        made.mkdir()
        (made / "afuic").write_text(WRAPPER.format(python=sys.executable))
        (made / "afuic").chmod(0o755)
        path.insert(0, str(made))
    source = str(Path(afuic.__file__).parents[1])
    return {**os.environ, "PATH": os.pathsep.join(path), "PYTHONPATH": source, "COLUMNS": "200"}


def test_what_the_tutorial_says_happens(place: Path, environment: dict[str, str]) -> None:
    for name in NAMED.findall(script()):
        if not (cache_dir() / f"{name}.npz").exists():
            pytest.skip(f"{name} is not on this machine; 'afuic data get {name}' fetches it")
    done = subprocess.run(["sh", "-c", script()], cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    federation = place / "federation"
    where = running.place(federation)
    noted = json.loads((where.run / "sessions.json").read_text())["sessions"]
    assert not Family(where.mark, sessions={int(pid): born for pid, born in noted.items()}).members()
    settings = load(federation / SERVER_FILE, Server)
    book = Book.open(settings.database, settings.store)
    try:
        whole, patients = book.requests()
        assert (whole.client, whole.phase, whole.patients) == ("hospital-1", "completed", None)
        assert (patients.client, patients.phase, patients.patients) == ("hospital-0", "completed", 5)
        assert {c.name for c in book.status().clients if c.erased} == {"hospital-1"}
        assert len(book.certificates()) == 2
        assert book.check() < 1e-4
    finally:
        book.close()
    public = load_public(federation / "server" / "certificate.pub")
    assert verify((place / "certificate.json").read_text(), public)
    assert (place / "released.safetensors").stat().st_size > 0
    for said in ("r-", "hospital-1", "ended"):
        assert said in done.stdout
