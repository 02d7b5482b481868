"""Calls by the keyed hash of the number that they came from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    with op.batch_alter_table("calls") as calls:
        calls.add_column(sa.Column("phone_key", sa.String(40), nullable=True))
    op.create_index("calls_by_phone", "calls", ["tenant", "phone_key"])


def downgrade() -> None:
    op.drop_index("calls_by_phone", "calls")
    with op.batch_alter_table("calls") as calls:
        calls.drop_column("phone_key")
