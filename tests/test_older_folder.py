"""A data folder of an earlier release goes on under this one: nothing lost, nothing done twice.

tests/data/folder-schema-0003.tar.xz was written by the release whose schema was 0003: one call of
five synthetic seconds, delivered once. Its keys are for this test and protect nothing.
"""

from __future__ import annotations

import json
import sqlite3
import tarfile
from pathlib import Path

import pytest
from command import run

FOLDER = Path(__file__).parent / "data" / "folder-schema-0003.tar.xz"
CALL = "382bf5d1a328bc3e2a1e"


@pytest.fixture
def older(tmp_path: Path) -> Path:
    with tarfile.open(FOLDER) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "data"


def test_calls_and_logs_of_an_older_folder(older: Path, tmp_path: Path) -> None:
    """Its calls are listed as done, with what lists show now, and its logs still verify."""
    out = tmp_path / "audit.zip"
    done = run("--data", older, "log", "export", "--out", out)
    assert done.returncode == 0, done.stderr
    assert run("log", "verify", out).returncode == 0
    listed = json.loads(run("--data", older, "calls", "list", "--json").stdout)
    assert [row["call_id"] for row in listed] == [CALL]
    with sqlite3.connect(older / "calls.db") as db:
        row = db.execute("select status, revision, queue, request_type, duration from calls")
        assert row.fetchone() == ("done", 1, "billing", "other", pytest.approx(4.6, abs=0.1))
        assert db.execute("select count(*) from call_texts").fetchone() == (1,)


def test_its_deliveries_are_not_repeated(older: Path) -> None:
    """What the older release delivered is known to this one."""
    run("--data", older, "calls", "routes")
    with sqlite3.connect(older / "calls.db") as db:
        states = db.execute("select state, attempts from deliveries").fetchall()
    assert states == [("delivered", 1)]
