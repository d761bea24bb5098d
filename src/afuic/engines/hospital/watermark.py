"""What the hospital remembers of the server's records: how far they had come, so that a server that was set back is told so.

Whoever was erased since that copy would be in its models again, and the server itself may not know it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from afuic.document import parse_json
from afuic.engines.hospital import files
from afuic.engines.live.messages import fits
from afuic.errors import JsonError, StoreError, TaskRefused
from afuic.store.rows import Watermark

SHOWN = 3


class Highest:
    """The highest watermark that came with a task, in the file ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rise(self, mark: Watermark | None, before: Watermark | None) -> None:
        """Take this one for the highest, durable when this returns; TaskRefused where it is lower than the one ``before``."""
        if (why := lower(mark, before)) is not None:
            raise TaskRefused(
                f"the server is behind what it was: {why}; it was set back to an older copy, and nothing is done for it before "
                f"its operator has put that right (afuic deploy reconcile)"
            )
        if mark is not None and mark != before:
            files.keep(self.path, json.dumps(asdict(mark)).encode())

    def read(self) -> Watermark | None:
        """It; None before the first. StoreError where the file is damaged."""
        if not self.path.exists():
            return None
        try:
            values = parse_json(self.path.read_bytes())
            mark = Watermark(**values | {"requests": tuple(values["requests"])})
        except (JsonError, OSError, KeyError, TypeError):
            mark = None
        if mark is None or not fits(mark):
            raise StoreError(
                f"{self.path}: was edited or damaged; restore it from a backup, or delete it to trust the server anew"
            )
        return mark


def lower(mark: Watermark | None, before: Watermark | None) -> str | None:
    """In what a watermark is lower than one ``before``; None where it is not."""
    if before is None:
        return None
    if mark is None:
        return "it does not say any more how far its records have come"
    if missing := sorted(set(before.requests) - set(mark.requests)):
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        return f"it does not know the erasure {', '.join(missing[:SHOWN])}{more} any more"
    if (mark.restored, mark.links) < (before.restored, before.links):
        return f"its record has {mark.links} links and had {before.links}"
    return None
