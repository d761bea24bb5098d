"""Move a finished run's folder aside, so that ``make demo`` runs again; an unfinished one stays and is gone on with."""

import shutil
import sys
from pathlib import Path


def main(folder):
    """``runs/demo`` becomes ``runs/demo-previous``; an older one of that name goes."""
    previous = folder.with_name(folder.name + "-previous")
    if (folder / "results.json").exists():
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
        print(f"{folder}: finished before; kept as {previous}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
