"""Articles with their history, vectors and marks, and how much drafts were changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "articles",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("audience", sa.String(40), nullable=False),
        sa.Column("locale", sa.String(10), nullable=False),
        sa.Column("reviewed_until", sa.String(10), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.String(20), nullable=False, index=True),
    )
    op.create_table(
        "article_events",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("article", sa.String(64), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("event", sa.String(20), nullable=False),
        sa.Column("was", sa.String(20), nullable=True),
        sa.Column("undoes", sa.Integer, nullable=True),
        sa.Column("replaced", sa.Integer, nullable=True),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("why", sa.String(1000), nullable=False),
    )
    op.create_table(
        "article_vectors",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("made_by", sa.String(200), primary_key=True),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("vectors", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "article_marks",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("article", sa.String(64), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("call", sa.String(64), nullable=True, index=True),
        sa.Column("verdict", sa.String(10), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "draft_edits",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("call", sa.String(64), nullable=False, index=True),
        sa.Column("revision", sa.String(64), nullable=False),
        sa.Column("characters", sa.Float, nullable=False),
        sa.Column("words", sa.Float, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )


def downgrade() -> None:
    for table in (
        "draft_edits",
        "article_marks",
        "article_vectors",
        "article_events",
        "articles",
    ):
        op.drop_table(table)
