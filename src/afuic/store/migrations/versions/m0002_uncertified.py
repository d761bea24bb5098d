"""Why a hospital gave no scores, and why a request could not be certified."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add them; what was there before has scores and is certified or tried again."""
    op.add_column("verifications", sa.Column("why", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("verifications") as table:
        table.alter_column("why", server_default=None)
    op.create_table(
        "uncertified",
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["request"], ["requests.id"]),
        sa.PrimaryKeyConstraint("request"),
    )
