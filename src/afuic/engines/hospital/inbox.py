"""What a hospital is told while it trains: a file in its inbox stops the work under way before its next batch.

Looking costs one listing of an empty folder, some microseconds, so it is done before every batch. What the notice is about is not in it:
that is in the withdrawals, which were written before the notice and are read before the next task.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from afuic.engines.hospital import files

FORMAT = "afuic-notice/1"


class Inbox:
    """The notices in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def leave(self, reason: str) -> None:
        """Leave a notice; work under way ends before its next batch."""
        content = json.dumps({"format": FORMAT, "reason": reason}).encode()
        files.keep(self.folder / f"{secrets.token_hex(8)}.json", content)

    def told(self) -> bool:
        """Whether there is a notice."""
        try:
            with os.scandir(self.folder) as entries:
                return any(not entry.name.startswith(".") for entry in entries)
        except FileNotFoundError:
            return False

    def clear(self) -> None:
        """Take the notices away; to be done before the withdrawals are read, never after."""
        if self.folder.is_dir():
            files.remove(path for path in self.folder.iterdir() if not path.name.startswith("."))
