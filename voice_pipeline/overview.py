"""What goes on in the service as a whole: counts, ages and sums, for machines and for people.

Reads two databases and asks no engine, so that it works beside a running service and without one.
Selects states, codes, times and sums only: nothing of it can say what a call is about.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from voice_pipeline.engine.heartbeats import Worker, workers
from voice_pipeline.engine.queues import CALLS, CRM
from voice_pipeline.engine.waiting import Depth, depths
from voice_pipeline.store.escalated import Standing
from voice_pipeline.store.escalations import EscalationBook
from voice_pipeline.store.outbox import OPEN as OUT
from voice_pipeline.store.outbox import Outbox, TargetRow
from voice_pipeline.store.register import Register
from voice_pipeline.store.tables import calls
from voice_pipeline.store.tallies import counted

OPEN = ("received", "running", "held", "failed")  # somebody or something still has to act
LOST = ("refused", "unmatched")  # deliveries about which a person has to decide
LATE = 900.0  # seconds after which a delivery that has not arrived needs a look


@dataclass(frozen=True, slots=True)
class Doing:
    """How a target does."""

    target: str
    waiting: int
    oldest: float  # seconds
    failing_since: float | None  # seconds since the epoch; None: it does well
    code: str | None
    detail: str | None
    paused_by: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """One look at the whole."""

    at: float  # seconds since the epoch
    calls: Mapping[str, int]  # by state, of those that are open
    failed: Mapping[str, int]  # of them, by code
    held: Mapping[str, int]  # of them, by code
    queues: Sequence[Depth]
    workers: Sequence[Worker]
    deliveries: Mapping[str, int]  # that did not arrive: refused unmatched stuck
    targets: Sequence[Doing]  # that have something waiting, or were failing or paused
    escalations: Standing
    review: int  # notes that wait for a person
    review_oldest: float  # seconds
    disk_free: int  # bytes
    disk_size: int
    sums: Mapping[str, Mapping[str, float]]  # store/tallies.py


def look(database: sa.Engine, engine: sa.Engine, root: Path) -> Overview:
    """Look at the register's and the engine's database, and at the disk of the data folder."""
    now = time.time()
    with database.connect() as db:
        states = db.execute(
            sa.select(calls.c.status, calls.c.backfill, calls.c.code, sa.func.count(),
                      sa.func.min(calls.c.received_at))
            # a plan, or it is an upload that has not ended; the words are those of the index
            .where(sa.text("plan is not null"), calls.c.status.in_(OPEN))
            .group_by(calls.c.status, calls.c.backfill, calls.c.code)
        ).all()  # fmt: skip
        review = db.execute(
            sa.select(sa.func.count(), sa.func.min(calls.c.received_at)).where(
                sa.text("review = 'required'")
            )
        ).one()
        sums = counted(db)
    outbox = Outbox(database)
    due, resting = outbox.waiting(), outbox.targets()
    disk = shutil.disk_usage(root)
    return Overview(
        at=now,
        calls={state: sum(r[3] for r in states if r[0] == state) for state in OPEN},
        failed=_by_code(states, "failed"),
        held=_by_code(states, "held"),
        queues=[*_with_received(depths(engine), states, now), _outgoing(due, now)],
        workers=workers(database),
        deliveries=_undelivered(due, now),
        targets=[
            _target(name, due, resting.get(name), now)
            for name in sorted({one for one, _ in due} | set(resting))
        ],
        escalations=EscalationBook(database, Register(database)).standing(),
        review=review[0],
        review_oldest=max(0.0, now - review[1]) if review[1] is not None else 0.0,
        disk_free=disk.free,
        disk_size=disk.total,
        sums=sums,
    )


def _outgoing(due: Mapping[tuple[str, str], tuple[int, float]], now: float) -> Depth:
    """Return the outbox as a queue."""
    waiting = [found for (_, state), found in due.items() if state == "waiting"]
    sending = [found for (_, state), found in due.items() if state == "sending"]
    oldest = min((at for _, at in waiting), default=now)
    return Depth(
        CRM, False, sum(n for n, _ in waiting), max(0.0, now - oldest), sum(n for n, _ in sending)
    )


def _undelivered(due: Mapping[tuple[str, str], tuple[int, float]], now: float) -> dict[str, int]:
    found = {state: sum(n for (_, s), (n, _) in due.items() if s == state) for state in LOST}
    late = [n for (_, s), (n, at) in due.items() if s in OUT and at < now - LATE]
    return found | {"stuck": sum(late)}


def _target(
    name: str,
    due: Mapping[tuple[str, str], tuple[int, float]],
    row: TargetRow | None,
    now: float,
) -> Doing:
    mine = [found for (target, state), found in due.items() if target == name and state in OUT]
    return Doing(
        name,
        sum(n for n, _ in mine),
        max((now - at for _, at in mine), default=0.0),
        row.failing_since if row and row.failures else None,
        row.code if row else None,
        row.detail if row else None,
        row.paused_by if row else None,
    )


def _by_code(states: Sequence[Any], state: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in states:
        if row[0] == state:
            found[row[2] or "unknown"] = found.get(row[2] or "unknown", 0) + row[3]
    return found


@dataclass(frozen=True, slots=True)
class Failure:
    """The last call that failed with a code."""

    code: str
    call: str
    at: float  # seconds since the epoch
    detail: str  # what is wrong and what to do


def last_failures(database: sa.Engine, limit: int = 200) -> list[Failure]:
    """Return the newest failure of each code among the last calls that failed."""
    query = (
        sa.select(calls.c.code, calls.c.call, calls.c.ended_at, calls.c.detail)
        .where(sa.text("plan is not null"), calls.c.status == "failed")
        .order_by(calls.c.received_at.desc())
        .limit(limit)
    )
    with database.connect() as db:
        rows = db.execute(query).all()
    newest: dict[str, Failure] = {}
    for code, call, at, detail in rows:
        newest.setdefault(code or "unknown", Failure(code or "unknown", call, at or 0.0,
                                                     detail or ""))  # fmt: skip
    return list(newest.values())


def _with_received(queues: Sequence[Depth], states: Sequence[Any], now: float) -> list[Depth]:
    """Count calls that nobody has handed to the engine yet into the queue that they go to."""
    received = {bool(row[1]): (row[3], now - row[4]) for row in states if row[0] == "received"}
    found = []
    for depth in queues:
        if depth.queue == CALLS and depth.backfill in received:
            count, age = received[depth.backfill]
            depth = replace(depth, waiting=max(depth.waiting, count), oldest=max(depth.oldest, age))
        found.append(depth)
    return found
