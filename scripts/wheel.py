"""Make afuic's wheel of this clone and its sha256 beside it: ``python scripts/wheel.py [FOLDER]``, dist by default.

It is the wheel that ``afuic deploy init`` puts beside every Dockerfile: the same source gives the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from afuic.deploy.wheel import build


def main(folder: Path) -> None:
    """Write both files and say how they are installed."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = build()
    for name, content in wheel.files.items():
        (folder / name).write_bytes(content)
    print(f"{folder / wheel.name}\nsha256 {wheel.digest}")
    print(f"install it there: cd {folder} && sha256sum -c {wheel.name}.sha256 && pip install './{wheel.name}[deploy]'")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "dist"))
