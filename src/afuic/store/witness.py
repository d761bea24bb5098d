"""A witness that only moves forward: what a store has acknowledged, noted outside of it, so that an older copy of it is found out.

A backup that is restored brings back whoever was erased since, and cannot know it. The witness can: a file of lines in a folder of its
own, best on another disk and never restored with the store. Hospitals are witnesses, too: each keeps the highest ``Watermark`` that it was
sent. Both hold ids, digests and counts, and of a request what is needed to ask for it again; no reason and no patient.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from afuic.document import parse_json
from afuic.errors import StoreError
from afuic.store.files import holding, sync_folder, writing
from afuic.store.rows import NOTHING, Command, Head, Watermark

FILE = "witness.jsonl"
KINDS = frozenset({"begun", "asked", "withdrawn", "certified", "head", "heard", "again"})
COUNTS, TEXTS = ("restored", "links"), ("store", "head", "request", "digest", "client", "who", "key")
LARGEST = 2**53
ASKED = ("client", "patients", "salted", "who", "key", "asked_at")
REASON = "asked again after the store was restored"


@dataclass
class Witnessed:
    """All that the lines say. ``requests``: what is needed to ask for each again; empty where only a hospital knows of it.

    ``again``: requests that were asked for again after a restore.
    """

    store: str | None = None
    restored: int = 0
    head: Head = NOTHING
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    certificates: dict[str, str] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)

    def knows(self, line: Mapping[str, Any]) -> bool:
        """Whether this line would say nothing new of a request."""
        request = line.get("request", "")
        if line["what"] == "asked":
            return bool(self.requests.get(request))
        return (line["what"] == "withdrawn" and request in self.withdrawn) or self.certificates.get(request, "") == line.get(
            "digest"
        )

    def take(self, line: Mapping[str, Any]) -> None:
        """One line more; ValueError where it is of another form."""
        if not _formed(line):
            raise ValueError("no line of a witness")
        self.store = line.get("store", self.store)
        if "links" in line and (line["restored"], line["links"]) >= (self.restored, self.head.links):
            self.restored, self.head = int(line["restored"]), Head(int(line["links"]), str(line["head"]))
        for request in line.get("requests", ()):
            self.requests.setdefault(str(request), {})
        if line["what"] == "asked":
            self.requests[line["request"]] = {name: line[name] for name in ASKED}
        elif line["what"] == "withdrawn":
            self.withdrawn.add(line["request"])
        elif line["what"] == "certified":
            self.certificates[line["request"]] = line["digest"]
        elif line["what"] == "again":
            self.again.add(line["request"])


class Witness:
    """The lines in ``folder``. Server and API append; nobody changes or removes one."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def read(self) -> Witnessed:
        """What they say; StoreError names a line that is none. A last line that was cut short was never acknowledged and counts nothing."""
        found = Witnessed()
        for number, line in enumerate(self._content().split(b"\n")[:-1], 1):
            try:
                found.take(parse_json(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise StoreError(
                    f"{self.path}, line {number}: no line of a witness; it was edited or damaged, take the file's own backup"
                ) from None
        return found

    def note(self, *lines: Mapping[str, Any]) -> None:
        """Append lines, durable when this returns; StoreError: nothing of it counts."""
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
        with holding(self.path.parent, wait=True), writing(self.path):
            whole = self._content().rfind(b"\n") + 1
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.ftruncate(handle, whole)
                os.lseek(handle, whole, os.SEEK_SET)
                with os.fdopen(os.dup(handle), "wb") as file:
                    file.write(content)
                os.fsync(handle)
            finally:
                os.close(handle)
            if not whole:
                sync_folder(self.path.parent)

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be read ({error.strerror}); let the server's user read and write it"
            ) from None


def _formed(line: Mapping[str, Any]) -> bool:
    """Whether each part of a line is of its kind; what is not there is left to whoever needs it."""
    counts, requests = (line.get(name, 0) for name in COUNTS), line.get("requests", [])
    return (
        line["what"] in KINDS
        and all(type(count) is int and 0 <= count < LARGEST for count in counts)
        and isinstance(requests, list)
        and all(isinstance(text, str) for text in (*requests, *(line.get(name, "") for name in TEXTS)))
        and isinstance(line.get("asked_at", 0.0), int | float)
        and (line.get("patients") is None or type(line["patients"]) is int)
    )


def asked(command: Command) -> dict[str, Any]:
    """The line of a command that has been acknowledged."""
    if command.kind != "erase":
        return {"what": "withdrawn", "request": command.request}
    return {"what": "asked", "request": command.request} | {name: getattr(command, name) for name in ASKED}


def again(request: str, line: Mapping[str, Any]) -> Command:
    """The command that asks for a request once more, under its id and its key."""
    return Command(0, kind="erase", request=request, reason=REASON, **line)


def standing(restored: int, head: Head) -> dict[str, Any]:
    """Where the store stands, as part of a line."""
    return {"restored": restored, "links": head.links, "head": head.head}


def sealed(store: str, mark: Watermark) -> Watermark:
    """The same, so that the store whose mark is ``store`` knows later that it said so: nobody else knows that mark."""
    body = json.dumps([mark.restored, mark.links, mark.head, sorted(mark.requests)], separators=(",", ":"))
    return replace(mark, seal=hmac.new(store.encode(), body.encode(), hashlib.sha256).hexdigest())


def genuine(store: str, mark: Watermark) -> bool:
    """Whether this store once said so."""
    return hmac.compare_digest(sealed(store, mark).seal.encode(), mark.seal.encode())
