"""The settings files as text with a word on each table, and what a person has to do with the new files."""

from __future__ import annotations

from typing import Any

import tomli_w
from pydantic import BaseModel

from afuic.deploy.wheel import Wheel
from afuic.settings import Access, Server, Site

_AGREED = """\
# [federation] and [images] are the agreement: the same at the server and at every hospital, or a hospital does nothing. To change
# them, change them everywhere at once.
"""
_SERVER = f"""\
# The server of a federation that can unlearn. Paths are relative to this file. It may hold a database's password: keep it to yourself.
#   store, database   where the truth lies: a folder, and "none" for SQLite in it, or a URL (postgresql+psycopg://user:password@host/name)
#   witness           what was acknowledged, outside of the store: best on another disk, and never restored together with the store
#   [[hospitals]]     who takes part; a hospital is known by its node_key, whatever name it gives itself
#   [api]             where erasure requests come in; nginx passes them on from [engine] public_port
#   [engine]          Flower's SuperLink, on this machine only, and what nginx lets in
#   [gate]            what an update must look like
#   [retention]       how many models are kept
{_AGREED}"""
_HOSPITAL = f"""\
# A hospital's part in a federation that can unlearn. Paths are relative to this file.
#   data              the images, as 'afuic data import' writes them: split train is trained on, split val stays for verification
#   state             what must survive: withdrawals, results under way. Back it up, and never delete it.
#   slowdown          above 1 only to try out uneven hospitals
{_AGREED}"""
_ACCESS = "# How afuic's commands, called in this folder, reach the server. The token is a secret.\n"


def server(settings: Server) -> str:
    """``federation.toml``."""
    return _SERVER + _toml(settings)


def hospital(settings: Site) -> str:
    """``hospital.toml``."""
    return _HOSPITAL + _toml(settings)


def access(settings: Access) -> str:
    """``client.toml``."""
    return _ACCESS + _toml(settings)


def _toml(settings: BaseModel) -> str:
    return "\n" + tomli_w.dumps(_explicit(settings.model_dump(mode="json")))


def _explicit(value: Any) -> Any:
    """TOML has no null: "none" stands for it, so that a default that changes one day changes no federation."""
    if isinstance(value, dict):
        return {key: _explicit(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_explicit(item) for item in value]
    return "none" if value is None else value


def handing_out(hospitals: tuple[str, ...], folder: str, wheel: Wheel) -> str:
    """What to copy where, and what is secret."""
    names = ", ".join(hospitals)
    return f"""\
What goes where. Nothing here is needed in two places, except ca/ca.pem, which anybody may have.

  to the server      federation.toml, ca/ca.pem, server/, app/, nginx.conf, {wheel.name} and its .sha256, and systemd/, or
                     compose.yaml with Dockerfile and .dockerignore; as {folder}
  to each hospital   its own folder below hospitals/ ({names}), over a channel you trust, as {folder}; its images go beside it as data.npz
  to the operator    operator/
  to the auditor     auditor/
  nowhere            ca/ca.key: keep it offline; it is needed only to give the server a new certificate

Secret (readable by you alone; whoever has one can act as its owner):
  ca/ca.key                     makes certificates that every hospital would believe
  server/tls.key                is the server
  server/certificate.key        signs certificates of erasure; its public half, server/certificate.pub, is for everybody
  server/superexec.secret       lets a process on the server take up tasks
  hospitals/NAME/node.key       is the hospital, to Flower
  hospitals/NAME/token          is the hospital, to the API; so are operator/token and auditor/token
  server/tokens.json, federation.toml

These files, the folders that hold them and the one that you copy to have to be closed to others (chmod 600, chmod 700), or nothing starts.

After copying, delete hospitals/, operator/ and auditor/ here: what is not kept cannot be stolen.

afuic is on no package index: it is installed from the file {wheel.name}, whose sha256 is
  {wheel.digest}
Tell each hospital these digits on another way than the file's. On each machine, in its folder:
  sha256sum -c {wheel.name}.sha256 && pip install './{wheel.name}[deploy]'

Then:
  on the server      put unlabelled images as server/calibration.npz (or set calibration = "none"), then: afuic deploy serve {folder}
  at each hospital   afuic deploy join {folder}
  and keep them running with the systemd units or compose files beside.
"""
