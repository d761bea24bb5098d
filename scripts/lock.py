"""Write requirements.lock: the exact versions, in this environment, of everything pyproject.toml asks for and what that asks for.

Run it in an environment where the tests pass: ``.venv/bin/python scripts/lock.py``. Local version labels (``+cpu``) are left out, so
that the lock holds for every index.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
HEADER = "# Exact versions for development, tests and the demo; made by scripts/lock.py. Requirements of users are in pyproject.toml.\n"


def wanted() -> list[Requirement]:
    """What pyproject.toml names, for building, running, testing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [text for group in project["project"]["optional-dependencies"].values() for text in group]
    return [Requirement(text) for text in (*project["build-system"]["requires"], *project["project"]["dependencies"], *extras)]


def closure(requirements: list[Requirement]) -> dict[str, str]:
    """Name -> version of the requirements and all that they require here; what is not installed is not needed on this platform."""
    found: dict[str, str] = {}
    visited: set[tuple[str, str]] = set()
    queue = [(r, extra) for r in requirements for extra in ("", *r.extras)]
    while queue:
        requirement, extra = queue.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in visited:
            continue
        visited.add((name, extra))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = package.version.partition("+")[0]
        further = [Requirement(text) for text in package.requires or []]
        queue += [(r, e) for r in further if r.marker is None or r.marker.evaluate({"extra": extra}) for e in ("", *r.extras)]
    return found


def main() -> None:
    """Write the file."""
    lines = [f"{name}=={version}\n" for name, version in sorted(closure(wanted()).items())]
    (ROOT / "requirements.lock").write_text(HEADER + "".join(lines), encoding="utf-8")
    print(f"requirements.lock: {len(lines)} packages")


if __name__ == "__main__":
    main()
