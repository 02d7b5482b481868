"""`submit` and `backfill`: recordings of the machine handed in, old ones after live ones."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from command import run
from tones import taking, tone

from voice_pipeline.cli import backfill
from voice_pipeline.cli.submit import Request
from voice_pipeline.cli.submit import run as submit
from voice_pipeline.config import load_settings
from voice_pipeline.errors import BadInput
from voice_pipeline.opening import open_store
from voice_pipeline.service import Sender, Service
from voice_pipeline.store import Store
from voice_pipeline.store.rows import CallRow, Scope
from voice_pipeline.ways_in.taking import Taken, Terms, take

OLD = Terms(Sender(by="local"), backfill=True)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "old"
    folder.mkdir()
    for number in range(3):
        tone(folder / f"c{number}_a7_2026110{number + 1}-093000.wav", number)
    return folder


def said(request: Request) -> tuple[int, str, str]:
    """Run the command here: its code, and what it wrote to both ends."""
    out, err = io.StringIO(), io.StringIO()  # not capsys, whose ends a logger would outlive
    with redirect_stdout(out), redirect_stderr(err):
        code = submit(request)
    return code, out.getvalue(), err.getvalue()


def rows(data: Path) -> list[CallRow]:
    store = open_store(load_settings(None, data=data))
    try:
        return store.register.find(Scope())
    finally:
        store.close()


def test_a_folder_is_handed_in_once(files: Path, tmp_path: Path) -> None:
    """A plan comes first, a bad file is one line, and a second run takes what is missing only."""
    data = tmp_path / "data"
    (files / "d.wav").write_text("no sound")
    request = Request(
        (files,), pattern="{call_ref}_{agent}_{started_at:%Y%m%d-%H%M%S}", meta=("queue=billing",),
        backfill=True, data=data,
    )  # fmt: skip
    code, out, err = said(request)
    assert code == 3 and "3 taken, 1 could not be used" in out
    for word in ("files      3", "audio      ", "disk       ", "time       ", "assumed"):
        assert word in err
    assert err.count("error: ") == 1 and "d.wav" in err
    found = rows(data)
    assert {row.call_ref for row in found} == {"c0", "c1", "c2"}
    assert all(row.backfill and row.queue == "billing" and row.targets == "[]" for row in found)
    assert {row.started_at for row in found} >= {"2026-11-01T09:30:00"}
    (files / "d.wav").unlink()
    tone(files / "c9_a7_20261109-093000.wav", 9)
    code, out, _ = said(request)
    assert code == 0 and "1 taken, 3 were here already" in out
    assert len(rows(data)) == 4


def test_a_manifest_says_what_is_known(files: Path, tmp_path: Path) -> None:
    """A table names files and facts; its faults are told by line, its good lines are taken."""
    (name, other, _) = sorted(path.name for path in files.iterdir())
    manifest = files / "calls.csv"
    manifest.write_text(
        f"file,call_ref,queue\n{name},m1,billing\n{other},m2,\nnone.wav,m3,\n{name},m4,\n"
    )
    data = tmp_path / "data"
    code, out, err = said(Request((), manifest=manifest, data=data, as_json=True))
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 3
    assert lines[-1] == {"taken": 2, "known": 0, "failed": 2}
    assert "calls.csv:4: there is no such file" in err
    assert "calls.csv:5: the same recording stands above" in err
    assert {(row.call_ref, row.queue) for row in rows(data)} == {("m1", "billing"), ("m2", None)}


def test_what_would_come_is_said_and_a_backfill_can_rest(files: Path, tmp_path: Path) -> None:
    """--dry-run weighs and takes nothing; backfill status, pause and resume are there."""
    data = tmp_path / "data"
    code, _, err = said(Request((files,), backfill=True, dry_run=True, data=data))
    assert code == 0 and "files      3" in err and rows(data) == []
    assert "paused" in run("--data", data, "backfill", "pause").stdout
    out = io.StringIO()
    with redirect_stdout(out):
        backfill.status(data, None, as_json=True)
        backfill.resume(data, None)
    told, resumed = out.getvalue().splitlines()
    assert json.loads(told) == {
        "paused": True, "waiting": 0, "in_hand": 0, "ended": {}, "bytes_left": 0,
        "seconds_left": None,
    }  # fmt: skip
    assert resumed == "goes on"


@pytest.fixture
def service(tmp_path: Path, database: str | None) -> Iterator[Service]:
    ahead = {"backfill_ahead": 2}
    with taking(tmp_path / "data", works=True, database=database, serve=ahead) as found:
        yield found


def put(service: Service, path: Path, terms: Terms, **metadata: str) -> Taken:
    with path.open("rb") as file:
        return take(service, file, path.name, metadata, terms)


def test_live_calls_pass_old_ones_and_a_pause_is_felt(service: Service, tmp_path: Path) -> None:
    """While old recordings rest none is begun, a live one ends; afterwards all of them do."""
    backlog, register = service.kit.store.backlog, service.kit.store.register
    assert backlog.pause("tester") and not backlog.pause("another")
    paused = backlog.paused()
    assert paused is not None and paused.by == "tester"
    for number in range(5):
        put(service, tone(tmp_path / f"{number}.wav", number), OLD)
    live = put(service, tone(tmp_path / "live.wav", 99), Terms())
    _until(lambda: _status(service, live.call) == "done")
    assert backlog.counts().waiting == 5 and backlog.counts().ended == {}
    assert register.counts_of(("received", "running")) == 0  # old ones fill no live queue
    assert backlog.resume() and not backlog.resume()
    most = 0

    def ended() -> bool:
        nonlocal most
        most = max(most, backlog.in_hand())
        return backlog.counts().ended == {"done": 5}

    _until(ended)
    assert 0 < most <= 2
    assert backlog.left() == 0 and backlog.measured().calls == 6


def _status(service: Service, call: str) -> str:
    row = service.kit.store.register.get(call)
    assert row is not None
    return row.status


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_old_recording_is_marked(service: Service, tmp_path: Path) -> None:
    """Its metadata says so, wherever it goes, and it is delivered nowhere unless asked."""
    taken = put(service, tone(tmp_path / "a.wav"), OLD, queue="billing")
    row = service.kit.store.register.get(taken.call)
    assert row is not None and row.backfill and row.targets == "[]" and row.received_sha256
    ref = service.kit.store.received(taken.call)
    assert ref is not None
    assert service.kit.engine.read(ref).metadata == {"historical": "true", "queue": "billing"}


def test_two_at_once_take_the_same_bytes_once(service: Service, tmp_path: Path) -> None:
    """Two commands that hand in the same file at the same moment make one call."""
    path, found = tone(tmp_path / "a.wav"), list[Taken]()
    start = threading.Barrier(4)

    def one() -> None:
        start.wait()
        found.append(put(service, path, Terms()))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({taken.call for taken in found}) == 1
    assert [taken.known for taken in found].count(False) == 1
    again = put(service, path, Terms(again=True))
    assert not again.known and again.call != found[0].call


def test_what_is_no_audio_is_never_kept(service: Service, tmp_path: Path) -> None:
    """A refused file leaves no row and no bytes."""
    path = tmp_path / "a.wav"
    path.write_text("no sound")
    with pytest.raises(BadInput):
        put(service, path, Terms())
    store: Store = service.kit.store
    assert store.list_calls() == []
    assert not [p for p in (store.root / "blobs").rglob("*") if p.is_file()]


def test_an_overtaken_run_does_not_stop_the_next(tmp_path: Path, database: str | None) -> None:
    """A call that was started again waits for that attempt, whatever the one before says late."""
    with taking(tmp_path / "data", database=database) as service:
        call = put(service, tone(tmp_path / "a.wav"), Terms()).call
        register = service.kit.store.register
        register.resubmit(call, "p", 2)
        assert register.handed_over(call, "run-1", 1)
        register.begin(call, "p", "run-1", 1)
        (waiting,) = register.waiting()
        assert (waiting.status, waiting.attempt, waiting.run) == ("received", 2, None)
        assert register.handed_over(call, "run-2", 2) and not register.waiting()
        register.begin(call, "p", "run-2", 2)
        row = register.get(call)
        assert row is not None and (row.status, row.attempt, row.run) == ("running", 2, "run-2")
