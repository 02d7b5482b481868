"""Workers killed and the database stopped while calls are worked off: nothing lost, none twice."""

from __future__ import annotations

import signal
from pathlib import Path

import chaos
import pytest
from postgres import Cluster


@pytest.mark.slow
def test_killed_workers_and_a_stopped_database(
    tmp_path: Path, postgres: Cluster, postgres_database: str
) -> None:
    """Sixty calls, six kills, one stop of the database: all done, each delivered once."""

    def stop() -> None:
        postgres.stop(signal.SIGQUIT)
        postgres.start()

    seen = chaos.run(tmp_path, postgres_database, stop, calls=60, kills=6, stops=1, most=240)
    assert seen.states == {"done": 60}, (seen, (tmp_path / "workers.log").read_text()[-3000:])
    assert (seen.delivered, seen.delivered_twice) == (60, 0)
    assert (seen.kills, seen.stops) == (6, 1)
