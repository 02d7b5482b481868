"""Killed with SIGKILL at any point, the same command goes on and gives the same results."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command import CARD_DISPUTE, TESTS, only_folder, run

STAGES = (
    "ingest", "transcribe", "diarize", "redact", "replace", "mute", "verify", "analyse",
    "escalate", "review", "draft", "release",
)  # fmt: skip
POINTS = [f"{stage}:{point}" for stage in STAGES for point in ("before", "stored")]
POINTS += ["transcribe:made", "mute:made", "verify:made", "forget:before"]
QUICK = ("transcribe:made", "forget:before", "review:stored")


def process(out: Path, *more: str | Path, crash_at: str | None = None) -> Any:
    arguments = ("process", CARD_DISPUTE, "--out", out, "--transcriber", "scripted:create", *more)
    return run(*arguments, crash_at=crash_at)


def contents(out: Path) -> dict[str, bytes]:
    """Every file of the result, without what is allowed to differ: the clock."""
    folder = only_folder(out)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = json.loads(files["result.json"])
    del result["timings"]
    files["result.json"] = json.dumps(result).encode()
    files["redaction_log.jsonl"] = _timeless(files["redaction_log.jsonl"])
    vcon = json.loads(files["call.vcon.json"])  # the rest of it is named after the log's hash
    files["call.vcon.json"] = json.dumps(
        [[one.get("body") for one in vcon["dialog"]], [one["type"] for one in vcon["analysis"]]]
    ).encode()
    return files


def _timeless(log: bytes) -> bytes:
    """The log's events without what follows from the clock and from the data folder's keys.

    Keyed hashes differ between folders; which of them are equal does not.
    """
    events = [json.loads(line) for line in log.splitlines()]
    hashes: dict[str, int] = {}
    for event in events:
        for key in ("time", "prev_hash", "root", "signature", "public_key", "fingerprint"):
            event.pop(key, None)
        if event.pop("key_id", None):
            event["value_hmac"] = hashes.setdefault(event["value_hmac"], len(hashes))
    return json.dumps(events).encode()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("unbroken")
    done = process(out)
    assert done.returncode == 0, done.stderr
    return contents(out)


def check(point: str, out: Path, unbroken: dict[str, bytes]) -> None:
    killed = process(out, crash_at=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path for path in out.iterdir() if path.name[0] != "."] == []
    again = process(out)
    assert again.returncode == 0, again.stderr
    assert contents(out) == unbroken


@pytest.mark.parametrize("point", QUICK)
def test_killed_and_run_again(point: str, tmp_path: Path, unbroken: dict[str, bytes]) -> None:
    """Three telling points of a call's life."""
    check(point, tmp_path, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("point", [point for point in POINTS if point not in QUICK])
def test_killed_at_every_point(point: str, tmp_path: Path, unbroken: dict[str, bytes]) -> None:
    """Before and after every stage, and inside some."""
    check(point, tmp_path, unbroken)


@pytest.mark.slow
def test_killed_twice(tmp_path: Path, unbroken: dict[str, bytes]) -> None:
    """Two deaths in a row are no worse than one."""
    process(tmp_path, crash_at="diarize:before")
    process(tmp_path, crash_at="mute:made")
    assert process(tmp_path).returncode == 0
    assert contents(tmp_path) == unbroken


def start(out: Path, point: str | None = None) -> subprocess.Popen[bytes]:
    entry = [TESTS / "crash_driver.py", point or "never"]
    arguments = ["process", CARD_DISPUTE, "--out", out, "--transcriber", "scripted:create"]
    return subprocess.Popen(
        [sys.executable, *map(str, entry), *map(str, arguments)],
        env={"PYTHONPATH": str(TESTS), "PATH": ""},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_two_processes_on_one_new_folder(tmp_path: Path, unbroken: dict[str, bytes]) -> None:
    """Two commands that start together on a new folder both end well, and the call is done once."""
    both = [start(tmp_path), start(tmp_path)]
    for process_ in both:
        _, errors = process_.communicate(timeout=120)
        assert process_.returncode == 0, errors
    assert contents(tmp_path) == unbroken


@pytest.mark.slow
def test_one_is_killed_while_another_waits(tmp_path: Path, unbroken: dict[str, bytes]) -> None:
    """The one that waits for the same call takes it over and finishes it."""
    first, second = start(tmp_path, "replace:made"), start(tmp_path)
    first.communicate(timeout=120)
    _, errors = second.communicate(timeout=120)
    assert second.returncode == 0, errors
    assert contents(tmp_path) == unbroken
