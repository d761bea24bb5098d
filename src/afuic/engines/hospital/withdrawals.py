"""What a hospital has withdrawn: groups of patients, by id, in files that never leave it, and itself as a whole.

To others a group is a salted digest and a count. The salt is random and stays here, so that nobody can try ids against the digest.
A group is durable, and fenced here, before anybody is told: from then on no task trains on its patients.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from afuic.engines.hospital import data, files
from afuic.engines.hospital.inbox import Inbox
from afuic.engines.hospital.outbox import Outbox
from afuic.errors import DataError, StoreError
from afuic.identity import likeness, meant, names, quoted
from afuic.settings import Site
from afuic.store.files import holding, read_json
from afuic.text import normal

GROUP_FORMAT, FENCE_FORMAT = "afuic-withdrawal/1", "afuic-fence/1"
SALT_BYTES = 32


@dataclass(frozen=True)
class Asked:
    """What may be said of a withdrawal, and all of it. ``key``: the same for the same withdrawal, so that asking again is asking once;

    ``patients`` and ``salted``: None where the whole hospital leaves.
    """

    key: str
    patients: int | None = None
    salted: str | None = None


@dataclass(frozen=True)
class Group:
    """Patients withdrawn together. ``taken_back``: whether the request was, after which the server alone decides about them."""

    salted: str
    asked_at: float
    ids: tuple[str, ...] = field(repr=False)
    salt: str = field(repr=False)
    taken_back: bool = False

    @property
    def patients(self) -> frozenset[str]:
        """Its ids as they are compared with the hospital's data; the digest is of how they were written then."""
        return frozenset(map(normal, self.ids))

    def among(self, held: frozenset[str]) -> tuple[str, ...]:
        """Those of the ids that are held which are the group's, however the images' file spells them by now."""
        lost = {likeness(i) for i in self.patients - held}
        respelt = {i for i in held if likeness(i) in lost} if lost else set()
        return tuple(sorted((self.patients & held) | respelt))

    @property
    def asked(self) -> Asked:
        """What may be said of it."""
        return Asked(f"patients-{self.salted.removeprefix('sha256:')}", len(self.ids), self.salted)


@dataclass(frozen=True)
class Standing:
    """What holds at a hospital now: its groups by salted digest, and whether it has left as a whole."""

    groups: dict[str, Group]
    fenced: bool

    @property
    def required(self) -> frozenset[str]:
        """The groups that every training task has to know of."""
        return frozenset(g.salted for g in self.groups.values() if not g.taken_back)


def salted(ids: Iterable[str], salt: str) -> str:
    """``sha256:`` and the hash of the salt's bytes (hexadecimal here) followed by the sorted ids as JSON."""
    text = json.dumps(sorted(set(ids)), ensure_ascii=True).encode()
    return "sha256:" + hashlib.sha256(bytes.fromhex(salt) + text).hexdigest()


def standing(site: Site) -> Standing:
    """What has been withdrawn so far; StoreError for a file that was edited or damaged."""
    groups = (_read_group(path) for path in files.listed(_folder(site), ".json"))
    return Standing({g.salted: g for g in groups}, _fence(site).exists())


def withdraw(site: Site, ids: Iterable[str], at: float) -> Asked:
    """Withdraw these patients, ``at`` in seconds since 1970; the same ids again are the same withdrawal, stopped and cleared anew.

    DataError, and nothing is written, where ids do not exist (all are named) or no patient would be left.
    """
    listed = tuple(ids)
    names(listed, "patients", "the list of patients", lambda k: f"entry {k + 1}")
    wanted = tuple(sorted(set(map(normal, listed)) - {""}))
    with holding(files.folder(_folder(site)), wait=True):
        known = standing(site)
        same = (g for g in known.groups.values() if g.patients == frozenset(wanted) and not g.taken_back)
        group = next(same, None) or _new(site, known, wanted, at)
        files.keep(_path(site, group.salted), _written(group))
    _stop(site, "patients withdrew")
    return group.asked


def withdraw_all(site: Site, at: float) -> Asked:
    """The whole hospital leaves: no task but its own erasure is done from now on. Again is the same withdrawal."""
    path = _fence(site)
    with holding(files.folder(_folder(site)), wait=True):
        if not path.exists():
            head = {"format": FENCE_FORMAT, "key": f"whole-{secrets.token_hex(16)}", "asked_at": at}
            files.keep(path, json.dumps(head).encode())
        key = _checked(path, FENCE_FORMAT, "key")["key"]
    _stop(site, "the hospital leaves")
    return Asked(key)


def take_back(site: Site, digest: str) -> None:
    """The server has taken the request for this group back: tasks may leave its patients in. StoreError: there is no such group."""
    with holding(files.folder(_folder(site)), wait=True):
        group = standing(site).groups.get(digest)
        if group is None:
            raise StoreError(f"{_folder(site)}: no withdrawal {digest}; only what was asked for here can be taken back")
        files.keep(_path(site, digest), _written(replace(group, taken_back=True)))


def take_all_back(site: Site) -> None:
    """The server has taken the request for the whole hospital back: it takes part again."""
    files.remove([_fence(site)])


def _new(site: Site, known: Standing, wanted: tuple[str, ...], at: float) -> Group:
    held = set(data.read(site).client.patients)
    _check(site, wanted, held, {i for g in known.groups.values() if not g.taken_back for i in g.patients})
    salt = secrets.token_hex(SALT_BYTES)
    return Group(salted(wanted, salt), at, wanted, salt)


def _check(site: Site, wanted: tuple[str, ...], held: set[str], gone: set[str]) -> None:
    unknown = [i for i in wanted if i not in held]
    if unknown:
        said = ", ".join(f"{quoted(i)}{meant(i, held)}" for i in unknown)
        raise DataError(
            f"{site.data}: {len(unknown)} of {len(wanted)} patients are not in it: {said}; correct the ids, "
            f"nothing has been withdrawn or sent"
        )
    if not wanted:
        raise DataError("no patient is named; give at least one id, or ask for the erasure of the whole hospital")
    if held <= gone | set(wanted):
        raise DataError(f"{site.data}: no patient would be left; ask for the erasure of the whole hospital instead")


def _stop(site: Site, reason: str) -> None:
    """Stop the work under way, then delete results that follow from what was withdrawn: a desk that has just kept one sees the notice."""
    Inbox(site.state / "inbox").leave(reason)
    Outbox(site.state / "outbox").clear()


def _written(group: Group) -> bytes:
    return json.dumps({"format": GROUP_FORMAT, **vars(group)}).encode()


def _read_group(path: Path) -> Group:
    value = _checked(path, GROUP_FORMAT, "salted", "salt")
    ids, at, back = value.get("ids"), value.get("asked_at"), value.get("taken_back")
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise _damaged(path)
    if not isinstance(at, int | float) or not isinstance(back, bool) or _salted(ids, value["salt"]) != value["salted"]:
        raise _damaged(path)
    return Group(value["salted"], at, tuple(ids), value["salt"], back)


def _salted(ids: list[str], salt: str) -> str | None:
    try:
        return salted(ids, salt)
    except ValueError:
        return None


def _checked(path: Path, wanted: str, *texts: str) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict) or value.get("format") != wanted or not all(isinstance(value.get(t), str) for t in texts):
        raise _damaged(path)
    return value


def _damaged(path: Path) -> StoreError:
    return StoreError(f"{path}: edited or damaged; restore it from a backup, since without it nobody knows who has withdrawn")


def _folder(site: Site) -> Path:
    return site.state / "withdrawals"


def _path(site: Site, digest: str) -> Path:
    return _folder(site) / f"{digest.removeprefix('sha256:')}.json"


def _fence(site: Site) -> Path:
    return site.state / "fence.json"
