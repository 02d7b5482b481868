"""Counts that outlive calls, the trace of a call, and an index of states."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

INDEXES = (
    ("calls_by_state", "calls", ["status", "backfill", "code", "received_at"], "plan is not null"),
    ("calls_in_review", "calls", ["received_at"], "review = 'required'"),
    ("deliveries_open", "deliveries", ["state", "created_at"], "state <> 'delivered'"),
)


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("label", sa.String(80), primary_key=True),
        sa.Column("amount", sa.Float, nullable=False),
    )
    op.add_column("calls", sa.Column("trace", sa.String(55), nullable=True))
    for name, table, columns, rows in INDEXES:
        op.create_index(
            name, table, columns, sqlite_where=sa.text(rows), postgresql_where=sa.text(rows)
        )


def downgrade() -> None:
    for name, table, _columns, _rows in INDEXES:
        op.drop_index(name, table)
    op.drop_column("calls", "trace")
    op.drop_table("tallies")
