"""Escalations that people act on, and the notices that they are told by."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "escalations",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("call", sa.String(64), nullable=False, index=True),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("severity", sa.String(10), nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("people", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("queue", sa.String(200), nullable=True),
        sa.Column("opened_at", sa.Float, nullable=False),
        sa.Column("due_at", sa.Float, nullable=True),
        sa.Column("historical", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("code", sa.String(60), nullable=True),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("notices", sa.Integer, nullable=False),
        sa.Column("here", sa.Integer, nullable=False),
        sa.Column("level_at", sa.Float, nullable=True),
        sa.Column("last_at", sa.Float, nullable=True),
        sa.Column("next_at", sa.Float, nullable=True),
        sa.Column("acknowledged_by", sa.String(200), nullable=True),
        sa.Column("acknowledged_at", sa.Float, nullable=True),
        sa.Column("acknowledge_reason", sa.Text, nullable=True),
        sa.Column("resolved_by", sa.String(200), nullable=True),
        sa.Column("resolved_at", sa.Float, nullable=True),
        sa.Column("resolve_reason", sa.Text, nullable=True),
        sa.Index("escalations_next", "next_at", **where("state = 'open'")),
        sa.Index("escalations_unresolved", "category", "severity", **where("state <> 'resolved'")),
        sa.Index("escalations_by_due", "tenant", "opened_at", "id"),
    )
    op.create_table(
        "notices",
        sa.Column("key", sa.String(32), primary_key=True),
        sa.Column("escalation", sa.String(32), nullable=False, index=True),
        sa.Column("call", sa.String(64), nullable=False, index=True),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("names", sa.Text, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("made_at", sa.Float, nullable=False),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("leased_by", sa.String(64), nullable=True),
        sa.Column("leased_until", sa.Float, nullable=True),
        sa.Column("sent_at", sa.Float, nullable=True),
        sa.Column("code", sa.String(60), nullable=True),
        sa.Column("reason", sa.Text, nullable=True),
        sa.Index("notices_open", "next_at", **where("state in ('waiting', 'sending')")),
        sa.Index("notices_refused", "escalation", **where("state = 'refused'")),
    )


def downgrade() -> None:
    op.drop_table("notices")
    op.drop_table("escalations")
