"""Queues: who works off what, lanes, recovery, releases, and history that ends. Both databases."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_engine import Workshop, hand_in, out

from voice_pipeline.engine import durable
from voice_pipeline.engine.durable import Engine
from voice_pipeline.engine.heartbeats import workers
from voice_pipeline.engine.queues import BACKFILL, QUEUES, Duty, Lanes, Limits, queue_names
from voice_pipeline.errors import Misconfigured, Permanent, Retryable
from voice_pipeline.store import Store


@pytest.fixture
def store(tmp_path: Path, database: str | None) -> Iterator[Store]:
    store = Store(tmp_path / "data", database=database)
    yield store
    store.close()


@contextmanager
def working(store: Store, workshop: Workshop, *queues: str, calls: int = 4) -> Iterator[Engine]:
    engine = Engine(store, workshop, Duty(queues, Limits(calls=calls), 2.0))
    try:
        yield engine
    finally:
        engine.close()


def state(store: Store, call: str, *until: str, seconds: float = 30.0) -> str:
    """Wait until a call is in one of the states."""
    deadline = time.monotonic() + seconds
    while True:
        row = store.register.get(call)
        assert row is not None
        if row.status in until:
            return row.status
        assert time.monotonic() < deadline, row
        time.sleep(0.05)


def test_a_queued_call_ends_as_a_row(store: Store) -> None:
    """Submitted twice it runs once; the register knows how it ended and in which revision."""
    workshop = Workshop()
    with working(store, workshop, *QUEUES) as engine:
        received = hand_in(store)
        for _ in range(2):
            engine.submit(received, "p1", ["folder:x"], 1, Lanes(("crm", "gpu")))
        assert state(store, "c1", "done", "failed") == "done"
        assert len(workshop.ran) == 12
        row = store.register.get("c1")
        assert row is not None and (row.revision, row.attempt, row.plan) == (1, 1, "p1")
        assert out(store) == ["folder:x"]
        assert [worker.queues for worker in workers(store.database)] == [",".join(QUEUES)]
    assert workers(store.database) == []


def test_a_call_stopped_on_its_way_to_the_queue_does_not_run(store: Store) -> None:
    """Cancelled after it was handed over and before it was taken up: no stage, no delivery."""
    workshop = Workshop()
    with working(store, workshop, *QUEUES) as engine:
        received = hand_in(store)
        store.register.change("c1", "call.cancelled", status="cancelled")
        run = engine.submit(received, "p1", ["folder:x"], 1, Lanes(("crm",)))
        deadline = time.monotonic() + 30
        while not engine.finished(run) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert engine.finished(run)
        assert workshop.ran == [] and out(store) == []
        assert state(store, "c1", "cancelled") == "cancelled"


def test_live_work_comes_before_backfill(store: Store) -> None:
    """Whatever was waiting first: a call of now is taken up before fifty thousand of last year."""
    order: list[str] = []
    workshop = Workshop()
    idle = Engine(store, workshop)
    for number in range(6):
        idle.submit(hand_in(store, f"old{number}"), "p1", [], 1, Lanes((), BACKFILL))
    for number in range(3):
        idle.submit(hand_in(store, f"new{number}"), "p1", [], 1, Lanes(()))
    idle.close()
    with working(store, workshop, *QUEUES, calls=1):
        for number in range(6):
            state(store, f"old{number}", "done")
    ended = sorted(store.register.revisions(), key=lambda one: one.made_at)
    order = [one.call for one in ended]
    assert {"new0", "new1", "new2"} == set(order[:3])


def test_a_process_without_duty_takes_nothing_up(store: Store) -> None:
    """`process` beside a service runs its own calls and leaves the queue alone."""
    workshop = Workshop()
    with working(store, workshop) as engine:
        engine.submit(hand_in(store), "p1", [], 1, Lanes(()))
        time.sleep(1.5)
        assert workshop.ran == []
        row = store.register.get("c1")
        assert row is not None and row.status == "received"


def test_how_a_call_fails_is_in_its_row(store: Store) -> None:
    """A permanent fault is shown with its code; one that stays is given up after three tries."""
    workshop = Workshop()

    def broken() -> None:
        raise Permanent("no", code="damaged_audio")

    def away() -> None:
        raise Retryable("the model server does not answer", code="server")

    with working(store, workshop, *QUEUES) as engine:
        workshop.twist = {"ingest": broken}
        engine.submit(hand_in(store, "c1"), "p1", [], 1, Lanes(()))
        assert state(store, "c1", "done", "failed") == "failed"
        workshop.twist = {"analyse": away}
        engine.submit(hand_in(store, "c2"), "p1", [], 1, Lanes(()))
        assert state(store, "c2", "done", "failed") == "failed"
    rows = [store.register.get(call) for call in ("c1", "c2")]
    assert [row.code for row in rows if row] == ["damaged_audio", "server"]
    assert workshop.ran.count("analyse") == 3


def test_calls_of_an_older_release_go_on_under_this_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deploy strands nobody: what was waiting is started anew, what was finished is kept."""
    workshop = Workshop()
    with working(store, workshop) as engine:
        engine.submit(hand_in(store), "p1", [], 1, Lanes(("crm",)))
    monkeypatch.setattr(durable, "APPLICATION_VERSION", "next")
    with working(store, workshop, *QUEUES) as engine:
        time.sleep(1)
        assert workshop.ran == []  # it waits for a worker of the older release
        assert engine.adopt() == 1
        assert state(store, "c1", "done") == "done"
        assert engine.adopt() == 0
    row = store.register.get("c1")
    assert row is not None and row.attempt == 2


def test_history_ends_and_results_stay(store: Store) -> None:
    """The engine's history is thrown away after its time; calls, revisions and memos are not."""
    workshop = Workshop()
    with working(store, workshop, *QUEUES) as engine:
        engine.submit(hand_in(store), "p1", [], 1, Lanes(()))
        state(store, "c1", "done")
        assert engine.prune(time.time() - 3600) == 0
        time.sleep(0.5)
        assert engine.prune(time.time() + 1) >= 1
        assert engine.find("c1", "p1") is None
        assert [call for call, _, _ in engine.finished_runs()] == ["c1"]
        outcome = json.loads(store.register.revisions("c1")[0].outcome)
        assert outcome["status"] == "done"


def test_names_of_queues() -> None:
    """`cpu` is `calls`; a queue that is none is refused with those there are."""
    assert queue_names(["cpu", " gpu ", "calls"]) == ("calls", "gpu")
    for wrong in (["gpus"], [], [""]):
        with pytest.raises(Misconfigured):
            queue_names(wrong)
