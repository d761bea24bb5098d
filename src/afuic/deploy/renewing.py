"""New keys, or another nginx.conf, for a federation that is there, in the folder that ``afuic deploy init`` made: one at a time, the
others stay as they are.

Each function checks that it can be done, ConfigError if not, and gives what does it and says what has to be done next; so several are
all checked before any is done.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from afuic.deploy import keys, nginx, pki
from afuic.deploy.layout import Layout
from afuic.errors import ConfigError
from afuic.service import tokens
from afuic.settings import Server, load, private
from afuic.store.files import write_bytes

SECRET = 0o600
Renewal = Callable[[], str]


def tls(folder: Path) -> Renewal:
    """Another key and certificate for the server, signed by the authority in ``folder``."""
    layout = Layout(folder)
    engine = load(layout.federation, Server).engine
    root = pki.Issued(_read(layout.ca / "ca.pem"), _read(private(layout.ca / "ca.key")))
    issued = pki.server(root, (engine.public_host,))

    def renew() -> str:
        write_bytes(layout.server / "tls.key", issued.key, SECRET)
        write_bytes(layout.server / "tls.pem", issued.certificate)
        return "server/tls.key and server/tls.pem are new: take both to the server and start its unit again; hospitals change nothing"

    return renew


def token(folder: Path, name: str) -> Renewal:
    """Another token for whoever has the one called ``name``, which counts no more."""
    layout = Layout(folder)
    path = load(layout.federation, Server).api.tokens
    every = tokens.read(path)
    old = next((kept for kept in every if kept.name == name), None)
    if old is None:
        raise ConfigError(f"--token {name}: no such token in {path}; there are {', '.join(kept.name for kept in every)}")
    new, kept = tokens.issue(old.name, old.role, old.hospital)
    place = (layout.role(old.role) if old.hospital is None else layout.hospital(old.hospital)) / "token"

    def renew() -> str:
        write_bytes(place, (new + "\n").encode(), SECRET)
        tokens.write(path, [kept if entry.name == name else entry for entry in tokens.read(path)])
        where = place.relative_to(folder)
        return f"{where} is new: give it to {name}, and take {path.name} to the server, which heeds it at once; the old token is refused"

    return renew


def node(folder: Path, hospital: str) -> Renewal:
    """Another node key for a hospital, and its public half in ``federation.toml``."""
    layout = Layout(folder)
    every = {found.name: found.node_key for found in load(layout.federation, Server).hospitals}
    if hospital not in every:
        raise ConfigError(f"--node {hospital}: no such hospital in {layout.federation}; there are {', '.join(every)}")
    if layout.federation.read_text(encoding="utf-8").count(every[hospital]) != 1:
        raise ConfigError(f"{layout.federation}: the node key of {hospital} is not written there exactly once; mend that first")
    pair, home = keys.node(), layout.hospital(hospital)

    def renew() -> str:
        settings = layout.federation.read_text(encoding="utf-8")
        write_bytes(home / "node.key", pair.private, SECRET)
        write_bytes(home / "node.pub", pair.public)
        write_bytes(layout.federation, settings.replace(every[hospital], pair.public.decode().strip()).encode(), SECRET)
        return (
            f"hospitals/{hospital}/node.key is new: take it to {hospital} and start its unit again; take federation.toml to the server "
            "and start its unit again, which lets the new key in and the old one no more"
        )

    return renew


def front(folder: Path) -> Renewal:
    """``nginx.conf`` as this version writes it."""
    layout = Layout(folder)
    settings = load(layout.federation, Server)

    def renew() -> str:
        write_bytes(layout.nginx, nginx.configuration(settings.engine, settings.api).encode())
        return "nginx.conf is new: take it to the server and start its unit again; hospitals change nothing"

    return renew


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); put back what 'afuic deploy init' wrote there") from None
