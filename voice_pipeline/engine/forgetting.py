"""Forgetting a call in the engine's journal: its own runs, those of its stages and deliveries."""

from __future__ import annotations

import time

from dbos import DBOS

from voice_pipeline.engine.naming import OPEN, runs_of


def forget_runs(call: str, seen: float) -> int:
    """Stop the runs of a call wherever they are, forget them, and return how many there were.

    Args:
        call: id of the call.
        seen: seconds in which whoever waits for one of them sees that it was stopped.
    """
    rows = runs_of(call)
    if waiting := [row.workflow_id for row in rows if row.status in OPEN]:
        DBOS.cancel_workflows(waiting)
        time.sleep(seen)
    DBOS.delete_workflows([row.workflow_id for row in rows])
    return len(rows)
