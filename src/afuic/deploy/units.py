"""How the server and a hospital are kept running by systemd or in containers: text for an administrator to read, change and install.

Both only start ``afuic deploy serve`` or ``join``, which knows what depends on what and sees whether each process does its work, and
start those again when they end. systemd also does when they stand still; in a container a second process of theirs sees to that.
"""

from __future__ import annotations

from string import Template

from afuic.deploy.files import File, Tree, text
from afuic.deploy.wheel import Wheel

_UNIT = Template("""\
# Install: copy the folder to $folder, owned by a user 'afuic' and closed to others (chmod 700); in it:
#   sha256sum -c $wheel.sha256 && python3 -m venv /opt/afuic && /opt/afuic/bin/pip install './$wheel[deploy]'
#   install -m 644 systemd/$unit /etc/systemd/system/ && systemctl enable --now $unit
[Unit]
Description=$what
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
User=afuic
WorkingDirectory=$folder
Environment=PATH=/opt/afuic/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
ExecStart=/opt/afuic/bin/afuic deploy $command $folder
Restart=always
RestartSec=5
WatchdogSec=180
NotifyAccess=main
LimitNOFILE=65536
KillMode=mixed
TimeoutStopSec=60
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=yes
ReadWritePaths=$folder

[Install]
WantedBy=multi-user.target
""")

_COMPOSE = Template("""\
# $what in a container: docker compose up -d --build (or podman compose). Read the Dockerfile beside it.
services:
  $service:
    build:
      context: .
      dockerfile: Dockerfile
    command: ["afuic", "deploy", "$command", "/federation"]
    init: true
    restart: always
    stop_grace_period: 60s
    read_only: true
    tmpfs: [/tmp]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    user: "$${AFUIC_UID:-1000}:$${AFUIC_GID:-1000}"
    ulimits:
      nofile: 65536
    healthcheck:
      test: ["CMD", "afuic", "deploy", "status", "/federation"]
      interval: 60s
      timeout: 30s
      start_period: 300s
    volumes:
      - .:/federation
$ports""")

_DOCKERFILE = Template("""\
# afuic with what a deployment needs, from the wheel beside this file, checked by its sha256; the federation's files are mounted, never
# copied in (.dockerignore keeps them from the build).
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends nginx && rm -rf /var/lib/apt/lists/*
COPY $wheel /tmp/
RUN echo "$digest  /tmp/$wheel" | sha256sum -c - \\
 && pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu \\
 && pip install --no-cache-dir '/tmp/$wheel[deploy]'
ENV HOME=/tmp FLWR_TELEMETRY_ENABLED=0
""")


def server_unit(folder: str, wheel: Wheel) -> tuple[str, str]:
    """The server's systemd unit: its name and text. ``folder``: where the files will lie on the server."""
    name = "afuic-server.service"
    what = "afuic: the server of a federation that can unlearn"
    return name, _UNIT.substitute(unit=name, what=what, folder=folder, command="serve", wheel=wheel.name)


def hospital_unit(hospital: str, folder: str, wheel: Wheel) -> tuple[str, str]:
    """A hospital's systemd unit: its name and text."""
    name = "afuic-hospital.service"
    what = f"afuic: {hospital}'s part in a federation that can unlearn"
    return name, _UNIT.substitute(unit=name, what=what, folder=folder, command="join", wheel=wheel.name)


def server_compose(public_port: int) -> str:
    """The server's compose file."""
    ports = f'    ports: ["{public_port}:{public_port}"]\n'
    return _COMPOSE.substitute(what="The federation's server", service="server", command="serve", ports=ports)


def hospital_compose(hospital: str) -> str:
    """A hospital's compose file; it opens no port, a hospital only ever calls out."""
    return _COMPOSE.substitute(what=hospital, service="hospital", command="join", ports="")


def image(wheel: Wheel) -> Tree:
    """What the image of both is built from: the Dockerfile, and all that the build may read."""
    return {
        "Dockerfile": text(_DOCKERFILE.substitute(wheel=wheel.name, digest=wheel.digest)),
        ".dockerignore": text(f"*\n!{wheel.name}\n"),
        **{name: File(content) for name, content in wheel.files.items()},
    }
