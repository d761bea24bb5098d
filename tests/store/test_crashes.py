"""A writer killed at any instant loses nothing that it had acknowledged, does nothing twice and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Place

ROOT = Path(__file__).parents[2]


def campaign(url: str | None, folder: Path, seed: int, kills: int) -> dict[str, int]:
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.store.crashing", url or "", str(folder), str(seed), str(kills)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


@pytest.mark.parametrize(("seed", "kills"), [(1, 15), (2, 15)])
def test_a_writer_killed_at_any_instant(place: Place, seed: int, kills: int) -> None:
    found = campaign(place.url, place.folder, seed, kills)
    assert found["events"] > kills
    assert found["completed"] >= 1, "no purge was under way in any of them"
    assert found["replayed"] <= 2 * 7
