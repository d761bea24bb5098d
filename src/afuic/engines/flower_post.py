"""What is under way between the server and its hospitals, without Flower: who is whom, what waits, what was sent, what a reply proves.

A hospital is known by its node's public key, which the SuperLink has seen used; it proves each reply once more by signing it with that
key over a number drawn for this message alone. So a reply counts only for the task it answers and only from the hospital that was
asked, whatever else on the way is forged, repeated or mixed up. Why: ``docs/decisions/0013-node-keys.md``.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_private_key, load_ssh_public_key

from afuic.engines.live.transport import Reply
from afuic.errors import ConfigError
from afuic.settings import private

UNAVAILABLE = "its node cannot be reached"
UNSIGNED = "its reply is not signed with the hospital's key"
LONGEST_REST_S = 60.0

log = logging.getLogger("afuic.flower")


@dataclass(frozen=True)
class Parcel:
    """A task on its way to a node. ``challenge``: what the hospital has to sign its reply over."""

    client: str
    node: int
    task: str
    document: bytes
    tensors: bytes
    challenge: bytes


@dataclass(frozen=True)
class Content:
    """What a node replied, as it came."""

    task: str
    document: bytes
    tensors: bytes
    signature: bytes


@dataclass(frozen=True)
class _Waiting:
    task: str
    document: bytes
    tensors: bytes


@dataclass(frozen=True)
class _Sent:
    """``wanted``: somebody still waits for the reply."""

    client: str
    node: int
    task: str
    challenge: bytes
    wanted: bool = True


@dataclass
class Post:
    """The hospitals' mail. One message at most is under way to each node; what else there is waits. Times are seconds of one clock."""

    keys: Mapping[str, ec.EllipticCurvePublicKey]
    nodes: dict[str, int] = field(default_factory=dict)
    _waiting: dict[str, dict[str, _Waiting]] = field(default_factory=dict)
    _sent: dict[str, _Sent] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _rests: dict[str, float] = field(default_factory=dict)
    _strangers: set[int] = field(default_factory=set)

    def online(self, nodes: Iterable[tuple[int, bytes]]) -> None:
        """Nodes that the SuperLink counts as connected, each with the public key (PEM) that it has proved to hold."""
        owners = {_point(key): name for name, key in self.keys.items()}
        found: dict[str, int] = {}
        for node, pem in nodes:
            point = _point_of(pem)
            name = None if point is None else owners.get(point)
            if name is not None:
                found[name] = node
            elif node not in self._strangers:
                self._strangers.add(node)
                log.warning("node %s is connected with a key that is no hospital's; it is sent nothing", node)
        self.nodes = found

    def present(self, now: float) -> frozenset[str]:
        """Hospitals that can be reached and need no rest."""
        return frozenset(name for name in self.nodes if self._rests.get(name, 0.0) <= now)

    def post(self, client: str, task: str, document: bytes, tensors: bytes) -> None:
        """Take a task; one that is under way is not sent again."""
        if not any(sent.client == client and sent.task == task and sent.wanted for sent in self._sent.values()):
            self._waiting.setdefault(client, {})[task] = _Waiting(task, document, tensors)

    def forget(self, client: str, task: str) -> None:
        """Nobody waits for this task: it is not sent, and its failure would interest nobody."""
        self._waiting.get(client, {}).pop(task, None)
        self._sent = {
            message: _Sent(s.client, s.node, s.task, s.challenge, s.wanted and (s.client, s.task) != (client, task))
            for message, s in self._sent.items()
        }

    def outgoing(self, now: float) -> list[Parcel]:
        """The next task of each hospital that has none under way."""
        busy = {sent.node for sent in self._sent.values()}
        free = [name for name in self.present(now) if self._waiting.get(name) and self.nodes[name] not in busy]
        return [self._parcel(name) for name in sorted(free)]

    def _parcel(self, client: str) -> Parcel:
        first = next(iter(self._waiting[client].values()))
        return Parcel(client, self.nodes[client], first.task, first.document, first.tensors, secrets.token_bytes(32))

    def sent(self, parcel: Parcel, message: str) -> None:
        """It went out as this message."""
        wanted = self._waiting.get(parcel.client, {}).pop(parcel.task, None) is not None
        self._sent[message] = _Sent(parcel.client, parcel.node, parcel.task, parcel.challenge, wanted)

    def refused(self, parcel: Parcel, reason: str, now: float) -> Reply | None:
        """It could not be handed over."""
        wanted = self._waiting.get(parcel.client, {}).pop(parcel.task, None) is not None
        self._rest(parcel.client, now)
        return Reply(parcel.task, parcel.client, failure=reason) if wanted else None

    def under_way(self) -> list[str]:
        """Messages without a reply."""
        return list(self._sent)

    def replied(self, message: str, content: Content | None) -> Reply | None:
        """A reply to a message; one that nobody waits for any more is passed on, for the record. None: the message was never sent.

        ``content`` None: it has another form.
        """
        sent = self._sent.get(message)
        if sent is None:
            log.warning("a reply to a message that is not under way is ignored")
            return None
        genuine = content is not None and content.task == sent.task and self._proved(sent, content)
        del self._sent[message]
        self._failures.pop(sent.client, None)
        if content is None or not genuine:
            log.error("%s: task %r: %s; nothing of it is used", sent.client, sent.task, UNSIGNED)
            return Reply(sent.task, sent.client, failure=UNSIGNED) if sent.wanted else None
        return Reply(sent.task, sent.client, content.document, content.tensors)

    def _proved(self, sent: _Sent, content: Content) -> bool:
        return proved(self.keys[sent.client], sent.challenge, content)

    def failed(self, message: str, reason: str, now: float, *, rest: bool) -> Reply | None:
        """The engine gave a message up; ``rest``: leave the hospital alone for a while, longer each time."""
        sent = self._sent.pop(message, None)
        if sent is None:
            return None
        if rest:
            self._rest(sent.client, now)
        return Reply(sent.task, sent.client, failure=reason) if sent.wanted else None

    def _rest(self, client: str, now: float) -> None:
        self._failures[client] = self._failures.get(client, 0) + 1
        self._rests[client] = now + min(LONGEST_REST_S, 2.0 ** min(self._failures[client] - 1, 10))


def public_keys(lines: Mapping[str, str]) -> dict[str, ec.EllipticCurvePublicKey]:
    """Hospitals' keys from one line each, as OpenSSH writes it; ConfigError names a hospital whose line is something else."""
    return {name: _public_key(name, line) for name, line in lines.items()}


def _public_key(name: str, line: str) -> ec.EllipticCurvePublicKey:
    try:
        key = load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ConfigError(f"hospitals: {name}: node_key is not an elliptic curve's public key in OpenSSH's format, on one line")
    return key


def private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A hospital's own key; ConfigError where it is missing, something else, or readable by others."""
    try:
        key = load_ssh_private_key(private(path).read_bytes(), None)
    except (OSError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path}: not an elliptic curve's private key in OpenSSH's format; 'afuic deploy init' makes one")
    return key


def prove(key: ec.EllipticCurvePrivateKey, challenge: bytes, task: str, document: bytes, tensors: bytes) -> bytes:
    """The signature under a reply."""
    return key.sign(_stated(challenge, task, document, tensors), ec.ECDSA(SHA384()))


def proved(key: ec.EllipticCurvePublicKey, challenge: bytes, content: Content) -> bool:
    """Whether a reply was signed with the private half of ``key``, for this message."""
    stated = _stated(challenge, content.task, content.document, content.tensors)
    try:
        key.verify(content.signature, stated, ec.ECDSA(SHA384()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _stated(challenge: bytes, task: str, document: bytes, tensors: bytes) -> bytes:
    """Parts by their digests, each of one length, so that no two replies state the same."""
    return b"afuic reply 1\n" + b"".join(
        hashlib.sha384(part).digest() for part in (challenge, task.encode(), document, tensors)
    )


def _point(key: ec.EllipticCurvePublicKey) -> tuple[str, int, int]:
    numbers = key.public_numbers()
    return key.curve.name, numbers.x, numbers.y


def _point_of(pem: bytes) -> tuple[str, int, int] | None:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return _point(key) if isinstance(key, ec.EllipticCurvePublicKey) else None
