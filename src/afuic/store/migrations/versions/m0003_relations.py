"""Whoever is in the sum and whoever taught the server's steps are two columns. Older rows do not tell them apart: both name everybody."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make them of the one there was."""
    with op.batch_alter_table("versions") as table:
        table.alter_column("contained", new_column_name="taught_by")
        table.add_column(sa.Column("contributors", sa.JSON(), nullable=False, server_default="[]"))
    op.execute("UPDATE versions SET contributors = taught_by")
    with op.batch_alter_table("versions") as table:
        table.alter_column("contributors", server_default=None)
