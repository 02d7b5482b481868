"""The register: what lists and searches of calls read, their revisions, events and workers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

INDEXES = {
    "calls_by_time": ["tenant", "received_at", "call"],
    "calls_by_status": ["tenant", "status", "received_at"],
    "calls_by_customer": ["tenant", "customer_ref", "received_at", "call"],
    "calls_by_sha256": ["tenant", "sha256"],
}
TABLES = ("executors", "events", "idempotency", "revisions")


def added() -> list[sa.Column[Any]]:
    """Return the new columns; each call makes them anew, for a column belongs to one table."""
    return [
        sa.Column("tenant", sa.String(64), nullable=False, server_default="default"),
        sa.Column("status", sa.String(12), nullable=False, server_default="received"),
        sa.Column("version", sa.Integer, nullable=False, server_default="1"),
        sa.Column("plan", sa.String(64), nullable=True),
        sa.Column("run", sa.String(160), nullable=True),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
        sa.Column("targets", sa.Text, nullable=False, server_default="[]"),
        sa.Column("revision", sa.Integer, nullable=False, server_default="0"),
        sa.Column("backfill", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("name", sa.String(400), nullable=True),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.Column("size", sa.BigInteger, nullable=True),
        sa.Column("queue", sa.String(200), nullable=True),
        sa.Column("agent", sa.String(200), nullable=True),
        sa.Column("team", sa.String(200), nullable=True),
        sa.Column("customer_ref", sa.String(200), nullable=True),
        sa.Column("call_ref", sa.String(200), nullable=True),
        sa.Column("started_at", sa.String(40), nullable=True),
        sa.Column("uploaded_by", sa.String(200), nullable=True),
        sa.Column("duplicate_of", sa.String(64), nullable=True),
        sa.Column("duration", sa.Float, nullable=True),
        sa.Column("ended_at", sa.Float, nullable=True),
        sa.Column("code", sa.String(60), nullable=True),
        sa.Column("detail", sa.Text, nullable=True),
        sa.Column("request_type", sa.String(80), nullable=True),
        sa.Column("urgency", sa.String(10), nullable=True),
        sa.Column("flags", sa.Text, nullable=True),
        sa.Column("warnings", sa.Text, nullable=True),
        sa.Column("review", sa.String(12), nullable=True),
    ]


def upgrade() -> None:
    for column in added():
        op.add_column("calls", column)
    for name, columns in INDEXES.items():
        op.create_index(name, "calls", columns)
    op.create_table(
        "revisions",
        sa.Column("call", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("plan", sa.String(64), nullable=False),
        sa.Column("run", sa.String(160), nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("made_at", sa.Float, nullable=False),
        sa.UniqueConstraint("call", "run"),
    )
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("call", sa.String(64), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("queue", sa.String(200), nullable=True),
        sa.Column("type", sa.String(60), nullable=False),
        sa.Column("call", sa.String(64), nullable=False, index=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_table(
        "executors",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("seen", sa.Float, nullable=False),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("queues", sa.String(200), nullable=False),
    )
    with op.batch_alter_table("deliveries") as deliveries:
        deliveries.alter_column("target", type_=sa.Text, existing_nullable=False)
    if op.get_bind().dialect.name == "sqlite":
        op.execute("create virtual table call_texts using fts5(call unindexed, body)")
    else:
        op.execute(
            "create table call_texts (call varchar(64) primary key, body text not null, "
            "words tsvector generated always as (to_tsvector('simple', body)) stored)"
        )
        op.execute("create index call_texts_words on call_texts using gin (words)")


def downgrade() -> None:
    op.execute("drop table call_texts")
    for table in TABLES:
        op.drop_table(table)
    for name in INDEXES:
        op.drop_index(name, "calls")
    with op.batch_alter_table("deliveries") as deliveries:
        deliveries.alter_column("target", type_=sa.String(200), existing_nullable=False)
    with op.batch_alter_table("calls") as calls:
        for column in added():
            calls.drop_column(column.name)
