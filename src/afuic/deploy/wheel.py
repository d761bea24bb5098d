"""The afuic that runs here as a wheel, so that server and hospitals install exactly it, checked by its hash.

afuic is on no package index: a name there is whoever's registers it first, and would run their code. So nothing names it there, and what is
installed is a file. The same source gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import afuic

ROOT = Path(afuic.__file__).parent
INFO = f"afuic-{afuic.__version__}.dist-info"
EPOCH = (1980, 1, 1, 0, 0, 0)
MODE = 0o100644 << 16
KIND = "Wheel-Version: 1.0\nGenerator: afuic\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
COMMANDS = "[console_scripts]\nafuic = afuic.cli:main\n"


@dataclass(frozen=True)
class Wheel:
    """A file to be installed by pip, under the name that it needs."""

    name: str
    content: bytes

    @property
    def digest(self) -> str:
        """sha256 as 64 hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def sums(self) -> str:
        """What ``sha256sum -c`` reads, beside the file as NAME.sha256."""
        return f"{self.digest}  {self.name}\n"

    @property
    def files(self) -> Mapping[str, bytes]:
        """The wheel and its sums by name."""
        return {self.name: self.content, f"{self.name}.sha256": self.sums.encode()}


@cache
def build() -> Wheel:
    """The wheel of the package that this process imported, with every file in it; FileNotFoundError where it is neither installed nor
    in a clone.
    """
    members = dict(_members())
    lines = [f"{path},sha256={_encoded(content)},{len(content)}" for path, content in members.items()]
    members[f"{INFO}/RECORD"] = "\n".join([*lines, f"{INFO}/RECORD,,", ""]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in members.items():
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, MODE
            archive.writestr(entry, content)
    return Wheel(f"afuic-{afuic.__version__}-py3-none-any.whl", buffer.getvalue())


def _members() -> Iterator[tuple[str, bytes]]:
    for path in sorted(ROOT.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield f"afuic/{path.relative_to(ROOT).as_posix()}", path.read_bytes()
    metadata, licence = _installed() or _cloned()
    for name, text in (("METADATA", metadata), ("WHEEL", KIND), ("entry_points.txt", COMMANDS), ("licenses/LICENSE", licence)):
        yield f"{INFO}/{name}", text.encode()


def _installed() -> tuple[str, str] | None:
    """Name, version and requirements, without the long description, and the licence; None where afuic is not installed."""
    try:
        found = distribution("afuic")
    except PackageNotFoundError:
        return None
    metadata, licence = found.read_text("METADATA"), found.read_text("licenses/LICENSE")
    return None if metadata is None or licence is None else (metadata.partition("\n\n")[0].rstrip("\n") + "\n", licence)


def _cloned() -> tuple[str, str]:
    """The same of a clone."""
    clone = ROOT.parents[1]
    project = tomllib.loads((clone / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return _of_project(project), (clone / "LICENSE").read_text(encoding="utf-8")


def _of_project(project: Mapping[str, Mapping[str, list[str]]]) -> str:
    lines = ["Metadata-Version: 2.4", f"Name: {project['name']}", f"Version: {project['version']}"]
    lines += [
        f"License-Expression: {project['license']}",
        "License-File: LICENSE",
        f"Requires-Python: {project['requires-python']}",
    ]
    lines += [f"Requires-Dist: {needed}" for needed in project["dependencies"]]
    for extra, every in project["optional-dependencies"].items():
        plain = (needed.partition(";")[0].strip() for needed in every)
        lines += [f"Provides-Extra: {extra}", *(f'Requires-Dist: {needed}; extra == "{extra}"' for needed in plain)]
    return "\n".join(lines) + "\n"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
