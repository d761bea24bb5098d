"""How often a hospital's tasks have failed in a row and why, and how the model fared at some of its versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add them; nothing is known of what was before."""
    op.add_column("clients", sa.Column("failures", sa.Integer(), nullable=True))
    op.add_column("clients", sa.Column("failed_at", sa.Double(), nullable=True))
    op.add_column("clients", sa.Column("failure", sa.Text(), nullable=True))
    op.create_table(
        "measures",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("loss", sa.Double(), nullable=True),
        sa.Column("accuracy", sa.Double(), nullable=True),
        sa.Column("change", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("version"),
    )
