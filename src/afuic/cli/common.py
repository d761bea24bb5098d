"""What several commands share: the configuration argument, the options for it, and the console for tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from afuic.errors import ConfigError, extra

if TYPE_CHECKING:
    from afuic.config import Config

SETTINGS: dict[str, Any] = {"context_settings": {"help_option_names": ["-h", "--help"]}, "no_args_is_help": True}


def load(source: str | None, overrides: tuple[str, ...] = ()) -> Config:
    """The configuration in a file, or the shipped one of that name, or the defaults; ConfigError when there is none."""
    from afuic import config

    return config.load(source, overrides)


@contextmanager
def needs_deploy(what: str, smallest: str = "deploy") -> Iterator[None]:
    """Within the block a library that only an extra brings may be missing: ConfigError then names the ``smallest`` one that has it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name}: not installed, and needed to {what}; {extra(smallest)}") from None


def tell_gpu() -> None:
    """Say on standard error that networks compute on a GPU, where they do."""
    from afuic.learning import devices

    if (gpu := devices.gpu()) is not None:
        typer.echo(f"afuic: networks compute on {gpu}; {devices.VARIABLE}=cpu changes that", err=True)


def output() -> Console:
    """Standard output, wide enough for the tables where it is not a terminal."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=160)


def complete_config(incomplete: str) -> list[str]:
    """Shipped names and files that a half-typed configuration can become."""
    files = [str(path) for path in Path().glob(f"{incomplete}*") if path.suffix == ".toml" or path.is_dir()]
    from afuic.config import shipped

    return [name for name in shipped() if name.startswith(incomplete)] + files


def complete_method(incomplete: str) -> list[str]:
    """Registered methods that begin so."""
    from afuic.erase import METHODS

    return [name for name in METHODS if name.startswith(incomplete)]


def complete_data(incomplete: str) -> list[str]:
    """Registered data sets that begin so."""
    from afuic.data import catalogue

    return [entry.name for entry in catalogue() if entry.name.startswith(incomplete)]


Source = Annotated[
    str | None,
    typer.Argument(
        metavar="CONFIG.toml",
        help="A configuration file, or the name of a shipped one: demo, demo-phantom.",
        show_default="the defaults: demo without its mark",
        autocompletion=complete_config,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change one value, in TOML syntax; may be given more than once.", show_default="none"
    ),
]
Jobs = Annotated[int | None, typer.Option(min=1, help="Arms simulated at the same time.", show_default="one for each core")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.")]
