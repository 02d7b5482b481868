"""What stages gave, and how far they are: written a dozen times a call, so in plain statements.

The rows of one stage go in together, and only where the call is still kept.
Whoever kept a result first is right: who made the same meanwhile is told which one stands.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from voice_pipeline.domain import Ref
from voice_pipeline.store.kept import erased

_CALL = "select wrapped_key is not null as kept, status, attempt from calls where call = :call"
_RESULT = """insert into results (call, stage, key, kind, sha256, seconds, made_at)
    select :call, :stage, :key, :kind, :sha256, {seconds}, {now} {where}
    on conflict do nothing"""
_PROGRESS = """insert into progress (call, stage, share, seconds, at)
    select :call, :stage, {share}, {seconds}, {now} {where}
    on conflict (call, stage) do update
    set share = excluded.share, seconds = excluded.seconds, at = excluded.at"""
_SPENT = """insert into tallies (name, label, amount)
    select name, :stage, amount from (
        select 'stage_audio' as name, {audio} as amount
        union all select 'stage_runs', 1.0
        union all select 'stage_seconds', {seconds}
    ) as spent where amount <> 0 {and_new}
    on conflict (name, label) do update set amount = tallies.amount + excluded.amount"""
_FIRST = sa.text(
    "select kind, sha256 from results where call = :call and stage = :stage and key = :key"
)
_ALL = sa.text("select stage, key, kind, sha256 from results where call = :call")
_FLOATS = {name: f"cast(:{name} as double precision)" for name in
           ("seconds", "now", "share", "audio")}  # fmt: skip


def _filled(statement: str, **words: str) -> str:
    return statement.format(**_FLOATS, **words)


# SQLite takes one after the other, under its write lock ...
_ASK = sa.text(_CALL)
_ENTER_RESULT = sa.text(_filled(_RESULT, where="where true")).execution_options(
    preserve_rowcount=True
)
_ENTER_PROGRESS = sa.text(_filled(_PROGRESS, where="where true"))
_ADD_SPENT = sa.text(_filled(_SPENT, and_new=""))
# ... PostgreSQL all in one, a trip instead of seven. The call's row comes first and is held until
# the end, so that no erasure passes; the sums come last, since everybody adds to the same ones.
_ASKED = f"with asked as materialized ({_CALL} for share)"
_IF_KEPT = "from asked where kept"
_NOTE_AT_ONCE = sa.text(
    f"{_ASKED}, done as ({_filled(_PROGRESS, where=_IF_KEPT)}) select kept from asked"
)
_KEEP_AT_ONCE = sa.text(
    f"{_ASKED}, made as ({_filled(_RESULT, where=_IF_KEPT)} returning 1), "
    f"done as ({_filled(_PROGRESS, where=_IF_KEPT)}), "
    f"spent as ({_filled(_SPENT, and_new='and exists (select from made)')}) "
    "select kept, status, attempt, exists (select from made) as new from asked"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What stands as a stage's result, and how the call stood when that was entered."""

    ref: Ref[Any]
    status: str  # of the call in the register
    attempt: int  # the newest


def keep(
    db: sa.Connection, stage: str, key: str, ref: Ref[Any], seconds: float, audio: float
) -> Kept:
    """Enter what a stage gave, that it is done, and how long it took.

    Raises:
        Permanent: the call was erased (code `erased`); the transaction must not be committed.
    """
    row = {
        "call": ref.call, "stage": stage, "key": key, "kind": ref.kind, "sha256": ref.sha256,
        "seconds": seconds, "share": 1.0, "audio": audio, "now": time.time(),
    }  # fmt: skip
    if db.dialect.name == "sqlite":
        new = db.execute(_ENTER_RESULT, row).rowcount > 0
        db.execute(_ENTER_PROGRESS, row)
        call = db.execute(_ASK, row).first()
        if new:
            db.execute(_ADD_SPENT, row)
    else:
        call = db.execute(_KEEP_AT_ONCE, row).first()
        new = call is not None and call.new
    if call is None or not call.kept:
        raise erased(ref.call)
    if not new:
        ref = Ref(ref.call, *db.execute(_FIRST, row).one())
    return Kept(ref, call.status, call.attempt)


def note(db: sa.Connection, call: str, stage: str, share: float, seconds: float | None) -> None:
    """Enter how far a stage is.

    Raises:
        Permanent: the call was erased (code `erased`); the transaction must not be committed.
    """
    row = {"call": call, "stage": stage, "share": share, "seconds": seconds, "now": time.time()}
    if db.dialect.name == "sqlite":
        db.execute(_ENTER_PROGRESS, row)
        kept = db.scalar(_ASK, row)
    else:
        kept = db.scalar(_NOTE_AT_ONCE, row)
    if not kept:
        raise erased(call)


def first(db: sa.Connection, call: str, stage: str, key: str) -> Ref[Any] | None:
    """Return the result of a stage on the same inputs, if there is one."""
    row = db.execute(_FIRST, {"call": call, "stage": stage, "key": key}).first()
    return Ref(call, *row) if row else None


def every(db: sa.Connection, call: str) -> dict[tuple[str, str], Ref[Any]]:
    """Return all results of a call by stage and key."""
    rows = db.execute(_ALL, {"call": call})
    return {(stage, key): Ref(call, kind, sha) for stage, key, kind, sha in rows}
