"""What is at rest until somebody lets it go on, and an index of what is to be done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "pauses",
        sa.Column("what", sa.String(40), primary_key=True),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("calls_by_work", "calls", ["status", "backfill", "received_at", "run"])


def downgrade() -> None:
    op.drop_index("calls_by_work", "calls")
    op.drop_table("pauses")
