"""Migrations and tables say the same, and they travel inside the package."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from afuic.store import schema
from afuic.store.book import Book
from afuic.store.database import Database, _migrations, _scripts

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_migrations_make_the_tables(book: Book) -> None:
    with book._database.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_an_upgrade_again_changes_nothing(book: Book) -> None:
    book._database.upgrade()
    assert book.federation == "tests"


def test_older_lineage_names_everybody_in_both_relations(tmp_path: Path) -> None:
    database = Database(None, tmp_path)
    with database.writing() as connection:
        command.upgrade(_migrations(connection), "0002")
        old = {"version": 7, "seq": 7, "step": 7, "t": 1.0, "at": 1.0, "digest": "d", "why": "update", "kept": False}
        columns = [sa.column(name) for name in (*old, "contained")]
        table = sa.table("versions", *columns)
        connection.execute(sa.insert(table).values(**old, contained='["a@0", "b@0"]'))
    database.upgrade()
    with database.reading() as connection:
        row = connection.execute(sa.select(schema.versions)).one()
    assert (row.contributors, row.taught_by, row.kept) == (["a@0", "b@0"], ["a@0", "b@0"], False)
    database.close()


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
