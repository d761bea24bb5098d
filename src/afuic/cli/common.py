"""What several commands share: the configuration argument, the options for it, and the console for tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from afuic.errors import ConfigError, extra
from afuic.text import shown

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
        say(f"afuic: networks compute on {gpu}; {devices.VARIABLE}=cpu changes that", err=True)


def say(*lines: str, err: bool = False) -> None:
    """Print lines. Whatever text from outside is in them stays on its line and hides nothing: all that commands print goes through here."""
    for line in lines:
        typer.echo(shown(line), err=err)


def dump(document: str) -> None:
    """Print a whole document, which has line ends of its own."""
    typer.echo(shown(document, "\n\t"), nl=not document.endswith("\n"))


class PlainTable(Table):
    """A table whose every cell is one line of what may be text from outside."""

    def add_row(self, *cells: Any, **how: Any) -> None:
        """A row; a text in it stays on its line."""
        super().add_row(*(shown(cell) if isinstance(cell, str) else cell for cell in cells), **how)


class PlainConsole(Console):
    """Tables and bars of text as it is: nothing in it is markup, a link or a picture, and nothing hides. A text alone is a line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def print(self, *things: Any, **how: Any) -> None:
        """Texts and tables."""
        super().print(*(shown(thing) if isinstance(thing, str) else thing for thing in things), **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """Text that is measured after what hides in it was shown; the line ends of a heading or a cell are the table's own."""
        return super().render_str(shown(text, "\n"), **how)

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Whatever else is shown, such as a bar's own texts."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(shown(segment.text, "\n"), segment.style)


def output() -> PlainConsole:
    """Standard output, wide enough for the tables where it is not a terminal."""
    console = PlainConsole()
    return console if console.is_terminal or "COLUMNS" in os.environ else PlainConsole(width=160)


def errors() -> PlainConsole:
    """Standard error, for what is shown while something goes on."""
    return PlainConsole(stderr=True)


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
