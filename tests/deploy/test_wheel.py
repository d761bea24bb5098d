"""The wheel that is installed elsewhere: it holds the package, pip takes it, and no text tells anybody to install afuic by name."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import zipfile
from io import BytesIO
from pathlib import Path
from tomllib import loads

import pytest

import afuic
from afuic.deploy import wheel
from afuic.erase import METHODS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "afuic"
BY_NAME = re.compile(r"(?:pip|pipx|uv)(?: pip)?(?:\s+-\S+)*\s+(?:install|download)\b[^\n`]*?(?<![/.\w-])afuic\b(?![-/.])")
"""An installer that is given the bare name, whatever extra or version follows."""


def written() -> list[Path]:
    """What people read: documents, and the package, whose texts they are shown."""
    return [ROOT / "README.md", ROOT / "DEVELOPERS.md", ROOT / "Makefile", *ROOT.glob("docs/**/*.md"), *SOURCE.rglob("*.py")]


def test_the_pattern_sees_what_it_is_for() -> None:
    given = ("'afuic[deploy]'", "--no-cache-dir 'afuic[deploy]==0.1.0'", "afuic", "-U afuic", '"afuic"')
    assert all(BY_NAME.search(f"pip install {bad}") for bad in given)
    for good in ("pip install '.[deploy]'", "pip install './afuic-0.1.0-py3-none-any.whl[deploy]'", "pip install -e ."):
        assert not BY_NAME.search(good), good


def test_nothing_tells_anybody_to_install_afuic_by_its_name() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {hit}" for path in written() for hit in BY_NAME.findall(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_it_holds_every_file_of_the_package_and_says_so() -> None:
    with zipfile.ZipFile(BytesIO(wheel.build().content)) as archive:
        names = archive.namelist()
        record = archive.read(f"{wheel.INFO}/RECORD").decode().splitlines()
        assert {name for name in names if name.startswith("afuic/")} == {
            f"afuic/{path.relative_to(SOURCE).as_posix()}"
            for path in SOURCE.rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
    assert [line.split(",")[0] for line in record] == names
    assert wheel.build.__wrapped__().digest == wheel.build().digest == hashlib.sha256(wheel.build().content).hexdigest()


def test_its_requirements_are_the_projects_whether_installed_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "_installed", lambda: None)
    with zipfile.ZipFile(BytesIO(wheel.build.__wrapped__().content)) as archive:
        text = archive.read(f"{wheel.INFO}/METADATA").decode()
        assert archive.read(f"{wheel.INFO}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    project = loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert text.startswith(f"Metadata-Version: 2.4\nName: afuic\nVersion: {afuic.__version__}\n")
    assert all(f"\nRequires-Dist: {needed}\n" in text for needed in project["dependencies"])
    assert all(
        f'\nRequires-Dist: {needed}; extra == "deploy"\n' in text for needed in project["optional-dependencies"]["deploy"]
    )


@pytest.mark.parametrize("folder", [".", "hospitals/south"])
def test_every_file_that_an_image_is_built_from_is_there_and_is_the_wheel(made: Path, folder: str) -> None:
    place = made / folder
    lines = (place / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied == [wheel.build().name]
    allowed = (place / ".dockerignore").read_text().split()
    assert allowed == ["*", *(f"!{name}" for name in copied)], "nothing else of the folder, which holds keys, reaches the build"
    assert all((place / name).read_bytes() == wheel.build().content for name in copied)
    run = next(line.removeprefix("RUN ") for line in lines if "sha256sum" in line)
    assert run.index("sha256sum -c -") < run.index("pip install"), "the hash is checked before anything is installed"
    assert f"'/tmp/{copied[0]}[deploy]'" in run
    assert wheel.build().digest in shlex.split(run)[1]
    check = ["sha256sum", "-c", f"{wheel.build().name}.sha256"]
    assert subprocess.run(check, cwd=place, capture_output=True, text=True, check=True).stdout.endswith("OK\n")
    (unit,) = (place / "systemd").iterdir()
    assert f"pip install './{copied[0]}[deploy]'" in unit.read_text()


def test_the_words_that_go_with_the_files_say_the_digest(made: Path) -> None:
    assert wheel.build().digest in (made / "README.txt").read_text()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment in which nothing but the wheel was installed; what it needs is looked up where the tests run."""
    folder = tmp_path_factory.mktemp("fresh")
    dist = folder / "dist"
    subprocess.run([sys.executable, ROOT / "scripts" / "wheel.py", dist], check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    own = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True).strip()
    Path(own, "elsewhere.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (file,) = dist.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, "--ignore-installed", file], check=True, capture_output=True)
    return folder / "venv" / "bin"


def call(installed: Path, *command: str, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"COLUMNS": "200"}
    done = subprocess.run(
        [installed / command[0], *command[1:]], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_fresh_environment_runs_it_with_all_its_files(installed: Path, tmp_path: Path) -> None:
    assert call(installed, "afuic", "--version", cwd=tmp_path) == f"afuic {afuic.__version__}\n"
    listed = call(installed, "afuic", "methods", cwd=tmp_path)
    assert all(name in listed for name in METHODS)
    assert "Usage: afuic verify" in call(installed, "afuic", "verify", "--help", cwd=tmp_path)
    place = call(installed, "python", "-c", "import afuic; print(afuic.__file__)", cwd=tmp_path)
    assert Path(place.strip()).is_relative_to(installed.parent), "not the clone's"
    package = Path(place.strip()).parent
    assert all(
        (package / path.relative_to(SOURCE)).is_file() for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc"
    )
    call(installed, "afuic", "deploy", "init", "made", "--hospitals", "2", "--data", "phantom", cwd=tmp_path)
    again = tmp_path / "made" / wheel.build().name
    assert again.read_bytes() == wheel.build().content, "what was installed from it makes it again"
