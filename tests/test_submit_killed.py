"""`submit` and `serve` as processes of their own: killed in the middle, and watching a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from command import run
from tones import tone

from voice_pipeline.config import load_settings
from voice_pipeline.opening import open_store
from voice_pipeline.store.rows import CallRow, Scope

pytestmark = pytest.mark.slow


def rows(data: Path) -> list[CallRow]:
    store = open_store(load_settings(None, data=data))
    try:
        return store.register.find(Scope(), limit=1000)
    finally:
        store.close()


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "voice_pipeline", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    )


def _has(data: Path, goal: int) -> bool:
    return (data / "calls.db").exists() and len(rows(data)) > goal


def _until(
    true: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 120
) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_submit_goes_on_where_it_was(tmp_path: Path) -> None:
    """Killed twice in the middle and run again: every recording is there, once."""
    files, data = tmp_path / "in", tmp_path / "data"
    files.mkdir()
    for number in range(200):
        tone(files / f"{number}.wav", number)
    for goal in (10, 40):
        process = start("--data", data, "submit", files, "--backfill", "--yes")
        _until(partial(_has, data, goal), process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(rows(data)) < 200
    done = run("--data", data, "submit", files, "--backfill", "--yes")
    assert done.returncode == 0, done.stderr
    kept = [row.sha256 for row in rows(data) if row.plan is not None]
    assert len(kept) == len(set(kept)) == 200


def test_serve_watches_the_folders_of_its_settings(tmp_path: Path) -> None:
    """A file that is dropped into a watched folder becomes a call without a request."""
    place, data, config = tmp_path / "in", tmp_path / "data", tmp_path / "site.toml"
    place.mkdir()
    config.write_text(f'[serve]\nwatch = ["{place}"]\nwatch_every = 0.2\n')
    tone(place / "a.wav", 1)
    process = start("--data", data, "--config", config, "serve", "--port", "0", "--queues", "none")
    try:
        _until(lambda: (place / "done" / "a.wav").exists(), process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    (row,) = rows(data)
    assert (row.name, row.uploaded_by, row.backfill) == ("a.wav", "watch", False)
