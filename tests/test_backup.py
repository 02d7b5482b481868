"""Backup and restore: a copy made while calls come in is opened, and its calls are read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from command import CARD_DISPUTE, only_folder, run
from postgres import Cluster

from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.store import Store
from voice_pipeline.store.backup import back_up
from voice_pipeline.store.rotation import rotate

RESULTS = ("note.json", "transcript.json", "redaction_log.jsonl", "audio.redacted.flac")


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data folder with one processed call, and the folder of its results."""
    place = tmp_path_factory.mktemp("processed")
    done = run("--data", place / "data", "process", CARD_DISPUTE, "--out", place / "out",
               "--transcriber", "scripted:create")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place / "data", only_folder(place / "out")


def results_again(data: Path, out: Path) -> Path:
    """Let `process` write the results of a call that the data folder knows."""
    done = run("--data", data, "process", CARD_DISPUTE, "--out", out,
               "--transcriber", "scripted:create")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return only_folder(out)


@pytest.mark.slow
def test_a_restored_copy_gives_the_call_back(processed: tuple[Path, Path], tmp_path: Path) -> None:
    """`backup`, the folder lost, the copy in its place: the same results, no stage run."""
    data, results = processed
    done = run("--data", data, "backup", tmp_path / "copy", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["databases"] == ["engine.db", "calls.db"]
    assert made["keys"] == ["master.key", "signing.key"]
    stages = [store_stages(folder) for folder in (data, tmp_path / "copy")]
    again = results_again(tmp_path / "copy", tmp_path / "out")
    for name in RESULTS:
        assert (again / name).read_bytes() == (results / name).read_bytes(), name
    assert store_stages(tmp_path / "copy") == stages[0] == stages[1]  # nothing was made anew
    checked = run("--data", tmp_path / "copy", "log", "verify", again / "redaction_log.jsonl")
    assert checked.returncode == 0, checked.stdout


def store_stages(data: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(data / "calls.db") as db:
        return db.execute("select stage, sha256 from results order by 1, 2").fetchall()


def test_what_a_copied_row_names_is_in_the_copy(tmp_path: Path) -> None:
    """While records come in and master keys change, five copies: each is whole in itself."""
    source = tmp_path / "data"
    Store(source).close()
    ended = threading.Event()

    def work() -> None:
        store, number = Store(source), 0
        while not ended.is_set():
            call, number = f"c{number}", number + 1
            store.open_call(call)
            ref = store.shelf.put(call, "CaseNote", call.encode())
            store.keep_result("analyse", "k", ref, 0.1)
            if number % 20 == 0:
                rotate(store)
        store.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for copy in range(5):
            time.sleep(0.2)
            back_up(source, tmp_path / f"copy{copy}")
    finally:
        ended.set()
        thread.join()
    counts = []
    for copy in range(5):
        store = Store(tmp_path / f"copy{copy}")
        with sqlite3.connect(tmp_path / f"copy{copy}" / "calls.db") as db:
            named = [call for (call,) in db.execute("select call from results")]
        for call in named:
            ref = store.result(call, "analyse", "k")
            assert ref is not None
            assert store.shelf.get(ref) == call.encode()
        counts.append(len(named))
        store.close()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0] > 0


def test_a_backup_is_for_its_owner_and_may_leave_the_keys_out(tmp_path: Path) -> None:
    """A copy without keys opens nothing until they are put back."""
    source = tmp_path / "data"
    store = Store(source)
    store.open_call("c")
    ref = store.shelf.put("c", "CaseNote", b"n")
    store.close()
    assert back_up(source, tmp_path / "with").keys == ("master.key", "signing.key")
    made = back_up(source, tmp_path / "without", keys=False)
    assert (made.keys, made.blobs) == ((), 1)
    for name in ("with", "with/blobs", "with/calls.db", "with/master.key"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0, name
    with pytest.raises(Misconfigured) as refused:
        Store(tmp_path / "without")
    assert refused.value.code == "key_missing"
    shutil.copy(tmp_path / "with/master.key", tmp_path / "without/master.key")
    assert Store(tmp_path / "without").shelf.get(ref) == b"n"


def test_a_backup_overwrites_nothing(tmp_path: Path) -> None:
    """A place with something in it, or a folder that is no data folder, is refused."""
    Store(tmp_path / "data").close()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    for source, to, code in (("data", "full", "not_empty"), ("nothing", "new", "not_found")):
        with pytest.raises(BadInput) as refused:
            back_up(tmp_path / source, tmp_path / to)
        assert refused.value.code == code
    (tmp_path / "empty").mkdir()
    back_up(tmp_path / "data", tmp_path / "empty")


def test_a_backup_that_is_killed_is_none(tmp_path: Path) -> None:
    """What is at the place under its name is whole; the next run removes what was cut off."""
    source, copy = tmp_path / "data", tmp_path / "copy"
    store = Store(source)
    for number in range(400):
        store.open_call(f"c{number}")
        store.shelf.put(f"c{number}", "CaseNote", b"n")
    store.close()
    code = (
        "import sys; from pathlib import Path; from voice_pipeline.store.backup import back_up;"
        "back_up(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(source), str(copy)])
    part = tmp_path / ".copy.part" / "blobs"
    while process.poll() is None and not part.exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not copy.exists(), "the kill must come in the middle"
    assert back_up(source, copy).blobs == 400
    assert not part.parent.exists()


def test_a_damaged_database_is_told(tmp_path: Path) -> None:
    """A backup of a broken file would be found broken on the day it is needed."""
    store = Store(tmp_path / "data")
    for number in range(200):
        store.open_call(f"c{number}")
    store.close()
    file = tmp_path / "data/calls.db"
    content = bytearray(file.read_bytes())
    content[8192:16384] = os.urandom(8192)
    file.write_bytes(content)
    with pytest.raises(Misconfigured) as damaged:
        back_up(tmp_path / "data", tmp_path / "copy")
    assert damaged.value.code == "database_damaged"
    assert not (tmp_path / "copy").exists()


def test_a_server_is_backed_up_by_its_own_means(tmp_path: Path) -> None:
    """`backup` would be half a backup where the calls are listed elsewhere: it says so."""
    done = subprocess.run(
        [sys.executable, "-m", "voice_pipeline", "--data", str(tmp_path), "backup", "copy"],
        env={**os.environ, "VOICE_PIPELINE_DATABASE": "postgresql://u@h/d"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert "pg_dump" in done.stderr


def test_pg_dump_then_blobs_restores(postgres: Cluster, tmp_path: Path) -> None:
    """As docs/operations.md says: dump, blobs, keys; into an empty database and a new folder."""
    url = postgres.create()
    store = Store(tmp_path / "data", database=url)
    store.open_call("c")
    ref = store.shelf.put("c", "CaseNote", b"a note")
    store.keep_result("analyse", "k", ref, 0.1)
    store.keep_plan({"invented": "plan"})
    dump = tmp_path / "calls.dump"
    subprocess.run(
        [postgres.program("pg_dump"), "--format=custom", f"--file={dump}", url], check=True
    )
    shutil.copytree(tmp_path / "data/blobs", tmp_path / "restored/blobs")
    for key in (tmp_path / "data").glob("*.key"):
        shutil.copy(key, tmp_path / "restored")
    store.open_call("later")
    store.close()
    postgres.drop(url)

    fresh = postgres.create()
    subprocess.run(
        [postgres.program("pg_restore"), "--no-owner", f"--dbname={fresh}", dump], check=True
    )
    restored = Store(tmp_path / "restored", database=fresh)
    assert restored.list_calls() == ["c"]
    kept = restored.result("c", "analyse", "k")
    assert kept == ref
    assert restored.shelf.get(ref) == b"a note"
    assert restored.plans() == [{"invented": "plan"}]
    restored.close()
    postgres.drop(fresh)
