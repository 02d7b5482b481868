"""Old recordings on their way, and how long calls took: what a backfill is steered by.

Counts and seconds only. Decides nothing about a call; a pause is a row that every process sees.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import sqlalchemy as sa

from voice_pipeline.store.database import add_new
from voice_pipeline.store.tables import calls, pauses, results

BACKFILL = "backfill"
LATEST = 200  # calls that speed is measured on


@dataclass(frozen=True, slots=True)
class Pause:
    by: str
    at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Measured:
    """How much work finished calls were."""

    calls: int
    audio: float  # seconds
    work: float  # seconds that their stages took, one after the other


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the old recordings are."""

    waiting: int  # not handed to the engine yet
    in_hand: int  # with the engine
    ended: dict[str, int]  # state -> calls


class Backlog:
    """The old recordings of one database; safe for several processes at once."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def pause(self, by: str) -> bool:
        """Hand no more old recordings to the engine; return whether that is new."""
        with self._database.begin() as db:
            return add_new(db, pauses, {"what": BACKFILL, "by": by[:200], "at": time.time()})

    def resume(self) -> bool:
        """Let old recordings go on; return whether they were at rest."""
        with self._database.begin() as db:
            return bool(db.execute(pauses.delete().where(pauses.c.what == BACKFILL)).rowcount)

    def paused(self) -> Pause | None:
        query = sa.select(pauses.c.by, pauses.c.at).where(pauses.c.what == BACKFILL)
        with self._database.connect() as db:
            row = db.execute(query).first()
        return Pause(row.by, row.at) if row else None

    def in_hand(self) -> int:
        """Return how many old recordings the engine has."""
        query = sa.select(sa.func.count()).where(
            calls.c.backfill.is_(True),
            calls.c.status.in_(("received", "running")),
            calls.c.run.is_not(None),
        )
        with self._database.connect() as db:
            return int(db.scalar(query) or 0)

    def counts(self) -> Counts:
        handed = calls.c.run.is_not(None)
        query = (
            sa.select(calls.c.status, handed, sa.func.count())
            .where(calls.c.backfill.is_(True))
            .group_by(calls.c.status, handed)
        )
        waiting = in_hand = 0
        ended: dict[str, int] = {}
        with self._database.connect() as db:
            for status, with_engine, count in db.execute(query):
                if status not in ("received", "running"):
                    ended[status] = ended.get(status, 0) + count
                elif with_engine:
                    in_hand += count
                else:
                    waiting += count
        return Counts(waiting, in_hand, ended)

    def left(self) -> int:
        """Return the bytes of the old recordings that have not ended."""
        query = sa.select(sa.func.sum(calls.c.size)).where(
            calls.c.backfill.is_(True), calls.c.status.in_(("received", "running"))
        )
        with self._database.connect() as db:
            return int(db.scalar(query) or 0)

    def measured(self) -> Measured:
        """Return what the latest finished calls took, a stage that was done anew once."""
        latest = (
            sa.select(calls.c.call, calls.c.duration)
            .where(calls.c.status.in_(("done", "held")), calls.c.duration > 0)
            .order_by(calls.c.ended_at.desc())
            .limit(LATEST)
            .subquery()
        )
        stages = (
            sa.select(results.c.call, sa.func.max(results.c.seconds).label("seconds"))
            .where(results.c.call.in_(sa.select(latest.c.call)))
            .group_by(results.c.call, results.c.stage)
            .subquery()
        )
        with self._database.connect() as db:
            known = db.execute(sa.select(sa.func.count(), sa.func.sum(latest.c.duration))).one()
            work = db.scalar(sa.select(sa.func.sum(stages.c.seconds)))
        return Measured(int(known[0]), float(known[1] or 0), float(work or 0))
