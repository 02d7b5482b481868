"""Old recordings over HTTP: they rest and go on as an operator says."""

from __future__ import annotations

import time
from pathlib import Path

from quick import running, settled

from voice_pipeline.service import Sender


def test_a_backfill_rests_and_goes_on(tmp_path: Path, database: str | None) -> None:
    """While it rests nothing old is handed over, and live calls pass; who paused it is said."""
    with running(tmp_path / "data", database=database) as found, found.client("admin") as admin:
        paused = admin.post("/v1/backfill/pause").json()
        assert paused["paused"]["by"].startswith("key:") and paused["waiting"] == 0
        calls = []
        for old in (True, False):
            arrival = found.service.arrival()
            arrival.write(b"RIFF sound")
            calls.append(arrival.finish("a.wav", {}, Sender(), backfill=old).call)
        assert settled(admin, calls[1])["status"] == "done"
        time.sleep(1.2)  # longer than between two looks
        state = admin.get("/v1/backfill").json()
        assert (state["waiting"], state["in_hand"], state["ended"]) == (1, 0, {})
        assert state["paused"] == admin.post("/v1/backfill/pause").json()["paused"]
        assert admin.post("/v1/backfill/resume").json()["paused"] is None
        assert settled(admin, calls[0])["status"] == "done"
        assert admin.get("/v1/backfill").json()["ended"] == {"done": 1}


def test_only_an_operator_may(tmp_path: Path) -> None:
    """Other roles are refused, though they hand recordings in."""
    with running(tmp_path / "data", queues=()) as found:
        for role in ("supervisor", "integration", "compliance"):
            with found.client(role) as client:
                assert client.post("/v1/backfill/pause").status_code == 403
                assert client.get("/v1/backfill").status_code == 403
        assert found.service.kit.store.backlog.paused() is None
