"""Between two stages: a call that was stopped ends there, and two who work on one call agree."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_engine import Workshop, finish, hand_in, note, out
from test_queues import state, working

from voice_pipeline.codec import encode
from voice_pipeline.engine import patience
from voice_pipeline.engine.durable import Engine
from voice_pipeline.engine.queues import QUEUES, Lanes
from voice_pipeline.errors import PipelineError, Retryable
from voice_pipeline.ports import Stage
from voice_pipeline.store import Store


@pytest.fixture
def store(tmp_path: Path, database: str | None) -> Iterator[Store]:
    store = Store(tmp_path / "data", database=database)
    yield store
    store.close()


class Gate:
    """Holds whoever comes first inside a stage until it is opened."""

    def __init__(self) -> None:
        self.inside, self._open, self._first = threading.Event(), threading.Event(), True

    def __call__(self) -> None:
        if self._first:
            self._first = False
            self.inside.set()
            assert self._open.wait(60)

    def open(self) -> None:
        self._open.set()


def by_row(store: Store, _engine: Engine, _run: str) -> None:
    store.register.change("c1", "call.cancelled", status="cancelled")


def by_engine(_store: Store, engine: Engine, run: str) -> None:
    time.sleep(patience.LONG)  # as any stage that gives people the time to stop it
    engine.cancel(run)


def by_both(store: Store, engine: Engine, run: str) -> None:
    by_row(store, engine, run)
    engine.cancel(run)


@pytest.mark.parametrize("stop", [by_row, by_engine, by_both])
def test_a_stopped_call_ends_after_the_stage_under_way(
    store: Store, stop: Callable[[Store, Engine, str], None]
) -> None:
    """However it was stopped, and though nobody could tell the worker: no stage more, no note."""
    workshop, gate = Workshop(), Gate()
    workshop.twist["mute"] = gate
    with working(store, workshop, *QUEUES) as engine:
        run = engine.submit(hand_in(store), "p1", ["folder:x"], 1, Lanes(("crm",)))
        assert gate.inside.wait(30)
        stop(store, engine, run)
        gate.open()
        deadline = time.monotonic() + 30
        while not engine.finished(run) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        assert workshop.ran[-1] == "mute" and out(store) == []
        row = store.register.get("c1")
        assert row is not None and row.status != "failed" and row.code is None


def test_a_run_that_was_overtaken_leaves_the_call_to_the_later_one(store: Store) -> None:
    """Stopped and run again while a stage was under way: the later run ends it, delivered once."""
    workshop, gate = Workshop(), Gate()
    workshop.twist["analyse"] = gate
    with working(store, workshop, *QUEUES) as engine:
        received = hand_in(store)
        first = engine.submit(received, "p1", ["folder:x"], 1, Lanes(("crm",)))
        assert gate.inside.wait(30)
        by_both(store, engine, first)
        store.register.resubmit("c1", "p1", 2)
        engine.submit(received, "p1", ["folder:x"], 2, Lanes(("crm",)))
        assert state(store, "c1", "done") == "done"
        gate.open()
        time.sleep(0.5)
        row = store.register.get("c1")
        assert row is not None and (row.status, row.revision) == ("done", 1)
        assert workshop.ran.count("analyse") == 2 and workshop.ran.count("release") == 1
        assert out(store) == ["folder:x"]


def test_what_was_kept_first_stands(store: Store) -> None:
    """Two workers on one stage, one thought dead: both go on with the same note."""
    hand_in(store)
    first, second = (
        store.shelf.put("c1", "CaseNote", encode(note("c1"))),
        store.shelf.put("c1", "CaseNote", encode(note("other"))),
    )
    assert store.keep_result("analyse", "k", first, 1.0, 60.0).ref == first
    assert store.keep_result("analyse", "k", second, 1.0, 60.0).ref == first
    assert store.result("c1", "analyse", "k") == first
    assert store.results("c1") == {("analyse", "k"): first}
    assert [(one.stage, one.share) for one in store.progress("c1")] == [("analyse", 1.0)]


def test_a_stage_whose_input_another_worker_forgot_takes_its_result(store: Store) -> None:
    """The other one has gone on: its result is taken, and nothing is made from nothing."""
    engine = Engine(store, Workshop())
    memo = engine.memo
    try:
        hand_in(store)
        said = store.shelf.put("c1", "CaseNote", encode(note("c1")))
        stage: Stage[Any] = Stage("redact", lambda one: one, "1")
        before = memo.held("c1")
        made = memo.do(stage, [said], memo.held("c1"))
        store.forget([said])
        assert memo.do(stage, [said], before) == made
    finally:
        engine.close()


def test_what_a_stage_gave_is_not_lost_to_a_database_that_is_away_for_a_moment(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hearing a call took minutes: its result is entered when the database is back."""
    workshop, keep, faults = Workshop(), store.keep_result, iter([Retryable("away")] * 2)

    def away(stage: str, *given: Any) -> Any:
        if stage == "transcribe":
            for fault in faults:
                raise fault
        return keep(stage, *given)

    monkeypatch.setattr(store, "keep_result", away)
    engine = Engine(store, workshop)
    try:
        assert finish(engine, engine.start(hand_in(store), "p1")).status == "done"
        assert workshop.ran.count("transcribe") == 1
    finally:
        engine.close()


def test_trying_again_has_an_end() -> None:
    """Once for each pause and once more; what is not Retryable passes at once."""
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise (Retryable if len(tries) < 9 else PipelineError)("no")

    with pytest.raises(Retryable):
        patience.patiently(fail, (0.0, 0.0))
    assert len(tries) == 3
    with pytest.raises(PipelineError):
        patience.patiently(fail, [0.0] * 20)
    assert len(tries) == 9


def test_a_run_that_is_taken_over_after_its_end_changes_nothing(store: Store) -> None:
    """Killed between its last word and the engine's: the call stays done, not running for ever."""
    with working(store, Workshop(), *QUEUES) as engine:
        run = engine.submit(hand_in(store), "p1", ["folder:x"], 1, Lanes(()))
        assert state(store, "c1", "done") == "done"
    store.register.begin("c1", "p1", run, 1)
    assert state(store, "c1", "done", "running") == "done"
    assert out(store) == ["folder:x"]
