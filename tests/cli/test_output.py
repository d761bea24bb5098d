"""Text from outside goes out through one place, which hides nothing and interprets nothing."""

from __future__ import annotations

import ast
import io
import logging
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Group
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text
from typer.testing import CliRunner

from afuic.cli import app, telling
from afuic.cli.common import PlainConsole, PlainTable, dump, output, say
from afuic.errors import StoreError
from afuic.store.rows import AuditRow, ClientRow, ProcessRow, RequestRow, Status, VersionRow
from afuic.text import PlainLog, hidden, log_to

SOURCE = Path(__file__).parents[2] / "src" / "afuic"
NASTY = st.text(
    st.one_of(
        st.sampled_from("\x1b\x9b\x85\u202e\u2028\u2029\u200b\ufeff\U000e0041\x07\r\n\t[]/:\\"),
        st.characters(),
    ),
    max_size=12,
)
TEXT = st.one_of(NASTY, st.sampled_from(["[red]x[/red]", "[link=http://a.b]c[/link]", "[/]", ":smile:", "\x1b]0;title\x07"]))


def clean(printed: str) -> bool:
    """Whether nothing in it hides but line ends."""
    return all(hidden(line) is None for line in printed.split("\n"))


def printed(*things: Any, **options: Any) -> str:
    file = io.StringIO()
    console = PlainConsole(file=file, width=200, **options)
    for thing in things:
        console.print(thing)
    return file.getvalue()


# -- nothing else prints ----------------------------------------------------------------------------------------------


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


PRINTS = {
    "Table",
    "print",
    "typer.echo",
    "typer.secho",
    "click.echo",
    "click.secho",
    "Console",
    "rich.print",
    "Text.from_markup",
}
WRITES = {"sys.stdout.write", "sys.stderr.write"}
LOGS = {"logging.basicConfig", "logging.StreamHandler", "logging.Formatter", "logging.FileHandler"}


def test_commands_print_through_one_place() -> None:
    found = {
        f"{path.name}: {name}"
        for path in (SOURCE / "cli").glob("*.py")
        for name, _ in calls(path)
        if name in PRINTS | WRITES and path.name != "common.py"
    }
    assert found == set()


def test_what_programs_write_is_shown() -> None:
    """Errors on their way out of a program quote what they were given; the schemas that two modules print are their own."""
    for path in SOURCE.rglob("*.py"):
        for name, call in calls(path):
            if name in WRITES:
                argument = ast.unparse(call.args[0])
                assert "{" not in argument or "shown(" in argument, (path, argument)
            assert name != "print" or "schema()" in ast.unparse(call), path


def test_logs_and_pages_go_through_one_place() -> None:
    for path in SOURCE.rglob("*.py"):
        for name, call in calls(path):
            assert name not in LOGS or path.name == "text.py", (path, name)
            if name == "Environment":
                assert {"autoescape", "finalize"} <= {keyword.arg for keyword in call.keywords}, path


# -- whatever text comes ----------------------------------------------------------------------------------------------


def rows(kind: type[Any], **more: Any) -> st.SearchStrategy[Any]:
    """Rows whose every text is anything."""
    values: dict[str, Any] = {
        "str": TEXT,
        "str | None": st.one_of(st.none(), TEXT),
        "int": st.integers(0, 9),
        "int | None": st.one_of(st.none(), st.integers(0, 9)),
        "float": st.floats(0, 1e9),
        "float | None": st.one_of(st.none(), st.floats(0, 1e9)),
        "bool": st.booleans(),
        "tuple[str, ...]": st.lists(TEXT, max_size=2).map(tuple),
        "dict[str, str]": st.dictionaries(TEXT, TEXT, max_size=2),
        "tuple[dict[str, Any], ...]": st.just(()),
    }
    known = {field.name: values[str(field.type)] for field in fields(kind) if str(field.type) in values}
    return st.builds(kind, **known | more)


STATUS = rows(
    Status,
    clients=st.lists(rows(ClientRow), max_size=2).map(tuple),
    processes=st.lists(rows(ProcessRow), max_size=2).map(tuple),
)


TABLES: dict[str, st.SearchStrategy[Any]] = {
    "requests": st.lists(rows(RequestRow), max_size=2),
    "versions": st.lists(rows(VersionRow), max_size=2),
    "audit": st.lists(rows(AuditRow), max_size=2),
    "processes": st.lists(rows(ProcessRow), max_size=2),
    "clients": STATUS,
}


def test_every_table_is_tried() -> None:
    made = {name for name, found in vars(telling).items() if getattr(found, "__annotations__", {}).get("return") == "Table"}
    assert made == set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_no_table_hides_anything(name: str) -> None:
    @settings(max_examples=40, deadline=None)
    @given(TABLES[name])
    def holds(told: Any) -> None:
        assert clean(printed(getattr(telling, name)(told)))

    holds()


@settings(max_examples=60, deadline=None)
@given(asked=rows(RequestRow), status=STATUS, text=TEXT)
def test_no_line_hides_anything(asked: RequestRow, status: Status, text: str) -> None:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        say(*telling.request(asked), *telling.overview(status), telling.moved({"reason": text, "before": text}), text)
        dump(text)
        output().print(telling.requests([asked]))
    bars = Progress(TextColumn("{task.description}", markup=False), BarColumn())
    bars.add_task(text, total=1)
    assert clean(out.getvalue().replace("\t", " "))
    assert clean(printed(text, Group(Text(text), text), bars.get_renderable()))


@pytest.mark.parametrize(
    "text", ["[red]x[/red]", "[link=http://a.b]c[/link]", "[/]", ":smile:", "[bold", "[@click=app.quit()]x[/]"]
)
def test_nothing_is_markup(text: str) -> None:
    table = PlainTable(text)
    table.add_row(text)
    assert printed(table, text).count(text) == 3
    assert "http" not in text or "\x1b]8" not in printed(table, force_terminal=True)


def test_a_terminal_gets_no_command_from_a_text() -> None:
    shown = printed("\x1b]0;title\x07\x9b31m", Text("\x1b]0;title\x9b"), force_terminal=True)
    assert "\x1b" not in shown
    assert "\\x1b]0;title\\x07\\x9b31m" in shown


def test_lines_cannot_be_forged() -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        say("reason: a\nr-2: completed", "next")
    assert out.getvalue() == "reason: a\\x0ar-2: completed\nnext\n"


def test_a_cell_cannot_forge_a_row_and_a_heading_may_have_two_lines() -> None:
    table = PlainTable("latency\n(of retrain)")
    table.add_row("r-1\nr-2")
    shown = printed(table)
    assert "latency" in shown.splitlines()[1]
    assert "r-1\\x0ar-2" in shown
    assert "\\x0a(of" not in shown


def test_errors_show_what_they_quote(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise StoreError("name\u202e\x9b: unknown")

    monkeypatch.setattr("afuic.cli.asking.client", refuse)
    result = CliRunner().invoke(app, ["requests"])
    assert (result.exit_code, "name\\u202e\\x9b: unknown" in result.output) == (2, True)
    assert clean(result.output)


@given(TEXT)
def test_a_log_line_is_one_line(text: str) -> None:
    record = logging.LogRecord("afuic", logging.INFO, "f", 1, "task %s", (text,), None)
    line = PlainLog().format(record)
    assert hidden(line) is None


def test_a_traceback_keeps_its_lines_and_nothing_else() -> None:
    stream = io.StringIO()
    log_to(stream, "afuic.test_output")
    logger = logging.getLogger("afuic.test_output")
    try:
        raise ValueError("a\u202e\x9bb")
    except ValueError:
        logger.exception("it failed")
    logger.handlers.clear()
    text = stream.getvalue()
    assert "it failed\nTraceback" in text
    assert "ValueError: a\\u202e\\x9bb" in text
    assert clean(text)
    assert sys.exc_info() == (None, None, None)
