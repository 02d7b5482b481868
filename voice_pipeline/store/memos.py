"""What stages gave, and how far they are: written a dozen times a call, so in plain statements.

The rows of one stage go into one transaction, which ends by asking whether the call is still kept.
Whoever kept a result first is right: who made the same meanwhile is told which one stands.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from voice_pipeline.domain import Ref
from voice_pipeline.store import tallies
from voice_pipeline.store.kept import erased

# the same words in both databases
_RESULT = sa.text(
    "insert into results (call, stage, key, kind, sha256, seconds, made_at) "
    "values (:call, :stage, :key, :kind, :sha256, :seconds, :now) on conflict do nothing"
).execution_options(preserve_rowcount=True)
_FIRST = sa.text(
    "select kind, sha256 from results where call = :call and stage = :stage and key = :key"
)
_PROGRESS = sa.text(
    "insert into progress (call, stage, share, seconds, at) "
    "values (:call, :stage, :share, :seconds, :now) on conflict (call, stage) "
    "do update set share = excluded.share, seconds = excluded.seconds, at = excluded.at"
)
_CALL = "select wrapped_key is not null as kept, status, attempt from calls where call = :call"
_ASK = {
    "sqlite": sa.text(_CALL),  # has the write lock by now
    "postgresql": sa.text(f"{_CALL} for share"),  # no erasure passes until we have committed
}
_ALL = sa.text("select stage, key, kind, sha256 from results where call = :call")


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
        "seconds": seconds, "share": 1.0, "now": time.time(),
    }  # fmt: skip
    new = db.execute(_RESULT, row).rowcount > 0
    db.execute(_PROGRESS, row)
    status, attempt = _ask(db, ref.call)
    if new:  # last, since everybody adds to the same sums
        spent = {("stage_seconds", stage): seconds, ("stage_runs", stage): 1.0}
        tallies.count(db, {**spent, ("stage_audio", stage): audio})
    else:
        ref = Ref(ref.call, *db.execute(_FIRST, row).one())
    return Kept(ref, status, attempt)


def note(db: sa.Connection, call: str, stage: str, share: float, seconds: float | None) -> None:
    """Enter how far a stage is.

    Raises:
        Permanent: the call was erased (code `erased`); the transaction must not be committed.
    """
    row = {"call": call, "stage": stage, "share": share, "seconds": seconds, "now": time.time()}
    db.execute(_PROGRESS, row)
    _ask(db, call)


def first(db: sa.Connection, call: str, stage: str, key: str) -> Ref[Any] | None:
    """Return the result of a stage on the same inputs, if there is one."""
    row = db.execute(_FIRST, {"call": call, "stage": stage, "key": key}).first()
    return Ref(call, *row) if row else None


def every(db: sa.Connection, call: str) -> dict[tuple[str, str], Ref[Any]]:
    """Return all results of a call by stage and key."""
    rows = db.execute(_ALL, {"call": call})
    return {(stage, key): Ref(call, kind, sha) for stage, key, kind, sha in rows}


def _ask(db: sa.Connection, call: str) -> tuple[str, int]:
    """Return state and newest attempt of a call; one that was never entered here is new."""
    row = db.execute(_ASK[db.dialect.name], {"call": call}).first()
    if row is None:
        return "received", 1
    if not row.kept:
        raise erased(call)
    return row.status, row.attempt
