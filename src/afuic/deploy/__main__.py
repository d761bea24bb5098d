"""``python -m afuic.deploy serve|join|local FOLDER``: what a folder consists of, kept running until SIGTERM.

``… fits FOLDER`` says whether a hospital's images fit its federation: a process of its own, which needs what no supervisor needs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from afuic.deploy.running import FITS, start
from afuic.errors import AfuicError, ConfigError
from afuic.settings import HOSPITAL_FILE, Site, load
from afuic.text import shown


def main(arguments: list[str]) -> int:
    """The exit code; 2 where the folder is unusable."""
    try:
        if len(arguments) != 2:
            raise ConfigError("usage: python -m afuic.deploy serve|join|local FOLDER")
        if arguments[0] == FITS:
            _ready(Path(arguments[1]))
            return 0
        return start(arguments[0], Path(arguments[1]))
    except AfuicError as error:
        sys.stderr.write(f"afuic: {shown(str(error))}\n")
        return 2


def _ready(folder: Path) -> None:
    from afuic.engines.hospital.desk import Desk  # noqa: PLC0415 - a supervisor needs no torch

    Desk(load(folder / HOSPITAL_FILE, Site)).ready()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
