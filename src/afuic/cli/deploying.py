"""The commands that set a federation up and keep it running: init, local, serve, join, stop, renew."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afuic.cli.common import SETTINGS, Overrides, complete_config, complete_data, dump, errors, load, needs_deploy, output, say
from afuic.errors import ConfigError

if TYPE_CHECKING:
    from afuic.config import Config
    from afuic.settings import Engine, Images

app = typer.Typer(help="Set a federation up on Flower and keep it running.", **SETTINGS)

New = Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that is not there yet.")]
Present = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder with its settings.")]
A_B_C, WHO = "A,B,C|N", "The hospitals' names, or how many: hospital-0, hospital-1 and so on."
DataName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="A registered set or an npz.",
        show_default="the configuration's",
        autocompletion=complete_data,
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="CONFIG.toml",
        help="The settings that all share, as for `afuic run`.",
        show_default="demo; demo-phantom for the set phantom",
        autocompletion=complete_config,
    ),
]


@app.command(epilog="Example: afuic deploy init federation --hospitals charite,inselspital,ucl --public-host fl.example.org")
def init(
    folder: New,
    hospitals: Annotated[str, typer.Option(metavar=A_B_C, help=WHO)],
    data: DataName = None,
    public_host: Annotated[
        str, typer.Option(metavar="HOST", help="Name or address under which hospitals reach the server.")
    ] = "localhost",
    public_port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="Its port.")] = 9443,
    server_folder: Annotated[
        str, typer.Option("--installed-in", metavar="DIR", help="Where the files will lie on each machine, for systemd.")
    ] = "/srv/afuic",
    config: From = None,
    set_: Overrides = None,
) -> None:
    """Write a federation's files: keys, certificates, settings for the server and every hospital, nginx, systemd and compose.

    The set only says what images look like and which classes they show; its images are not used.
    """
    with needs_deploy("make keys and certificates"):
        from afuic.deploy import files, planning, texts, wheel

    names = planning.names(hospitals)
    chosen = _config(config, data, set_)
    engine = _engine(public_host, public_port)
    agreed = planning.agreement(chosen, names)
    plan = planning.Plan(agreed, _images(chosen), names, engine, folders=server_folder)
    files.write_tree(folder, planning.tree(plan))
    say(f"{folder}: written, readable by you alone. The same words are in {folder / 'README.txt'}.", "")
    dump(texts.handing_out(names, server_folder, wheel.build()))


@app.command(epilog="Example: afuic deploy local federation --hospitals 3 --data bloodmnist --slow hospital-2=10")
def local(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder that is not there yet, or one that this command made.")
    ],
    hospitals: Annotated[str | None, typer.Option(metavar=A_B_C, help=WHO, show_default="3")] = None,
    data: DataName = None,
    slow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOSPITAL=FACTOR",
            help="Let it work so many times slower; may be given more than once.",
            show_default="none",
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when everything runs, and leave it running.")] = False,
    config: From = None,
    set_: Overrides = None,
) -> None:
    """Start a whole federation on this machine: every process of server and hospitals, with TLS and node keys, on divided data.

    A folder that this command made goes on where it was. Ctrl-C stops everything, unless --detach was given.
    """
    with needs_deploy("run a federation"):
        from afuic.cli import watching
        from afuic.deploy import local as locally
        from afuic.deploy import planning, running
        from afuic.evaluate.results import repairs

    if not _there(folder):
        names = planning.names(hospitals or "3")
        chosen = _config(config, data, set_)
        _fetch(chosen)
        dropped = locally.create(folder, chosen, names, planning.slowed(tuple(slow or ()), names))
        say(*(f"afuic: {told}" for told in repairs(dropped)), err=True)
    elif hospitals or data or slow or config or set_:
        raise ConfigError(f"{folder}: is there already and goes on with its own settings; leave out all options but --detach")
    where = running.place(folder)
    running.detach(where, "local", tied=not detach)
    if detach:
        watching.until_ready(where, errors())
        say(*watching.how_to_go_on(folder))
        return
    try:
        watching.watch(where, output())
    finally:
        say(f"afuic: stopping; the federation is kept in {folder}", err=True)
        running.stop(where)


@app.command(epilog="Example: afuic deploy serve /srv/afuic")
def serve(folder: Present = Path()) -> None:
    """Keep the server's processes running until SIGTERM or Ctrl-C; what systemd or a container calls."""
    _keep("serve", folder)


@app.command(epilog="Example: afuic deploy join /srv/afuic")
def join(folder: Present = Path()) -> None:
    """Keep a hospital's processes running until SIGTERM or Ctrl-C; what systemd or a container calls."""
    _keep("join", folder)


@app.command(epilog="Example: afuic deploy stop federation")
def stop(folder: Present) -> None:
    """End whatever runs for a folder, even what a killed supervisor left behind."""
    with needs_deploy("stop a federation"):
        from afuic.deploy import running

    say(f"{folder}: {running.stop(running.place(folder))} processes ended")


@app.command(epilog="Example: afuic deploy status /srv/afuic")
def status(folder: Present = Path()) -> None:
    """Tell how it stands with each process of a folder, without asking the server; exit code 1 unless all do their work."""
    with needs_deploy("look at a federation's processes"):
        from afuic.cli import telling
        from afuic.cli.common import output
        from afuic.deploy import processes, running
        from afuic.store import rows

    where = running.place(folder)
    found = () if running.running(where) is None else rows.processes(running.read_status(where), time.monotonic())
    if not found:
        raise ConfigError(f"{where.folder}: nothing runs here; 'afuic deploy serve' or 'join' starts it")
    output().print(telling.processes(found))
    if not all(row.stage in processes.SERVED for row in found):
        raise typer.Exit(1)


@app.command(epilog="Example: afuic deploy renew federation --tls --token operator")
def renew(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder that init made.")],
    tls: Annotated[bool, typer.Option("--tls", help="The server's TLS key and certificate; needs ca/ca.key.")] = False,
    nginx: Annotated[bool, typer.Option("--nginx", help="nginx.conf, as this version writes it.")] = False,
    token: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A token: operator, auditor or a hospital's name.", show_default="none"),
    ] = None,
    node: Annotated[
        list[str] | None, typer.Option(metavar="HOSPITAL", help="A hospital's node key.", show_default="none")
    ] = None,
) -> None:
    """Make new keys, certificates or tokens for a federation that is there, and say what has to be taken where."""
    with needs_deploy("make keys and certificates"):
        from afuic.deploy import renewing

    if not (tls or nginx or token or node):
        raise ConfigError("deploy renew: say what is to be new: --tls, --nginx, --token NAME or --node HOSPITAL")
    renewals = [renewing.token(folder, name) for name in dict.fromkeys(token or ())]
    renewals += [renewing.node(folder, name) for name in dict.fromkeys(node or ())]
    renewals += [renewing.tls(folder)] if tls else []
    renewals += [renewing.front(folder)] if nginx else []
    for renew_it in renewals:
        say(renew_it())


@app.command(epilog="Example: afuic deploy reconcile /srv/afuic --waive r-5f2c81d0a4be --reason 'asked for by mistake'")
def reconcile(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The server's folder, with its server stopped.")] = Path(),
    waive: Annotated[
        list[str] | None,
        typer.Option(metavar="REQUEST", help="Leave this erasure for good; may be given more than once.", show_default="none"),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Let rows that were changed from outside count as they are.")
    ] = False,
    unnamed: Annotated[bool, typer.Option("--unnamed", help="Delete files of models that no row names.")] = False,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why, for --waive and --accept.", show_default="none")
    ] = None,
) -> None:
    """Put a store right that was set back to an older copy: ask again for every erasure that it lost, or waive it by name.

    Until then the server hands out no work; 'afuic status' says why. What is done is in the audit.
    """
    with needs_deploy("open a federation's store"):
        from afuic.settings import SERVER_FILE, Server, load
        from afuic.store.book import Book

    if (waive or accept) and not reason:
        raise ConfigError("deploy reconcile: --waive and --accept need a --reason, for the record")
    settings = load(folder / SERVER_FILE, Server)
    with closing(Book.open(settings.database, settings.store, write=True, witness=settings.witness, tidy=False)) as book:
        done = book.reconcile(dict.fromkeys(waive or (), reason or ""), reason if accept else None, unnamed, time.time())
    say(*(done or ["nothing to put right: the store has all that its witness knows"]))


def _keep(what: str, folder: Path) -> None:
    with needs_deploy("run a federation"):
        from afuic.deploy import running

    where = running.place(folder)
    say(f"afuic: logs in {where.log}", err=True)
    if code := running.start(what, folder, echo=lambda line: say(f"afuic: {line}", err=True)):
        raise typer.Exit(abs(code))


def _there(folder: Path) -> bool:
    from afuic.settings import SERVER_FILE

    return (folder / SERVER_FILE).is_file()


def _config(source: str | None, data: str | None, set_: list[str] | None) -> Config:
    """The configuration to start from; the synthetic set is so small that it has one of its own."""
    shipped = "demo-phantom" if source is None and data == "phantom" else source
    return load(shipped, (*(() if data is None else (f"data.name={data}",)), *(set_ or ())))


def _engine(host: str, port: int) -> Engine:
    from pydantic import ValidationError

    from afuic.config import explain
    from afuic.settings import Engine

    try:
        return Engine(public_host=host, public_port=port)
    except ValidationError as error:
        raise ConfigError(f"--public-host, --public-port: {explain(error)}") from None


def _images(config: Config) -> Images:
    """What images look like, without fetching any where the set is registered."""
    from afuic.data.registry import find, supported
    from afuic.settings import Images

    if find(config.data.name) is not None:
        entry = supported(config.data.name)
        return Images(channels=entry.channels, size=config.data.size, class_names=entry.classes)
    from afuic.data import load as load_data

    found = load_data(config.data.name)
    return Images(channels=found.images.shape[3], size=config.data.size, class_names=found.class_names)


def _fetch(config: Config) -> None:
    from afuic.cli.running import _ensure_data

    _ensure_data(config)
