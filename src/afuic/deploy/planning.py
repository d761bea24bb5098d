"""What a new federation is to be, and the content of every file that makes it so. Nothing is written here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import afuic
from afuic.config import Config
from afuic.deploy import app, keys, nginx, pki, texts, units, wheel
from afuic.deploy.files import File, Tree, below, text
from afuic.erase import check_options
from afuic.errors import ConfigError
from afuic.learning.networks import Network
from afuic.service import tokens
from afuic.settings import NAME, Access, Api, Engine, Hospital, Images, Server, Site

ASKING = ("operator", "auditor")
"""Who asks through the API without being a hospital; a hospital cannot have such a name."""
NOTHING = "none"
"""What a settings file says for no value; no name either."""
RUNTIME_PORT = 9500
SLOWEST = 1000


@dataclass(frozen=True)
class Plan:
    """A federation to be. ``folders``: where server and hospital files will lie on their machines, for the systemd units.

    ``runtime_ports`` and ``slowdown``: by hospital, where they are not the defaults.
    """

    federation: Config
    images: Images
    hospitals: tuple[str, ...]
    engine: Engine = field(default_factory=Engine)
    api: Api = field(default_factory=Api)
    calibration: bool = True
    validation: bool = False
    runtime_ports: Mapping[str, int] = field(default_factory=dict)
    slowdown: Mapping[str, float] = field(default_factory=dict)
    folders: str = "/srv/afuic"


def names(given: str) -> tuple[str, ...]:
    """The hospitals' names from "a,b,c", or "3" for hospital-0 to hospital-2, as in the simulator; ConfigError for impossible ones."""
    found = tuple(part.strip() for part in given.split(","))
    if len(found) == 1 and found[0].isdecimal():
        found = tuple(f"hospital-{k}" for k in range(int(found[0])))
    bad = [name for name in found if not re.fullmatch(NAME, name) or name in (*ASKING, NOTHING)]
    if bad:
        raise ConfigError(
            f"--hospitals: {bad[0]!r} cannot be a hospital's name; use small letters, digits and hyphens, and none of {(*ASKING, NOTHING)}"
        )
    if len(set(found)) < len(found) or len(found) < 2:
        raise ConfigError(f"--hospitals {given}: name at least two hospitals, each once")
    return found


def slowed(given: Sequence[str], hospitals: tuple[str, ...]) -> dict[str, float]:
    """How many times slower than it is a hospital is to work, from "hospital-2=10"."""
    slow: dict[str, float] = {}
    for item in given:
        name, _, factor = item.partition("=")
        if name not in hospitals or not re.fullmatch(r"\d{1,4}(\.\d+)?", factor) or not 1 <= float(factor) <= SLOWEST:
            raise ConfigError(
                f"--slow {item}: write HOSPITAL=FACTOR with one of {', '.join(hospitals)} and a factor from 1 to {SLOWEST}"
            )
        slow[name] = float(factor)
    return slow


def agreement(config: Config, hospitals: tuple[str, ...]) -> Config:
    """The settings that server and hospitals share: those of ``config``, once checked, without what only an experiment has."""
    check_options(config)
    if why := config.aggregation.unfilled(len(hospitals)):
        raise ConfigError(why)
    methods = config.methods if len(config.methods) == 1 else ("afuic",)
    partition = config.data.partition.model_copy(update={"clients": len(hospitals)})
    data = config.data.model_copy(update={"trigger": None, "partition": partition})
    changes = {"methods": methods, "data": data, "requests": (), "options": _options(config, methods)}
    return config.model_copy(update=changes)


def _options(config: Config, methods: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    return {name: options for name, options in config.options.items() if name in methods}


def tree(plan: Plan) -> Tree:
    """Every file of the federation, with fresh keys: two calls give two federations that know nothing of each other.

    ModelError for a model that the server would refuse when it starts.
    """
    Network(plan.federation.model.name, plan.images.channels, plan.images.size, len(plan.images.class_names))
    root = pki.authority(plan.federation.name)
    nodes = {name: keys.node() for name in plan.hospitals}
    given = {name: tokens.issue(name, "hospital", name) for name in plan.hospitals}
    given |= {"operator": tokens.issue("operator", "operator"), "auditor": tokens.issue("auditor", "auditor")}
    files: dict[str, File | None] = {
        "README.txt": text(texts.handing_out(plan.hospitals, plan.folders, wheel.build())),
        "ca/ca.pem": File(root.certificate),
        "ca/ca.key": File(root.key, secret=True),
        "federation.toml": text(texts.server(_settings(plan, nodes)), secret=True),
        "server/tokens.json": text(_kept([kept for _, kept in given.values()]), secret=True),
        **_server(plan, pki.server(root, (plan.engine.public_host,))),
        **app.files(afuic.__version__),
    }
    for name in plan.hospitals:
        files |= below(f"hospitals/{name}", _hospital(plan, name, nodes[name], root, given[name][0]))
    for role in ASKING:
        files |= below(role, _asking(plan, root, given[role][0]))
    return files


def address(engine: Engine) -> str:
    """Where hospitals, operator and auditor find the server."""
    host = f"[{engine.public_host}]" if ":" in engine.public_host else engine.public_host
    return f"{host}:{engine.public_port}"


def _settings(plan: Plan, nodes: Mapping[str, keys.Pair]) -> Server:
    hospitals = tuple(Hospital(name=name, node_key=pair.public.decode().strip()) for name, pair in nodes.items())
    found = Server(federation=plan.federation, images=plan.images, hospitals=hospitals, api=plan.api, engine=plan.engine)
    images: dict[str, Path | None] = {} if plan.calibration else {"calibration": None}
    images |= {"validation": Path("server/validation.npz")} if plan.validation else {}
    return found.model_copy(update=images)


def _kept(entries: Sequence[tokens.Token]) -> str:
    return json.dumps([entry.model_dump(mode="json", exclude_none=True) for entry in entries], indent=1) + "\n"


def _server(plan: Plan, issued: pki.Issued) -> Tree:
    signing = keys.signing()
    unit, unit_text = units.server_unit(plan.folders, wheel.build())
    return {
        "server/tls.pem": File(issued.certificate),
        "server/tls.key": File(issued.key, secret=True),
        "server/certificate.key": File(signing.private, secret=True),
        "server/certificate.pub": File(signing.public),
        "server/superexec.secret": File(keys.shared(), secret=True),
        **{f"server/{name}": None for name in ("store", "witness", "flower", "logs", "run")},
        "nginx.conf": text(nginx.configuration(plan.engine, plan.api)),
        f"systemd/{unit}": text(unit_text),
        "compose.yaml": text(units.server_compose(plan.engine.public_port)),
        **units.image(wheel.build()),
    }


def _hospital(plan: Plan, name: str, node: keys.Pair, root: pki.Issued, token: str) -> Tree:
    settings = Site(
        name=name,
        federation=plan.federation,
        images=plan.images,
        api=f"https://{address(plan.engine)}",
        superlink=address(plan.engine),
        runtime_port=plan.runtime_ports.get(name, RUNTIME_PORT),
        slowdown=plan.slowdown.get(name, 1.0),
    )
    unit, unit_text = units.hospital_unit(name, plan.folders, wheel.build())
    return {
        "hospital.toml": text(texts.hospital(settings)),
        "node.key": File(node.private, secret=True),
        "node.pub": File(node.public),
        "superexec.secret": File(keys.shared(), secret=True),
        "ca.pem": File(root.certificate),
        "token": text(token + "\n", secret=True),
        **dict.fromkeys(("state", "flower", "logs", "run")),
        f"systemd/{unit}": text(unit_text),
        "compose.yaml": text(units.hospital_compose(name)),
        **units.image(wheel.build()),
    }


def _asking(plan: Plan, root: pki.Issued, token: str) -> Tree:
    return {
        "client.toml": text(texts.access(Access(api=f"https://{address(plan.engine)}"))),
        "ca.pem": File(root.certificate),
        "token": text(token + "\n", secret=True),
    }
