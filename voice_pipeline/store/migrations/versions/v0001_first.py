"""The first schema: calls, plans, results, progress, deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("call", sa.String(64), primary_key=True),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=True),
        sa.Column("received_sha256", sa.String(64), nullable=True),
        sa.Column("received_at", sa.Float, nullable=False),
    )
    op.create_table(
        "plans",
        sa.Column("plan", sa.String(64), primary_key=True),
        sa.Column("settings", sa.Text, nullable=False),
    )
    op.create_table(
        "results",
        sa.Column("call", sa.String(64), primary_key=True),
        sa.Column("stage", sa.String(40), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("made_at", sa.Float, nullable=False),
    )
    op.create_table(
        "progress",
        sa.Column("call", sa.String(64), primary_key=True),
        sa.Column("stage", sa.String(40), primary_key=True),
        sa.Column("share", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float, nullable=True),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("call", sa.String(64), nullable=False, index=True),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("revision", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("external_id", sa.String(400), nullable=True),
        sa.Column("reason", sa.Text, nullable=True),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("delivered_at", sa.String(40), nullable=True),
        sa.UniqueConstraint("call", "target", "revision"),
    )


def downgrade() -> None:
    for table in ("deliveries", "progress", "results", "plans", "calls"):
        op.drop_table(table)
