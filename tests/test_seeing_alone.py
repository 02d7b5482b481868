"""Figures of services that are set up otherwise, or started again."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from prometheus import figures
from quick import hand_in, running, settled

from voice_pipeline.api import metrics


def test_sums_survive_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter never falls because a process was replaced."""
    monkeypatch.setattr(metrics, "FRESH", 0.0)  # look anew each time
    with running(tmp_path / "data") as service, service.client() as client:
        settled(client, hand_in(client))
        before = figures(service.url)
    with running(tmp_path / "data") as service:
        after = figures(service.url)
    for key in (("calls_ended_total", (("status", "done"),)),
                ("stage_seconds_sum", (("stage", "mute"),))):  # fmt: skip
        assert after[key] == before[key] > 0
    assert ("http_requests_total", ()) not in after


def test_figures_can_be_kept_behind_a_key(tmp_path: Path) -> None:
    """With `serve.metrics = "key"` only roles with the permission read them."""
    with running(tmp_path / "data", serve={"metrics": "key"}) as service:
        assert httpx.get(f"{service.url}/metrics").status_code == 401
        for role, status in (("agent", 403), ("integration", 200), ("admin", 200)):
            with service.client(role) as client:
                assert client.get("/metrics").status_code == status
