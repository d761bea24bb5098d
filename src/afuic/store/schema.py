"""The tables of a deployment's store, the same under SQLite and PostgreSQL. Tensors are files (``store.blobs``); rows name them by digest.

A change of these tables needs a migration beside it (``store/migrations``); a test compares the two. Every row is in the record's chain
(``store.chain``) but for tables and columns whose ``info`` says why they are ``unchained``.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

federation = Table(
    "federation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("agreed", Text, nullable=False),
    Column("mark", String(64), nullable=False),
    Column("theta0", String(80), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("heartbeat_at", Double, info={"unchained": "changes every second and proves nothing"}),
    Column("seq", Integer, nullable=False),
    Column("t", Double, nullable=False),
    Column("version", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("applied", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    Column("lost", Integer, nullable=False),
    Column("identity_gap", Double, nullable=False),
    Column("restored", Integer, nullable=False),
    Column("halted", Text, info={"unchained": "said anew at each start"}),
    Column("checked_at", Double, info={"unchained": "said anew after each check"}),
    Column("fault", Text, info={"unchained": "said anew after each check"}),
)
"""One row: whose store it is, the ``mark`` of the folder that belongs to it, and where it stands after its last event.

``restored``: how often it has been set back to an older state and reconciled; ``halted``: why no work is handed out; ``fault``: what the
check that ended at ``checked_at`` found.
"""

chain = Table(
    "chain",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),
    Column("head", String(80), nullable=False),
    info={"unchained": "is the chain"},
)
"""One link a transaction: digests of the rows that it left, and the digest of this and all links before."""

doomed = Table(
    "doomed",
    metadata,
    Column("digest", String(80), primary_key=True),
    info={"unchained": "blobs that no row needs any more, until their files are gone"},
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("t", Double, nullable=False),
    Column("at", Double, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("client", Text),
    Column("task", Text, index=True),
    Column("body", Text, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("tensors", Boolean, nullable=False),
)
"""Every event that the core accepted, in order. ``digest``: of the model after it; ``tensors``: whether what it carried is still kept."""

snapshots = Table(
    "snapshots",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    Column("digest", String(80), nullable=False),
)

uses = Table(
    "uses",
    metadata,
    Column("kind", String(16), nullable=False),
    Column("number", Integer, nullable=False),
    Column("digest", String(80), nullable=False, index=True),
    PrimaryKeyConstraint("kind", "number", "digest"),
    info={"unchained": "follows from events, snapshots and versions, with which it is compared"},
)
"""Who needs a blob: an event, a snapshot or a version. A blob that nobody uses is deleted."""

clients = Table(
    "clients",
    metadata,
    Column("name", Text, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("online", Boolean, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("fenced_by", Text),
    Column("erased", Boolean, nullable=False),
    Column("applied", Integer, nullable=False),
    Column("task", Text),
    Column("last_at", Double),
    Column("failures", Integer),
    Column("failed_at", Double),
    Column("failure", Text),
)

requests = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("client", Text, nullable=False),
    Column("patients", Integer),
    Column("salted", Text),
    Column("reason", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("phase", String(16), nullable=False),
    Column("notes", JSON, nullable=False),
    Column("version_before", Integer),
    Column("released_version", Integer),
    Column("released_at", Double),
    Column("completed_at", Double),
    Column("beside", JSON(none_as_null=True)),
    Column("judgement", JSON(none_as_null=True)),
)

phases = Table(
    "phases",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("request", Text, ForeignKey("requests.id"), nullable=False, index=True),
    Column("seq", Integer, nullable=False),
    Column("t", Double, nullable=False),
    Column("at", Double, nullable=False),
    Column("before", String(16), nullable=False),
    Column("after", String(16), nullable=False),
    Column("reason", Text, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("t", Double, nullable=False),
    Column("at", Double, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("contributors", JSON, nullable=False),
    Column("taught_by", JSON, nullable=False),
    Column("why", String(16), nullable=False),
    Column("kept", Boolean, nullable=False, index=True),
)

contributions = Table(
    "contributions",
    metadata,
    Column("task", Text, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("client", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("staleness", Integer, nullable=False),
    Column("norm", Double, nullable=False),
    Column("base_version", Integer, nullable=False),
    Column("carrier", Boolean, nullable=False),
    Column("version", Integer),
    Index("contributions_client_seq", "client", "seq"),
)
"""Updates that entered, by task. ``version``: the first that contains it, None while it waits in a buffer."""

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("seq", Integer),
    Column("at", Double, nullable=False),
    Column("task", Text, nullable=False, index=True),
    Column("client", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("digest", String(80)),
    Column("norm", Double),
)
"""What never entered, without its tensors. ``seq`` is None where the engine held it before it became an event."""

commands = Table(
    "commands",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("request", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("patients", Integer),
    Column("salted", Text),
    Column("reason", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("outcome", Text),
    UniqueConstraint("who", "key", name="commands_who_key"),
)

notices = Table(
    "notices",
    metadata,
    Column("client", Text, nullable=False),
    Column("task", Text, nullable=False),
    PrimaryKeyConstraint("client", "task"),
    info={"unchained": "follows from the events"},
)
"""Tasks that a hospital should stop."""

certificates = Table(
    "certificates",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("request", Text, ForeignKey("requests.id"), nullable=False, unique=True),
    Column("envelope", Text, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("issued_at", Double, nullable=False),
)

verifications = Table(
    "verifications",
    metadata,
    Column("request", Text, ForeignKey("requests.id"), primary_key=True),
    Column("client", Text, nullable=False),
    Column("numbers", JSON, nullable=False),
    Column("at", Double, nullable=False),
    Column("why", Text, nullable=False),
)
"""How the verification of a released model ended. ``why`` there are no numbers; empty where there are."""

uncertified = Table(
    "uncertified",
    metadata,
    Column("request", Text, ForeignKey("requests.id"), primary_key=True),
    Column("why", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("at", Double, nullable=False),
)
"""Requests that have ended and could not be certified: why, how often it was tried, and when last. Gone with the certificate."""

purges = Table(
    "purges",
    metadata,
    Column("request", Text, ForeignKey("requests.id"), primary_key=True),
    Column("removed", JSON, nullable=False),
    Column("removed_bytes", BigInteger, nullable=False),
    Column("unreachable", JSON, nullable=False),
    Column("scanned_at", Double),
    Column("left", JSON, nullable=False),
)
"""``scanned_at`` is None from the moment the rows are gone until a scan has shown that the files are."""

measures = Table(
    "measures",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("loss", Double),
    Column("accuracy", Double),
    Column("change", Double),
    info={"unchained": "measured for people; nothing follows from it"},
)
"""How the model fared on the server's own images, at some of its versions."""

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("who", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("outcome", Text, nullable=False),
)
