"""Deliveries as an outbox: when each is due, who has it in hand, and how each target does."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def new() -> list[sa.Column[Any]]:
    return [
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("queue", sa.String(200), nullable=True),
        sa.Column("number", sa.Integer, nullable=False, server_default="1"),
        sa.Column("note", sa.String(64), nullable=True),
        sa.Column("decision", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_at", sa.Float, nullable=False, server_default="0"),
        sa.Column("leased_by", sa.String(64), nullable=True),
        sa.Column("leased_until", sa.Float, nullable=True),
        sa.Column("code", sa.String(60), nullable=True),
        sa.Column("customer", sa.String(400), nullable=True),
        sa.Column("payload", sa.String(64), nullable=True),
        sa.Column("remarks", sa.Text, nullable=True),
        sa.Column("by", sa.String(200), nullable=True),
        sa.Column("why", sa.Text, nullable=True),
    ]


def upgrade() -> None:
    with op.batch_alter_table("deliveries") as deliveries:
        for column in new():
            deliveries.add_column(column)
    op.execute("update deliveries set note = revision")
    op.execute("update deliveries set state = 'waiting' where state = 'pending'")
    op.execute(
        "update deliveries set tenant = coalesce((select calls.tenant from calls where "
        "calls.call = deliveries.call), 'default'), queue = (select calls.queue from calls where "
        "calls.call = deliveries.call)"
    )
    op.create_table(
        "targets",
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("paused_by", sa.String(200), nullable=True),
        sa.Column("paused_at", sa.Float, nullable=True),
        sa.Column("why", sa.Text, nullable=True),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("code", sa.String(60), nullable=True),
        sa.Column("detail", sa.Text, nullable=True),
        sa.Column("failing_since", sa.Float, nullable=True),
        sa.Column("rests_until", sa.Float, nullable=False, server_default="0"),
        sa.Column("next_at", sa.Float, nullable=False, server_default="0"),
    )


def downgrade() -> None:
    op.drop_table("targets")
    op.execute("update deliveries set state = 'pending' where state in ('waiting', 'sending')")
    op.execute(
        "update deliveries set state = 'refused' where state in "
        "('unmatched', 'unapproved', 'superseded', 'cancelled')"
    )
    with op.batch_alter_table("deliveries") as deliveries:
        for column in reversed(new()):
            deliveries.drop_column(column.name)
