"""Which processes the server and a hospital consist of, what each waits for, and how to tell that it is there."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from afuic.deploy import checks, submission
from afuic.deploy.layout import Layout
from afuic.deploy.processes import Process
from afuic.engines import flower
from afuic.errors import ConfigError
from afuic.settings import HOSPITAL_FILE, SERVER_FILE, Api, Server, Site, load

NGINX = "/usr/sbin/nginx"


def server(folder: Path) -> tuple[Process, ...]:
    """The server's: SuperLink, its SuperExec, the API, nginx in front, the nodes' registration, and the run."""
    settings, at = load(folder / SERVER_FILE, Server), Layout(folder)
    commands = flower.server_commands(settings, folder)
    return (
        Process("superlink", commands.superlink, commands.env, ready=checks.listens(settings.engine.superlink_port)),
        Process("api", (sys.executable, "-m", "afuic.service", str(at.federation)), ready=_api(settings.api, at)),
        Process("nginx", _nginx(folder), ready=checks.listens(settings.engine.public_port), depends=("superlink", "api")),
    )
