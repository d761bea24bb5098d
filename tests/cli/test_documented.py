"""Every command and option is documented in docs/cli.md and has an example in its help; the README's example runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from afuic.cli import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def commands(group: Any = None, path: str = "afuic") -> Iterator[tuple[str, Any]]:
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


ALL = dict(commands())


def section(path: str) -> str:
    found = re.search(rf"^## `{re.escape(path)}[^`]*`\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert found, f"docs/cli.md has no section '## `{path} …`'"
    return found.group(0)


@pytest.mark.parametrize("path", ALL)
def test_each_command_is_documented_with_all_its_options(path):
    text = section(path)
    for parameter in ALL[path].params:
        if parameter.name != "help" and parameter.opts[0].startswith("-"):
            assert f"`{parameter.opts[0]}" in text, f"{path}: {parameter.opts[0]} is not documented"
    assert f"\n    {path}" in text, f"{path} has no example"


def test_nothing_is_documented_that_does_not_exist():
    documented = re.findall(r"^## `(afuic(?: [a-z]+)+)", PAGE, flags=re.MULTILINE)
    assert sorted(documented) == sorted(ALL)


@pytest.mark.parametrize("path", ALL)
def test_each_help_has_an_example(afuic_cli, path):
    code, text = afuic_cli(*path.split()[1:], "--help")
    assert code == 0
    assert f"Example: {path}" in text
    assert "Usage: " in text


def test_the_root_help_names_every_command(afuic_cli):
    code, text = afuic_cli("--help")
    assert code == 0
    assert all(path.split()[1] in text for path in ALL)
    assert "--install-completion" in text


def test_links_in_the_documents_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "DEVELOPERS.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target} does not exist"
