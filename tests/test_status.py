"""`voice-pipeline status`: what people see, beside a running service and without one."""

from __future__ import annotations

import json
from pathlib import Path

from command import run
from quick import hand_in, running, settled

from voice_pipeline.store import Store
from voice_pipeline.store.database import open_database
from voice_pipeline.store.rows import Admission


def settings_file(folder: Path, database: str | None) -> Path:
    file = folder / "settings.toml"
    file.write_text(f'database = "{database}"\n' if database else "", "utf-8")
    return file


def test_beside_a_running_service(tmp_path: Path, database: str | None) -> None:
    """Queues, workers, failures with their sentence, and whether the service answers."""
    data, file = tmp_path / "data", settings_file(tmp_path, database)
    with running(data, **({"database": database} if database else {})) as service:
        with service.client() as client:
            settled(client, hand_in(client))
            failed = hand_in(client, b"broken sound", agent="kwanary")
            settled(client, failed)
        done = run("--data", data, "--config", file, "status", "--url", service.url)
        shown = run("--data", data, "--config", file, "status", "--json", "--url", service.url)
    assert done.returncode == 1, done.stderr  # a call has failed
    assert f"{service.url}: ready" in done.stdout
    assert "1 x damaged_audio (docs/codes.md)" in done.stdout and failed in done.stdout
    assert "the audio's header is broken" in done.stdout
    assert "calls,gpu,llm,crm; seen" in done.stdout
    assert "kwanary" not in done.stdout + shown.stdout
    found = json.loads(shown.stdout)
    assert found["service"] == "ready" and found["failed"] == {"damaged_audio": 1}
    assert found["notices"] == ["1 calls failed as damaged_audio; docs/codes.md says what to do"]


def test_without_a_service(tmp_path: Path) -> None:
    """It starts nothing: waiting work that nobody works off is said, and stays as it is."""
    data = tmp_path / "data"
    store = Store(data)
    store.open_call("c1")
    store.register.admit(Admission("c1", "0" * 64, "p1"))
    store.close()
    done = run("--data", data, "status", "--url", "http://127.0.0.1:1")
    assert done.returncode == 1 and "1 received" in done.stdout
    assert "nobody works off calls" in done.stdout and "no answer" in done.stdout
    assert not (data / "engine.db").exists() and not (data / "executors").exists()


def test_where_there_is_nothing(tmp_path: Path) -> None:
    """A question makes no data folder."""
    done = run("--data", tmp_path / "none", "status")
    assert done.returncode == 3 and "not_found" in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_schema_of_another_release_is_named(tmp_path: Path) -> None:
    """It does not move a database up, and does not guess what another release's columns mean."""
    data = tmp_path / "data"
    Store(data).close()
    engine = open_database(None, data / "calls.db")
    with engine.begin() as db:
        db.exec_driver_sql("update alembic_version set version_num = '0004'")
    engine.dispose()
    done = run("--data", data, "status")
    assert done.returncode == 4 and "other_schema" in done.stderr
