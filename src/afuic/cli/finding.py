"""How a command finds the federation's server: by options, by the environment, or by the settings file of a folder.

One place gives all of it, so that the token of one federation is never sent to the server of another.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afuic.cli.common import needs_deploy
from afuic.errors import ConfigError

if TYPE_CHECKING:
    from afuic.service.client import Client
    from afuic.settings import Access, Site

URL_VARIABLE, TOKEN_VARIABLE, CA_VARIABLE = "AFUIC_SERVER_URL", "AFUIC_TOKEN_FILE", "AFUIC_CA"
HOW = "go to a folder with hospital.toml or client.toml, name one with --home, or give --server, --token and --ca"

Server = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="The server's API.", show_default=f"${URL_VARIABLE}, or the folder's"),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token", metavar="FILE", help="File with your token.", show_default=f"${TOKEN_VARIABLE}, or the folder's"),
]
Authority = Annotated[
    Path | None,
    typer.Option(
        "--ca", metavar="FILE", help="The federation's CA certificate.", show_default=f"${CA_VARIABLE}, or the folder's"
    ),
]
Home = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="FOLDER", help="Folder with hospital.toml or client.toml.", show_default="the current folder"
    ),
]


def client(server: str | None, token: Path | None, ca: Path | None, home: Path | None) -> Client:
    """A connection to the server; ConfigError where nothing says which."""
    with needs_deploy("ask a federation's server", "client"):
        from afuic.service.client import Client

    return Client(access(server, token, ca, home))


def access(server: str | None, token: Path | None, ca: Path | None, home: Path | None) -> Access:
    """What the options say; what they leave out, ``home`` says where it is given, else the environment, else the current folder."""
    if home is None and (server or os.environ.get(URL_VARIABLE)):
        return _given(server, token, ca)
    found = in_folder(home or Path())
    if found is None:
        raise ConfigError(f"{(home or Path()).resolve()}: nothing says which federation is meant; {HOW}")
    given = {"api": server, "token": token, "ca": ca}
    return _access({**found.model_dump(), **{name: value for name, value in given.items() if value is not None}})


def _given(server: str | None, token: Path | None, ca: Path | None) -> Access:
    file = token or os.environ.get(TOKEN_VARIABLE)
    if not file:
        raise ConfigError(
            f"--server (or {URL_VARIABLE}) needs a token as well; give its file with --token or in {TOKEN_VARIABLE}"
        )
    return _access({"api": server or os.environ[URL_VARIABLE], "token": file, "ca": ca or os.environ.get(CA_VARIABLE) or None})


def _access(values: dict[str, object]) -> Access:
    from pydantic import ValidationError

    from afuic.settings import Access

    try:
        return Access.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            "; ".join(f"{item['loc'][0]}: {item['msg'].removeprefix('Value error, ')}" for item in error.errors())
        ) from None


def in_folder(folder: Path) -> Access | None:
    """What the settings file of a hospital, an operator or an auditor in this folder says; None where there is none."""
    from afuic.settings import CLIENT_FILE, Access, load

    if (here := site(folder)) is not None:
        return Access(api=here.api, ca=here.ca, token=here.token)
    path = folder / CLIENT_FILE
    return load(path, Access) if path.is_file() else None


def site(folder: Path | None) -> Site | None:
    """The hospital whose folder this is; None where it is no hospital's."""
    from afuic.settings import HOSPITAL_FILE, Site, load

    path = (folder or Path()) / HOSPITAL_FILE
    return load(path, Site) if path.is_file() else None
