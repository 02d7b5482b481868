"""Log lines: one form, every fact a field, and never a word of a call."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from quick import hand_in, running, settled

from voice_pipeline.cli import logs

# Words of an invented call that must not be logged: metadata, file name, transcript, recording.
WORDS = ["kwanary", "wombat", "aardvark", "four one one", "parcel", "CARD_NUMBER"]


def written(record: logging.LogRecord) -> dict[str, Any]:
    line = logs.JsonLines().format(record)
    assert "\n" not in line
    return dict(json.loads(line))


def record(name: str, level: int, text: str, *given: Any, **extra: Any) -> logging.LogRecord:
    return logging.getLogger(name).makeRecord(name, level, "file.py", 3, text, given, None,
                                              extra=extra)  # fmt: skip


def test_a_line_is_one_object_with_the_facts_as_fields() -> None:
    """A program finds time, level, logger, event, call, stage, seconds and code."""
    found = written(record("voice_pipeline.engine.memo", logging.INFO, "stage done", call="c1",
                           stage="mute", seconds=0.5))  # fmt: skip
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "info", "logger": "voice_pipeline.engine.memo", "event": "stage done",
        "call": "c1", "stage": "mute", "seconds": 0.5,
    }  # fmt: skip


def test_libraries_are_not_quoted() -> None:
    """What a library says may hold what it was given: its place is told, its words are not."""
    found = written(record("presidio-analyzer", logging.DEBUG, "looked at %s", "kwanary"))
    assert found["event"] == "a library's message, withheld (file:3)"
    assert "kwanary" not in str(written(record("httpx", logging.ERROR, "kwanary", call="kwanary")))
    assert "kwanary" not in str(written(record("uvicorn.error", logging.DEBUG, "kwanary")))
    started = written(record("uvicorn.error", logging.INFO, "Started server process"))
    assert started["event"] == "Started server process"


def test_an_exception_is_its_class_and_place() -> None:
    """A traceback's last line may repeat a value; where it was raised does not."""
    try:
        raise ValueError("kwanary")
    except ValueError:
        made = record("voice_pipeline", logging.ERROR, "unexpected")
        made.exc_info = sys.exc_info()
    found = written(made)
    assert found["exception"] == "ValueError" and found["at"][0].startswith("test_logs.py:")
    assert "kwanary" not in str(found) and "kwanary" not in logs.Text().format(made)


def test_a_value_cannot_begin_a_line_of_its_own() -> None:
    """Text with line ends stays one line in both forms."""
    made = record("voice_pipeline", logging.INFO, "a\nb", code="x\n2026 ERROR forged")
    assert "\n" not in logs.JsonLines().format(made)
    assert "\n" not in logs.Text().format(made)


def test_no_word_of_a_call_is_logged_at_any_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At DEBUG, with every library's records: calls that end well, are held, fail, are searched."""
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    logs.configure("json", "debug")
    try:
        with running(tmp_path / "data") as service, service.client() as client:
            for body in (b"RIFF aardvark", b"doubtful aardvark", b"broken aardvark"):
                call = hand_in(client, body, "wombat.wav", agent="kwanary", note="kwanary")
                settled(client, call)
            client.get("/v1/search", params={"q": "kwanary"})
            client.post("/v1/calls", content=b"kwanary")
            client.get("/v1/kwanary")
    finally:
        root.handlers[:], root.level = kept, level
    text = capsys.readouterr().err
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["event"] for line in lines} >= {"stage done", "call done", "call held",
                                                 "call failed"}  # fmt: skip
    assert any(line["level"] == "debug" for line in lines)
    failed = next(line for line in lines if line["event"] == "call failed")
    assert failed["code"] == "damaged_audio" and failed["call"]
    assert not [word for word in WORDS if word.lower() in text.lower()]


@pytest.mark.slow
def test_serve_writes_json_lines(tmp_path: Path) -> None:
    """`serve --log-format json`: each line on stderr is one object, from start to end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "voice_pipeline", "--data", str(tmp_path / "data"), "serve",
         "--port", str(port), "--log-format", "json", "--log-level", "debug"],
        stderr=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
    finally:
        server.send_signal(signal.SIGTERM)
        _, text = server.communicate(timeout=90)
    lines = [json.loads(line) for line in text.splitlines()]
    assert any("Uvicorn running" in line["event"] for line in lines)
