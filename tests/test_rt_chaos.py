"""Workers killed and Request Tracker stopped while notes are delivered: a ticket a call."""

from __future__ import annotations

from pathlib import Path

import pytest
import rt_chaos
from request_tracker import Tracker, request_tracker

__all__ = ["request_tracker"]  # a fixture


@pytest.mark.slow
def test_killed_workers_and_a_stopped_tracker(
    tmp_path: Path, request_tracker: Tracker, postgres_database: str
) -> None:
    """Sixty calls, five kills, one stop, every twentieth request broken: sixty tickets, each with
    its own call's note, and none twice."""
    seen = rt_chaos.run(
        tmp_path, postgres_database, request_tracker, calls=60, kills=5, stops=1, most=500,
        faults=0.05,
    )  # fmt: skip
    assert seen.states == {"delivered": 60}, (seen, (tmp_path / "workers.log").read_text()[-3000:])
    assert (seen.tickets, seen.twice, seen.wrong) == (60, 0, 0), seen
    assert (seen.kills, seen.stops) == (5, 1)
