"""The record's chain, what is to be deleted, and what is said of a store that stands still."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "chain",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("head", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table("doomed", sa.Column("digest", sa.String(length=80), nullable=False), sa.PrimaryKeyConstraint("digest"))
    op.add_column("federation", sa.Column("restored", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("federation", sa.Column("halted", sa.Text(), nullable=True))
    op.add_column("federation", sa.Column("checked_at", sa.Double(), nullable=True))
    op.add_column("federation", sa.Column("fault", sa.Text(), nullable=True))
