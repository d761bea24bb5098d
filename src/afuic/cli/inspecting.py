"""The commands that only tell: configurations and methods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from afuic.cli.common import SETTINGS, Overrides, PlainTable, Source, complete_method, dump, load, output, say
from afuic.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

app = typer.Typer(help="Show and check configurations.", **SETTINGS)


@app.command(epilog="Example: afuic config show demo --set training.lr=0.02 > mine.toml")
def show(config: Source = None, set_: Overrides = None) -> None:
    """Print a configuration as TOML with every default filled in."""
    import tomli_w

    values = load(config, tuple(set_ or ())).model_dump(mode="json", exclude_none=True)
    dump(tomli_w.dumps(values))


@app.command(epilog="Example: afuic config check mine.toml")
def check(config: Source = None, set_: Overrides = None) -> None:
    """Check a configuration without running it: methods and options, model, and on its data the hospitals and requests."""
    from afuic.cli.running import absent
    from afuic.data.registry import supported
    from afuic.engines.laboratory import prepare
    from afuic.erase import check_options

    checked = load(config, tuple(set_ or ()))
    check_options(checked)
    unseen = [supported(name).name for name in absent(checked)]
    if not unseen:
        prepare(checked)
    methods = ", ".join(checked.methods)
    say(f"{config or 'the defaults'}: fine; data {checked.data.name}, methods {methods}, seed {checked.seed}")
    for name in unseen:
        say(f"not looked at: hospitals, model and requests, before `afuic data get {name}` has fetched the data")


@app.command(epilog="Example: afuic config schema > afuic.schema.json")
def schema() -> None:
    """Print the JSON Schema of a configuration, for editors that check TOML while you type."""
    from afuic.config import Config

    dump(json.dumps(Config.model_json_schema(), indent=2, ensure_ascii=False))


def methods(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Tell this method's options.", show_default="all", autocompletion=complete_method),
    ] = None,
) -> None:
    """List the registered methods with their sources, or one method's options with their defaults."""
    from afuic.erase import METHODS

    if name is None:
        table = PlainTable("method", "target online", "what it does", "source")
        for method in METHODS.values():
            table.add_row(method.name, "needed" if method.needs_target else "not needed", method.summary, method.source)
        output().print(table)
        return
    if name not in METHODS:
        raise ConfigError(f"{name}: no such method; there are {', '.join(METHODS)}")
    method = METHODS[name]
    say(f"{method.name}: {method.summary}", f"source: {method.source}")
    rows = list(options(method.options()))
    if rows:
        say(f"set options in a table [options.{name}], or with --set options.{name}.KEY=VALUE")
        output().print(_table(rows))


def _table(rows: list[tuple[str, str, str, str]]) -> Table:
    table = PlainTable("option", "default", "values", "meaning")
    for row in rows:
        table.add_row(*row)
    return table


def options(defaults: BaseModel, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Key, default, admissible values and meaning of each option, nested ones by their dotted key."""
    fields = type(defaults).model_json_schema()["properties"] if type(defaults).model_fields else {}
    for key, field in fields.items():
        value = getattr(defaults, key)
        if hasattr(type(value), "model_fields"):
            yield from options(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value), _values(field), field.get("description", "")


def _values(field: dict[str, Any]) -> str:
    """The values that one property of a JSON Schema admits, in words."""
    if "anyOf" in field:
        return " or ".join(_values(option) for option in field["anyOf"])
    if "$ref" in field:
        return f"table ({field['$ref'].rpartition('/')[2]})"
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = ", ".join(f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field)
    return f"{field.get('const', field.get('type', 'any'))} {bounds}".strip()
