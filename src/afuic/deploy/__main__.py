"""``python -m afuic.deploy serve|join|local FOLDER``: what a folder consists of, kept running until SIGTERM."""

from __future__ import annotations

import sys
from pathlib import Path

from afuic.deploy.running import start
from afuic.errors import AfuicError, ConfigError
from afuic.text import shown


def main(arguments: list[str]) -> int:
    """The exit code; 2 where the folder is unusable."""
    try:
        if len(arguments) != 2:
            raise ConfigError("usage: python -m afuic.deploy serve|join|local FOLDER")
        return start(arguments[0], Path(arguments[1]))
    except AfuicError as error:
        sys.stderr.write(f"afuic: {shown(str(error))}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
