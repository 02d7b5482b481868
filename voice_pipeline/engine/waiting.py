"""How much waits in each queue and since when, read from the engine's tables without an engine."""

from __future__ import annotations

import time
from dataclasses import dataclass

import sqlalchemy as sa

from voice_pipeline.engine.queues import LIVE, RUN

# DBOS's own table; its partial index of what is in flight answers this without the rows
RUNS = """
    select queue_name, status, priority, count(*), min(created_at) from {table}
    where status in ('ENQUEUED', 'PENDING') group by queue_name, status, priority
"""


@dataclass(frozen=True, slots=True)
class Depth:
    """One queue, of live work or of backfill."""

    queue: str
    backfill: bool
    waiting: int
    oldest: float  # seconds for which the oldest has waited; 0: none waits
    running: int


def depths(database: sa.Engine) -> list[Depth]:
    """Return every queue of runs twice, live and backfill; empty ones too."""
    with database.connect() as db:
        schema = "dbos" if db.dialect.name == "postgresql" else None
        table = "workflow_status" if schema is None else f"{schema}.workflow_status"
        here = sa.inspect(db).has_table("workflow_status", schema)
        rows = db.execute(sa.text(RUNS.format(table=table))).all() if here else []
    now = time.time()
    found = []
    for queue in RUN:
        for backfill in (False, True):
            ours = [r for r in rows if r[0] == queue and (r[2] > LIVE) == backfill]
            waiting = [r for r in ours if r[1] == "ENQUEUED"]
            oldest = min((r[4] / 1000 for r in waiting), default=now)
            running = sum(r[3] for r in ours if r[1] == "PENDING")
            count = sum(r[3] for r in waiting)
            found.append(Depth(queue, backfill, count, max(0.0, now - oldest), running))
    return found
