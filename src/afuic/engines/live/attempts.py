"""Which reply is being read, noted on disk before it is: one that ends the process, by memory or a fault beneath, is not read for ever.

The notes outlive the process and need not outlive the machine, so they cost no sync: a death of the process is all that they count.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afuic.errors import StoreError
from afuic.store.files import read_json, write_json, writing

MARK, DEATHS = "reading.json", "deaths.json"
MOST = 2
FIRST_REST_S, LONGEST_REST_S = 60.0, 86400.0


@dataclass(frozen=True)
class Deadly:
    """The ``task`` whose answer this server was reading when it ended, the last of ``deaths``; its hospital rests for ``rest_s``."""

    client: str
    task: str
    deaths: int

    @property
    def rest_s(self) -> float:
        """1, 2, 4 … minutes, a day at most."""
        return float(min(LONGEST_REST_S, FIRST_REST_S * 2.0 ** min(self.deaths - MOST, 20)))


class Attempts:
    """The notes in ``folder``. A death is forgiven by one reply of the same hospital that was read to its end.

    ``deadly``: hospitals with ``MOST`` deaths or more, as they stood when this process began.
    """

    def __init__(self, folder: Path) -> None:
        self._mark, self._path = folder / MARK, folder / DEATHS
        known = {name: count for name, count in _read(self._path).items() if isinstance(count, int)}
        died = _read(self._mark)
        client, task = died.get("client"), died.get("task")
        self._deaths, self.deadly = known, list[Deadly]()
        if isinstance(client, str) and isinstance(task, str):
            known[client] = known.get(client, 0) + 1
            self._keep()
            self.deadly = [Deadly(client, task, known[client])] if known[client] >= MOST else []
        with writing(self._mark):
            self._mark.unlink(missing_ok=True)

    @contextmanager
    def reading(self, client: str, task: str) -> Iterator[None]:
        """Within the block a reply is read. Whatever it raises, the process lives; only where that ends here is it counted."""
        with writing(self._mark):
            self._mark.write_text(json.dumps({"client": client, "task": task}), encoding="utf-8")
        try:
            yield
        except Exception:
            self._mark.unlink(missing_ok=True)
            raise
        self._mark.unlink(missing_ok=True)
        if client in self._deaths:
            self._forgive(client)

    def _forgive(self, client: str) -> None:
        left = self._deaths.pop(client) - 1
        if left:
            self._deaths[client] = left
        self._keep()

    def _keep(self) -> None:
        write_json(self._path, self._deaths)


def _read(path: Path) -> dict[str, Any]:
    """What was noted; nothing where the process ended in the middle of a note."""
    try:
        found = read_json(path)
    except StoreError:
        return {}
    return found if isinstance(found, dict) else {}
