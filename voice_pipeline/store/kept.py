"""Whether a call is still kept: asked inside each transaction that adds something to a call.

An erasure sets the call's key to NULL before it removes the rows. Whoever adds a row asks here in
the same transaction: either the erasure waits and then removes that row too, or the row is refused.
"""

from __future__ import annotations

import sqlalchemy as sa

from voice_pipeline.errors import Permanent
from voice_pipeline.store.tables import calls


def is_kept(db: sa.Connection, call: str, *, changing: bool = False) -> bool:
    """Say whether a call may be added to; one that was never entered here may.

    On PostgreSQL the call's row is held until the transaction ends, so that no erasure passes it.
    On SQLite the caller has written already, or holds the write lock (`deciding`).

    Args:
        db: the transaction.
        call: id of the call.
        changing: the transaction changes the call's row, too; two that do wait for one another.
    """
    query = sa.select(calls.c.wrapped_key).where(calls.c.call == call)
    row = db.execute(query.with_for_update(read=not changing)).first()
    return row is None or row.wrapped_key is not None


def check_kept(db: sa.Connection, call: str, *, changing: bool = False) -> None:
    """Refuse to add to a call that was erased.

    Raises:
        Permanent: it was (code `erased`); the transaction must not be committed.
    """
    if not is_kept(db, call, changing=changing):
        raise erased(call)


def erased(call: str) -> Permanent:
    return Permanent(f"call {call} is not kept here, or was erased", code="erased")
