"""What was subtracted for a request, beside what stayed, and how the released model was judged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add them; older requests have neither."""
    op.add_column("requests", sa.Column("beside", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("requests", sa.Column("judgement", sa.JSON(none_as_null=True), nullable=True))
