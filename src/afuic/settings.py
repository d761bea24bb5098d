"""What a deployment is made of: the server's ``federation.toml`` and each hospital's ``hospital.toml``, as typed values.

Both hold the same ``[federation]`` table (``afuic.config``), whose digest both sides compare: a task is done only under settings that the
hospital has agreed to. Secrets are in files of their own; settings name those files, relative to the folder of the TOML file.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, Strict, ValidationError, field_validator, model_validator

from afuic.config import Config, Section, explain, read_toml
from afuic.errors import ConfigError, ManifestError
from afuic.identity import distinct

SERVER_FILE, HOSPITAL_FILE, CLIENT_FILE = "federation.toml", "hospital.toml", "client.toml"
PROCESSES = "processes.json"
"""How it stands with a machine's processes, in the folder ``run``; written by their supervisor."""
NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
HOST = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def _host(name: str) -> str:
    if len(name) <= 253 and re.fullmatch(HOST, name):
        return name
    raise ValueError("a name or an IPv4 address alone, in ASCII, without scheme, port or path: fl.example.org")


def _encrypted(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url.rstrip("/")
    if parts.scheme == "http" and parts.hostname in LOOPBACK:
        return url.rstrip("/")
    raise ValueError("is not encrypted; write https:// (http:// is for this machine alone)")


Address = Annotated[str, AfterValidator(_encrypted)]
"""Where the API is: ``https://``, or ``http://`` on this machine."""


File = Annotated[Path, Strict(False)]
"""A path, written as text in TOML."""


class Images(Section):
    """What every image of the federation looks like, and the classes it may show."""

    channels: int = Field(3, ge=1, le=16)
    size: int = Field(28, ge=8, le=512)
    class_names: tuple[str, ...] = Field(min_length=2)

    @field_validator("class_names")
    @classmethod
    def _apart(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        """Hospitals' classes are matched by name, so two of them must not be one."""
        try:
            return tuple(distinct(values, "classes", "here", lambda k: f"class {k}", "give each class a name of its own"))
        except ManifestError as error:
            raise ValueError(str(error)) from None


class Architecture(Images):
    """What has to be known of a network to build it around a model's tensors. ``model``: its name, as in a configuration."""

    model: str


class Hospital(Section):
    """A hospital as the server knows it. ``node_key``: its SuperNode's public key (OpenSSH, one line).

    Whatever name a node reports of itself counts nothing.
    """

    name: str = Field(pattern=NAME)
    node_key: str


class Api(Section):
    """The HTTP API for erasure requests. ``tokens``: file of salted digests of bearer tokens; ``requests_per_minute``: for each token."""

    host: str = "127.0.0.1"
    port: int = Field(8443, ge=1, le=65535)
    tokens: File = Path("server/tokens.json")
    certificate: File | None = Path("server/tls.pem")
    key: File | None = Path("server/tls.key")
    requests_per_minute: int = Field(120, ge=1)
    max_body_bytes: int = Field(65536, ge=1024)


class Engine(Section):
    """Where the SuperLink listens (on this machine only) and where nginx lets hospitals in."""

    superlink_port: int = Field(9400, ge=1, le=65535)
    public_host: Annotated[str, AfterValidator(_host)] = "localhost"
    public_port: int = Field(9443, ge=1, le=65535)
    task_deadline_s: float = Field(86400.0, gt=0, description="a task without an answer for so long has failed")


class Gate(Section):
    """What is contained before it can enter. ``norm_factor``: an update this many times the usual norm (the largest median of 50) is held;

    ``utility_kl``: an unlearning result that changes the mean KL divergence on the calibration set by more (nats) is held.
    """

    norm_factor: float = Field(20.0, gt=1)
    first_norm: float = Field(1000.0, gt=0, description="bound on the norm while fewer than 5 updates have been seen")
    utility_kl: float = Field(1.0, gt=0)


class Retention(Section):
    """How much is kept. Versions pinned by a pending request stay; everything that a purge names goes.

    ``versions`` bounds three groups alike: the newest models, the newest of those whose version ``every`` divides, the newest released.
    """

    versions: int = Field(10, ge=1, description="models kept of each group")
    every: int = Field(10, ge=1, description="every n-th version's model is kept beyond the newest ones")
    snapshot_events: int = Field(100, ge=1, description="events between two snapshots of the state")


class Server(Section):
    """``federation.toml``. ``database``: an SQLAlchemy URL; the default is SQLite in ``store``.

    ``witness``: a folder outside of ``store``, best on another disk, that is never restored together with it.
    ``validation``: labelled images on which the loss in ``afuic status`` is measured; nothing is trained on them.
    """

    federation: Config
    images: Images
    hospitals: tuple[Hospital, ...] = Field(min_length=1)
    store: File = Path("server/store")
    witness: File = Path("server/witness")
    database: str | None = None
    calibration: File | None = Path("server/calibration.npz")
    validation: File | None = None
    signing_key: File = Path("server/certificate.key")
    verify_deadline_s: float = Field(600.0, gt=0, description="how long a certificate waits for the hospital's own scores")
    api: Api = Api()
    engine: Engine = Engine()
    gate: Gate = Gate()
    retention: Retention = Retention()

    @model_validator(mode="after")
    def _consistent(self) -> Server:
        for what, values in (("name", [h.name for h in self.hospitals]), ("node_key", [h.node_key for h in self.hospitals])):
            if len(set(values)) < len(values):
                raise ValueError(f"hospitals: two have the same {what}")
        if why := self.federation.aggregation.unfilled(len(self.hospitals)):
            raise ValueError(f"federation.{why}")
        return self


class Site(Section):
    """``hospital.toml``. ``state``: the hospital's own folder: withdrawals, results not yet confirmed, its inbox.

    ``token``: file with its bearer token.
    """

    name: str = Field(pattern=NAME)
    federation: Config
    images: Images
    data: File = Path("data.npz")
    state: File = Path("state")
    api: Address = Field("https://localhost:8443", description="the server's erasure API")
    ca: File = Path("ca.pem")
    token: File = Path("token")
    node_private_key: File = Path("node.key")
    superlink: str = "localhost:9443"
    runtime_port: int = Field(9500, ge=1, le=65535)
    slowdown: float = Field(1.0, ge=1, le=1000, description="work this many times slower, to try out uneven hospitals")


class Access(Section):
    """``client.toml``: how an operator's or auditor's commands find the API; ``ca``: its certificate must come from this one."""

    api: Address = "https://localhost:8443"
    ca: File | None = Path("ca.pem")
    token: File = Path("token")


S = TypeVar("S", Server, Site, Access)


def load(path: Path, kind: type[S]) -> S:
    """The settings in ``path``, its relative paths made absolute from its folder; ConfigError names every bad key.

    A file that holds a database's password has to be readable by its owner alone.
    """
    if not path.exists():
        raise ConfigError(f"{path}: no such file; 'afuic deploy init' writes one")
    try:
        settings = kind.model_validate(read_toml(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error)}") from None
    if isinstance(settings, Server) and settings.database and urlsplit(settings.database).password:
        private(path)
    return _absolute(settings, path.parent.resolve())


def private(path: Path) -> Path:
    """The path of a secret, or of a folder of secrets; ConfigError where anybody but its owner may read or change it.

    A path where nothing is passes: whoever reads it says what is missing.
    """
    if sys.platform != "win32" and path.exists() and path.stat().st_mode & 0o077:
        what, mode = ("folder", 700) if path.is_dir() else ("secret", 600)
        raise ConfigError(f"{path}: others may read this {what}; run chmod {mode} {path}")
    return path


def _absolute(settings: S, folder: Path) -> S:
    changes: dict[str, object] = {
        name: folder / value for name in type(settings).model_fields if isinstance(value := getattr(settings, name), Path)
    }
    if isinstance(settings, Server):
        api = settings.api
        changes["api"] = api.model_copy(
            update={n: folder / v for n in type(api).model_fields if isinstance(v := getattr(api, n), Path)}
        )
    return settings.model_copy(update=changes)


def agreed(federation: Config, images: Images) -> str:
    """Digest of what both sides have to agree on, ``sha256:…``: another value on either side is another federation."""
    text = json.dumps([federation.model_dump(mode="json"), images.model_dump(mode="json")], sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
