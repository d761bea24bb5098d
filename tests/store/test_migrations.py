"""Migrations and tables say the same, and they travel inside the package."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from afuic.store import schema
from afuic.store.book import Book
from afuic.store.database import _scripts

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_migrations_make_the_tables(book: Book) -> None:
    with book._database.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_an_upgrade_again_changes_nothing(book: Book) -> None:
    book._database.upgrade()
    assert book.federation == "tests"


def test_revisions_form_one_line() -> None:
    scripts = _scripts()
    assert len(scripts.get_heads()) == 1
    assert [s.revision for s in scripts.walk_revisions()][-1] == "0001"


def test_the_migrations_are_part_of_the_package() -> None:
    folder = files("afuic.store") / "migrations"
    assert (folder / "env.py").is_file()
    assert (folder / "versions" / "m0001_initial.py").is_file()
    named = tomllib.loads(PROJECT.read_text())["tool"]["setuptools"]["package-data"]["afuic"]
    assert "store/migrations/versions/*.py" in named
