"""Changing the master key: each call's data key is wrapped anew, no blob is touched.

Goes in batches, each one transaction; killed between or in the middle of them, the next run goes
on with what is left. An erased call stays erased. Refuses to drop a key that a call still needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from voice_pipeline.errors import Misconfigured, Permanent
from voice_pipeline.store import Store
from voice_pipeline.store.database import deciding
from voice_pipeline.store.keys import (
    MAGIC,
    MASTER_KEY,
    PREFIX,
    UNNAMED,
    FolderKeys,
    MasterKey,
)
from voice_pipeline.store.tables import calls

BATCH = 500  # calls a transaction


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A master key and the calls that need it."""

    id: str  # hex; empty: calls of before keys had ids
    state: str  # current | former | missing | unnamed
    calls: int


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did."""

    key: str  # id of the key that all calls have now
    renewed: bool  # a new key was made; else an earlier rotation was finished
    wrapped: int  # calls whose key was wrapped anew
    closed: int  # calls that no key here opens: they are as they were


def key_status(store: Store) -> list[KeyUse]:
    """Return the master keys that are here or needed, with the number of calls of each."""
    named = sa.func.substr(calls.c.wrapped_key, 1, PREFIX, type_=sa.LargeBinary)
    unnamed = sa.func.length(calls.c.wrapped_key) == UNNAMED
    name = sa.case((unnamed, sa.literal(b"", sa.LargeBinary)), else_=named)
    statement = (
        sa.select(name.label("name"), sa.func.count())
        .where(calls.c.wrapped_key.is_not(None))
        .group_by(name)
    )
    with store.database.connect() as db:
        counts = {bytes(found)[len(MAGIC) :]: count for found, count in db.execute(statement)}
    keys = store.keys.refresh(former=True)
    found = [
        KeyUse(key.id.hex(), "former" if place else "current", counts.pop(key.id, 0))
        for place, key in enumerate(keys)
    ]
    return found + [
        KeyUse(name.hex(), "missing" if name else "unnamed", count)
        for name, count in sorted(counts.items())
    ]


def rotate(
    store: Store, *, batch: int = BATCH, progress: Callable[[int], None] = lambda _: None
) -> Rotated:
    """Make a new master key and wrap every call's data key with it.

    Where the last rotation was cut off, it is finished instead. Where the keys are given by
    reference, the first of them is the new one. Servers may run meanwhile.

    Args:
        batch: calls a transaction.
        progress: is told how many were wrapped so far.

    Raises:
        Misconfigured: the keys are given by reference, and all calls have the current one
            already (code `no_new_key`).
    """
    renewed = _renew(store)
    current = store.keys.refresh()[0]
    wrapped = 0

    def count(more: int) -> None:
        nonlocal wrapped
        wrapped += more
        progress(wrapped)

    while True:
        before = wrapped
        closed = _pass(store, current, batch, count)
        if wrapped == before:
            return Rotated(current.id.hex(), renewed, wrapped, closed)


def retire(store: Store) -> list[str]:
    """Destroy the former keys in the data folder that no call needs; return their ids."""
    source = store.keys.source
    if not isinstance(source, FolderKeys):
        return []
    gone = []
    # Under this lock no process wraps with a key that it read before.
    with store.setup_lock(), deciding(store.database, MASTER_KEY) as db:
        unnamed = sa.func.length(calls.c.wrapped_key) == UNNAMED
        for key in store.keys.refresh(former=True)[1:]:
            needed = sa.select(calls.c.call).where(unnamed | _sealed_by(key)).limit(1)
            if db.scalar(needed) is None:
                source.forget(key)
                gone.append(key.id.hex())
    return gone


def _renew(store: Store) -> bool:
    """Make a new key, unless the last one has not reached every call yet."""
    source = store.keys.source
    with store.setup_lock():
        current, *others = store.keys.refresh(former=True)
        with store.database.connect() as db:
            left = db.scalar(sa.select(calls.c.call).where(_not_sealed_by(current)).limit(1))
        if isinstance(source, FolderKeys):
            if others and left is not None:
                return False
            source.renew()
            return True
    if left is None:
        raise Misconfigured(
            "every call has the current master key: name the new key in `master_key` and the "
            "one of now in `other_master_keys`, start all processes anew, then rotate",
            code="no_new_key",
        )
    return False


def _pass(store: Store, current: MasterKey, batch: int, count: Callable[[int], None]) -> int:
    """Wrap what is not wrapped by the current key; return how many cannot be."""
    after, closed = "", 0
    change = (
        calls.update()
        .where(calls.c.call == sa.bindparam("of"))
        # Only what was read: a call that was erased meanwhile must not get its key back.
        .where(calls.c.wrapped_key == sa.bindparam("was", type_=sa.LargeBinary))
        .values(wrapped_key=sa.bindparam("now", type_=sa.LargeBinary))
    )
    while True:
        with store.database.begin() as db:
            rows = db.execute(
                sa.select(calls.c.call, calls.c.wrapped_key)
                .where(_not_sealed_by(current) & (calls.c.call > after))
                .order_by(calls.c.call)
                .limit(batch)
            ).all()
            if not rows:
                return closed
            changes = []
            for call, was in rows:
                try:
                    key = store.keys.unwrap(call, was)
                except Permanent:
                    closed += 1
                    continue
                changes.append({"of": call, "was": was, "now": current.wrap(call, key)})
            if changes:
                db.execute(change, changes)
        after = rows[-1].call
        count(len(changes))


def _sealed_by(key: MasterKey) -> sa.ColumnElement[bool]:
    found = sa.func.substr(calls.c.wrapped_key, 1, PREFIX, type_=sa.LargeBinary)
    return found == sa.literal(MAGIC + key.id, sa.LargeBinary)


def _not_sealed_by(key: MasterKey) -> sa.ColumnElement[bool]:
    return calls.c.wrapped_key.is_not(None) & sa.not_(_sealed_by(key))
