"""The engine: stages once, results kept, the dead replaced, nothing said in the journal."""

from __future__ import annotations

import io
import json
import logging
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from voice_pipeline import domain as d
from voice_pipeline.codec import encode
from voice_pipeline.engine.durable import Engine, Entry
from voice_pipeline.engine.journal import JournalSerializer
from voice_pipeline.errors import BadInput, PipelineError, Retryable
from voice_pipeline.pipeline import Outcome, Stages
from voice_pipeline.ports import Stage
from voice_pipeline.store import Store
from voice_pipeline.store.outbox import Wish

SECRET = "four one one one"


class Workshop:
    """Stages that say little and quickly; `ran` counts them, `twist` changes one."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.twist: dict[str, Callable[[], None]] = {}
        self.version = "1"
        self.passed = True

    def stages(self, plan: str) -> Stages:
        def stage(name: str, make: Callable[..., Any], version: str = "1") -> Stage[Any]:
            def do(*records: Any) -> Any:
                self.ran.append(name)
                self.twist.get(name, lambda: None)()
                return make(*records)

            return Stage(name, do, version)

        words = (d.Word(SECRET, 0.0, 1.0),)
        return Stages(
            ingest=stage("ingest", lambda r: recording(r)),
            transcribe=stage("transcribe", lambda _r: d.Heard((speech(words),), "fake")),
            diarize=stage("diarize", lambda r, _h: transcript(r, words)),
            redact=stage("redact", lambda _t: redaction(), self.version),
            replace=stage("replace", lambda t, _f: d.RedactedTranscript(t.call, "en", (), 1.0)),
            mute=stage("mute", lambda _r, _f: d.RedactedAudio(None, 8000, 1, 1.0, 1.0)),
            verify=stage("verify", lambda *_: d.Verification(self.passed, (), {}, "", "", False)),
            analyse=stage("analyse", lambda r, _t: note(r.id)),
            escalate=stage("escalate", lambda *_: d.Escalations((), "")),
            review=stage("review", lambda _r, _t, n, _f: replace(n, urgency="high")),
            draft=stage("draft", lambda _t, n: n),
            release=stage("release", lambda _r, _t, _n, v: v),
        )

    def entry(self, outcome: Outcome, read: Callable[[d.Ref[Any]], Any]) -> Entry:
        return Entry({}, None)

    def wishes(self, targets: Sequence[str], entry: Entry) -> list[Wish]:
        return [Wish(target) for target in targets]


def out(store: Store, call: str = "c1") -> list[str]:
    """Return the targets that a call's outbox names."""
    return sorted(row.target for row in store.outbox.of(call))


def recording(received: d.Received) -> d.Recording:
    return d.Recording(
        id=received.call, sha256="", name="", audio=received.audio, channels=1, rate=8000,
        duration=1.0, codec="", metadata={}, agent_channel="auto", language="en", levels=(-20.0,),
        bleed=None, bandwidth=3400.0,
    )  # fmt: skip


def speech(words: tuple[d.Word, ...]) -> d.Speech:
    return d.Speech(0, words, "en", "fake", ((0.0, 1.0),), 1.0, 1.0)


def transcript(recording: d.Recording, words: tuple[d.Word, ...]) -> d.Transcript:
    turn = d.Turn("customer", words)
    return d.Transcript(recording.id, "en", (turn,), "fake", "fake", (1.0,), (1.0,), ())


def redaction() -> d.Redaction:
    return d.Redaction((), (), "balanced", "x", "y")


def note(call: str) -> d.CaseNote:
    return d.CaseNote(
        call, "done", d.RequestType("other", 0.5, "human"), "low", None, (), (), (), (),
        d.CallOutcome("unclear", ()), (), (), {}, {},
    )  # fmt: skip


def hand_in(store: Store, call: str = "c1") -> d.Ref[d.Received]:
    store.open_call(call)
    sound = store.shelf.put(call, "Audio", b"RIFF")
    record = d.Received(call, "a.wav", "", 4, sound, {})
    ref = store.shelf.put(call, "Received", encode(record))
    store.set_received(ref)
    return ref


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


def finish(engine: Engine, run: str) -> Outcome:
    deadline = time.monotonic() + 30
    while not engine.finished(run):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return engine.outcome(run)


def test_a_closed_stream_of_the_librarys_log_ends_nothing(store: Store, workshop: Workshop) -> None:
    """The engine starts whoever began to log before it, and whatever became of the stream."""
    stream = io.StringIO()
    logging.getLogger("dbos").addHandler(logging.StreamHandler(stream))
    stream.close()
    Engine(store, workshop).close()
    assert [type(one) for one in logging.getLogger("dbos").handlers] == [logging.NullHandler]


def test_a_call_runs_every_stage_once(store: Store, engine: Engine, workshop: Workshop) -> None:
    """From received to reviewed, in the order of the pipeline, and the note is the reviewed one."""
    outcome = finish(engine, engine.start(hand_in(store), "p1"))
    assert outcome.status == "done"
    assert workshop.ran == [
        "ingest", "transcribe", "diarize", "redact", "replace", "mute", "verify", "analyse",
        "escalate", "review", "draft", "release",
    ]  # fmt: skip
    assert outcome.note is not None
    assert engine.read(outcome.note).urgency == "high"


def test_the_same_call_again_is_not_done_twice(
    store: Store, engine: Engine, workshop: Workshop
) -> None:
    """A finished call answers at once, without running a stage."""
    received = hand_in(store)
    first = finish(engine, engine.start(received, "p1"))
    again = finish(engine, engine.start(received, "p1"))
    assert again == first
    assert len(workshop.ran) == 12


def test_raw_text_is_destroyed_and_the_rest_is_kept(store: Store, engine: Engine) -> None:
    """When redaction has committed, the words as heard are gone from every file."""
    outcome = finish(engine, engine.start(hand_in(store), "p1"))
    names = [p.name for p in (store.root / "blobs").rglob("*") if p.is_file()]
    assert not [name for name in names if name.startswith(("Heard-", "Transcript-"))]
    assert outcome.transcript is not None
    assert store.shelf.has(outcome.transcript)


def test_a_held_call_has_no_note(store: Store, engine: Engine, workshop: Workshop) -> None:
    """When redaction cannot be trusted nothing right of it runs, and raw audio stays."""
    workshop.passed = False
    outcome = finish(engine, engine.start(hand_in(store), "p1", ["folder:x"]))
    assert outcome.status == "held"
    assert outcome.note is None
    assert "analyse" not in workshop.ran
    assert out(store) == []


def test_a_plan_that_changes_nothing_repeats_nothing(
    store: Store, engine: Engine, workshop: Workshop
) -> None:
    """A new plan with the same versions is answered from the memo, though raw text is gone."""
    received = hand_in(store)
    finish(engine, engine.start(received, "p1"))
    workshop.ran.clear()
    assert finish(engine, engine.start(received, "p2")).status == "done"
    assert workshop.ran == []


def test_a_changed_stage_is_made_anew_from_what_is_left(
    store: Store, engine: Engine, workshop: Workshop
) -> None:
    """A changed redaction needs raw text that was destroyed: it is heard again from the audio."""
    received = hand_in(store)
    finish(engine, engine.start(received, "p1"))
    workshop.ran.clear()
    workshop.version = "2"
    run = engine.start(received, "p3")
    for _ in range(10):
        try:
            outcome = finish(engine, run)
            break
        except PipelineError as error:
            assert engine.again(run, error)
            run = engine.start(received, "p3")
    assert outcome.status == "done"
    assert [s for s in workshop.ran if s in ("transcribe", "diarize", "redact")] == [
        "transcribe", "diarize", "redact",
    ]  # fmt: skip
    assert "ingest" not in workshop.ran


def test_a_resource_that_fails_once_is_tried_again(
    store: Store, engine: Engine, workshop: Workshop
) -> None:
    """Retryable means retried; the stages before it are not repeated."""
    failures = iter([Retryable("busy")])

    def fail_once() -> None:
        for error in failures:
            raise error

    workshop.twist["mute"] = fail_once
    assert finish(engine, engine.start(hand_in(store), "p1")).status == "done"
    assert workshop.ran.count("mute") == 2
    assert workshop.ran.count("transcribe") == 1


def test_bad_input_fails_with_its_code_and_can_be_started_again(
    store: Store, engine: Engine, workshop: Workshop
) -> None:
    """Class, code and message of our own errors survive; a second start is a new try."""

    def refuse() -> None:
        raise BadInput("cut off; send the whole file", code="damaged_audio")

    workshop.twist["ingest"] = refuse
    received = hand_in(store)
    with pytest.raises(BadInput) as raised:
        finish(engine, engine.start(received, "p1"))
    assert raised.value.code == "damaged_audio"
    workshop.twist.clear()
    assert finish(engine, engine.start(received, "p1")).status == "done"


def test_a_foreign_error_leaves_its_message_behind(
    store: Store, engine: Engine, workshop: Workshop
) -> None:
    """A library's error message may quote a caller: only its class enters the journal."""

    def explode() -> None:
        raise ValueError(SECRET)

    workshop.twist["redact"] = explode
    with pytest.raises(PipelineError) as raised:
        finish(engine, engine.start(hand_in(store), "p1"))
    assert raised.value.code == "internal"
    assert SECRET not in str(raised.value)


def test_deliveries_are_put_out_once_per_target(store: Store, engine: Engine) -> None:
    """Running a finished call again with one more target delivers to that one only."""
    received = hand_in(store)
    finish(engine, engine.start(received, "p1", ["folder:a"]))
    finish(engine, engine.start(received, "p1", ["folder:a", "folder:b"]))
    assert out(store) == ["folder:a", "folder:b"]


def test_a_delivery_that_was_refused_is_due_again_next_time(store: Store, engine: Engine) -> None:
    """A target that was down when the call finished gets its note at the next run."""
    received = hand_in(store)
    finish(engine, engine.start(received, "p1", ["folder:a"]))
    (row,) = store.outbox.claim("me", lease=9, limit=1, rates={})
    store.outbox.set_aside(row, "refused", "target_refused", "no such folder")
    finish(engine, engine.start(received, "p1", ["folder:a"]))
    (row,) = store.outbox.of("c1")
    assert row.state == "waiting"


def test_no_file_of_the_data_folder_holds_what_was_said(store: Store, engine: Engine) -> None:
    """The canary: after a call, its words are in no database, journal, blob or name."""
    finish(engine, engine.start(hand_in(store), "p1"))
    engine_files = [p for p in store.root.rglob("*") if p.is_file()]
    assert len(engine_files) > 5
    for path in engine_files:
        assert SECRET.encode() not in path.read_bytes(), path
        assert SECRET not in path.name


def test_the_journal_refuses_content() -> None:
    """A record that strays towards the journal is a TypeError, not a leak."""
    with pytest.raises(TypeError):
        JournalSerializer().serialize({"args": (d.Word("x", 0, 1),)})
    with pytest.raises(TypeError):
        JournalSerializer().serialize(b"bytes")


def test_the_journal_is_plain_json(store: Store, engine: Engine) -> None:
    """Whoever can write the journal cannot run code in us: nothing in it is pickled."""
    finish(engine, engine.start(hand_in(store), "p1", ["folder:x"]))
    with sqlite3.connect(store.root / "engine.db") as db:
        told = [
            db.execute(f"select {columns}").fetchall()
            for columns in ("inputs from workflow_input", "output, error from workflow_output",
                            "output, error from operation_outputs")
        ]  # fmt: skip
    assert all(told[:2])  # stages are no steps, so there may be no outputs of steps
    for value in [value for rows in told for row in rows for value in row if value is not None]:
        json.loads(value)


def test_a_dead_process_is_replaced_at_once(tmp_path: Path, workshop: Workshop) -> None:
    """A call whose process was killed is taken over by the next one that looks, and finishes."""
    script = textwrap.dedent(
        """
        import os, signal, sys, time
        sys.path.insert(0, sys.argv[2])
        from pathlib import Path
        from test_engine import Workshop, hand_in
        from voice_pipeline.engine.durable import Engine, Entry
        from voice_pipeline.store import Store
        store = Store(Path(sys.argv[1])); shop = Workshop()
        shop.twist["redact"] = lambda: os.kill(os.getpid(), signal.SIGKILL)
        engine = Engine(store, shop); engine.start(hand_in(store), "p1"); time.sleep(60)
        """
    )
    folder = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(Path(__file__).parent)],
        check=False,
        timeout=90,
    )
    assert done.returncode == -9
    store = Store(folder)
    engine = Engine(store, workshop)
    try:
        assert engine.find("c1", "p1") == "PENDING"
        assert engine.recover() == 1
        assert engine.recover() == 0
        assert finish(engine, "c1.p1").status == "done"
        assert workshop.ran[0] == "redact"
        assert "transcribe" not in workshop.ran
    finally:
        engine.close()
        store.close()
