"""What a deployment costs and keeps up: parts ``store``, ``recovery``, ``rate`` and ``throughput``, each kept when it has been measured.

``rate`` and ``throughput`` start real federations on this machine by ``afuic deploy local`` and stop them. Without ``--part`` those parts
are measured that the document does not have yet. Writes benchmarks/results/deployment.json; each part says its commit and the load.

    python benchmarks/deployment.py --part store --part recovery
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import served
import stored

UPDATES = 10_000
PARTS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "store": lambda work, seed: stored.grown(work, seed, UPDATES),
    "recovery": stored.recovered,
    "rate": served.rate,
    "throughput": served.throughput,
}


def measure(out: Path, part: str, work: Path, seed: int) -> None:
    """Measure a part and put it into the document."""
    head, begun = common.origin("deployment", seed), time.monotonic()
    found = PARTS[part](work, seed)
    took = {
        "took_s": round(time.monotonic() - begun),
        "load_after": common.origin("deployment", seed)["machine"]["load_before"],
    }
    common.write(out, {**head, **before(out), part: {**head, **took, **found}})


def before(out: Path) -> dict[str, Any]:
    """The parts that have been measured."""
    document = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    return {name: document[name] for name in PARTS if name in document}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=common.RESULTS / "deployment.json", help="the document to write")
    parser.add_argument(
        "--part", action="append", choices=list(PARTS), help="measure it anew (default: those that are missing)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="where stores and federations go and stay (default: a temporary folder)")
    options = parser.parse_args()
    wanted = options.part or [name for name in PARTS if name not in before(options.out)]
    with tempfile.TemporaryDirectory(prefix="afuic-deployment-") as scratch:
        for part in wanted:
            measure(options.out, part, options.work or Path(scratch), options.seed)


if __name__ == "__main__":
    main()
