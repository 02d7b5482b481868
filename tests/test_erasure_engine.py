"""Erasing a call that is being worked on: it stops, and nothing of it comes back."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_engine import Workshop, hand_in

from voice_pipeline.engine.durable import Engine
from voice_pipeline.errors import PipelineError
from voice_pipeline.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    yield store
    store.close()


@pytest.fixture
def workshop() -> Workshop:
    return Workshop()


@pytest.fixture
def engine(store: Store, workshop: Workshop) -> Iterator[Engine]:
    engine = Engine(store, workshop)
    yield engine
    engine.close()


def journal(folder: Path) -> str:
    """Return every value of every table of the engine's database."""
    with sqlite3.connect(folder / "engine.db") as db:
        names = [row[0] for row in db.execute("select name from sqlite_master where type='table'")]
        return "\n".join(repr(row) for name in names for row in db.execute(f"select * from {name}"))


def finish(engine: Engine, run: str) -> None:
    deadline = time.monotonic() + 60
    while not engine.finished(run) and time.monotonic() < deadline:
        time.sleep(0.05)


def test_the_journal_of_a_finished_call_is_emptied(
    store: Store, engine: Engine, tmp_path: Path
) -> None:
    """Runs, steps, inputs and outputs go; those of another call stay."""
    for call in ("c1", "c10"):
        finish(engine, engine.start(hand_in(store, call), "p", ["folder:x"]))
    assert "'c1." in journal(tmp_path / "data")
    store.erase("c1", "e")
    assert engine.erase("c1") == 1
    store.eraser.ended("c1")
    left = journal(tmp_path / "data")
    assert "'c1." not in left
    assert '"c1"' not in left
    assert "'c10." in left
    assert engine.remains("c1") == 0
    assert store.eraser.unended() == []


@pytest.mark.parametrize("stage", ["ingest", "transcribe", "mute", "draft", "release"])
def test_a_stage_that_ends_after_the_erasure_brings_nothing_back(
    store: Store, engine: Engine, workshop: Workshop, tmp_path: Path, stage: str
) -> None:
    """Erased in the middle of a stage: the stage's result, rows and run are refused."""
    inside, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        assert go_on.wait(60)

    workshop.twist[stage] = wait
    engine.start(hand_in(store, "callzq"), "p", ["folder:x"])
    assert inside.wait(60)
    store.erase("callzq", "e")
    engine.erase("callzq")
    store.eraser.ended("callzq")
    ran = list(workshop.ran)
    go_on.set()
    time.sleep(1.0)
    assert workshop.ran == ran
    assert store.outbox.of("callzq") == []
    assert store.eraser.remains("callzq") == []
    row = store.register.get("callzq")
    assert row is not None
    assert row.status == "erased"
    assert store.register.revisions("callzq") == []
    assert engine.remains("callzq") == 0
    assert "callzq" not in journal(tmp_path / "data")


def test_an_erased_call_cannot_be_started_again(store: Store, engine: Engine) -> None:
    """Handing the same recording in again ends with a code, not with the call coming back."""
    received = hand_in(store)
    store.erase("c1", "e")
    engine.erase("c1")
    run = engine.start(received, "p")
    finish(engine, run)
    with pytest.raises(PipelineError) as raised:
        engine.outcome(run)
    assert raised.value.code == "erased"
    assert store.eraser.remains("c1") == []
