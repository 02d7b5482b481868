"""Decisions of people: approve, reject, edit; release, run again, discard. Who, when, why."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_engine import Workshop, hand_in, redaction

from redaction.log import verify_bytes
from voice_pipeline import domain as d
from voice_pipeline.codec import build
from voice_pipeline.engine.durable import Engine, Entry
from voice_pipeline.errors import BadInput, Permanent, PipelineError
from voice_pipeline.evidence import Evidence
from voice_pipeline.pipeline import Outcome, Stages
from voice_pipeline.reviewing import EDITABLE, RELEASED, Reviewing
from voice_pipeline.store import Store
from voice_pipeline.store.rows import CallRow, Scope

BY = {"reason": "Smith listened", "by": "M. Lee"}


class Desk(Workshop):
    """Stages whose notes wait for approval, where the call is not held."""

    def stages(self, plan: str) -> Stages:
        stages, policy = super().stages(plan), f"policy {self.version}"
        redact = replace(stages.redact, do=lambda _said: replace(redaction(), policy=policy))
        return replace(stages, redact=redact)

    def entry(self, outcome: Outcome, read: Callable[[d.Ref[Any]], Any]) -> Entry:
        held = outcome.note is None
        return Entry({"review": None if held else "required", "code": "held" if held else None},
                     None if held else "what was said")  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, database: str | None) -> Iterator[Store]:
    store = Store(tmp_path / "data", database=database)
    yield store
    store.close()


@pytest.fixture
def workshop() -> Desk:
    return Desk()


@pytest.fixture
def engine(store: Store, workshop: Desk) -> Iterator[Engine]:
    engine = Engine(store, workshop)
    yield engine
    engine.close()


@pytest.fixture
def desk(store: Store, engine: Engine) -> Reviewing:
    known = {"refund", "other"}
    return Reviewing(
        store, engine, lambda text: text.replace("Smith", "[PERSON]"), known.__contains__
    )


def finish(engine: Engine, run: str) -> None:
    deadline = time.monotonic() + 120
    while not engine.finished(run) and time.monotonic() < deadline:
        time.sleep(0.05)


def row_of(store: Store, call: str = "c1") -> CallRow:
    row = store.register.get(call)
    assert row is not None
    return row


@pytest.fixture
def done(store: Store, engine: Engine, workshop: Desk) -> str:
    finish(engine, engine.start(hand_in(store), store.keep_plan(PLAN)))
    return "c1"


@pytest.fixture
def held(store: Store, engine: Engine, workshop: Desk) -> str:
    workshop.passed = False
    finish(engine, engine.start(hand_in(store), store.keep_plan(PLAN), ["folder:x"]))
    return "c1"


PLAN = {"transcriber": {"made_by": "fake"}}


def test_a_note_is_approved_or_rejected_once(store: Store, desk: Reviewing, done: str) -> None:
    """The list shows it, the feed tells of it, the row says who and why, redacted."""
    made = desk.decide(done, "approve", **BY)
    assert (made.decision, made.by, made.reason) == ("approved", "M. Lee", "[PERSON] listened")
    assert row_of(store).review == "approved"
    assert store.register.events(Scope())[-1].type == "call.approved"
    with pytest.raises(BadInput) as raised:
        desk.decide(done, "reject", **BY)
    assert raised.value.code == "no_review_waits"
    assert [one.number for one in store.decisions.of(done)] == [made.number]


def test_an_edited_note_is_what_readers_get(store: Store, desk: Reviewing, done: str) -> None:
    """The edit is redacted and sealed; the first note stays; a second edit builds on the first."""
    revision = store.register.revision(done)
    assert revision is not None
    outcome: Outcome = build(Outcome, json.loads(revision.outcome))
    assert outcome.note is not None
    before = desk.note(outcome.note)
    desk.edit(done, {"summary": ["Smith wants a refund"], "request_type": "refund"}, **BY)
    desk.edit(done, {"urgency": "urgent", "draft": "Dear Smith"}, **BY)
    after = desk.note(outcome.note)
    assert [claim.text for claim in after.summary] == ["[PERSON] wants a refund"]
    assert (after.urgency, after.request_type.decision) == ("urgent", "human")
    assert after.draft == d.Draft("Dear [PERSON]", ())
    assert before.summary == ()
    document = desk.note_json(outcome.note, revision)
    assert document["review"]["decision"]["decision"] == "edited"
    row = row_of(store)
    assert (row.review, row.urgency, row.request_type) == ("approved", "urgent", "refund")
    (path, *_) = (store.root / "blobs" / done).glob("NoteEdit-*")
    assert b"refund" not in path.read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"call": "x"}, {"urgency": "now"}, {"urgency": None}, {"outcome": "won"},
        {"request_type": "moon"}, {"request_type": 1}, {"summary": "text"}, {"summary": [1]},
        {"summary": [" "]}, {"facts": ["x"] * 101}, {"reason": ["x"]}, {"reason": "x" * 4001},
        {"draft": 3}, {}, {"urgency": "high"},
    ],
)  # fmt: skip
def test_what_cannot_be_edited_is_said(
    store: Store, desk: Reviewing, done: str, changes: dict[str, object]
) -> None:
    """Unknown fields, wrong values and edits that change nothing leave no trace."""
    with pytest.raises(BadInput) as raised:
        desk.edit(done, changes, **BY)
    assert raised.value.code == "edit"
    assert store.decisions.of(done) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(changes=st.dictionaries(st.sampled_from(EDITABLE) | st.text(max_size=8), JSON, max_size=4))
def test_any_json_is_an_edit_or_is_refused(changes: dict[str, object]) -> None:
    """Whatever a program sends: a note of the right shape, or one code; never another error."""
    desk = Reviewing.__new__(Reviewing)
    desk._scrub, desk._known_type = str, {"other"}.__contains__  # type: ignore[method-assign]
    before = d.CaseNote(
        "c", "done", d.RequestType("other", 0.5, "human"), "low", None, (), (), (), (),
        d.CallOutcome("unclear", ()), (), (), {}, {},
    )  # fmt: skip
    try:
        after = desk._edited(before, changes)
    except BadInput as error:
        assert error.code == "edit"
    else:
        assert all(isinstance(claim, d.Claim) for claim in after.summary)
        assert after.urgency in ("low", "normal", "high", "urgent")


def test_a_release_shows_what_was_redacted_and_says_so(
    store: Store, engine: Engine, desk: Reviewing, workshop: Desk, held: str
) -> None:
    """Nothing is heard or redacted anew; the note is made, and the log names the override."""
    assert row_of(store).status == "held"
    assert store.register.find(Scope(), words="said") == []
    ran = len(workshop.ran)
    desk.release(held, **BY)
    row = row_of(store)
    assert (row.status, row.attempt, row.run) == ("received", 2, None)
    received: d.Ref[d.Received] = d.Ref(held, "Received", row.received_sha256 or "")
    run = engine.start_again(received, row.plan or "", ["folder:x"], row.attempt)
    finish(engine, run)
    outcome = engine.outcome(run)
    assert outcome.status == "done"
    assert workshop.ran[ran:] == ["analyse", "escalate", "review", "draft", "release"]
    verdict: d.Verification = engine.read(outcome.verification)
    assert verdict.reasons[-1].code == RELEASED
    assert row_of(store).status == "done"
    assert [one.status for one in store.register.revisions(held)] == ["held", "done"]
    assert len(store.register.find(Scope(), words="said")) == 1
    log = Evidence(store, engine).log(outcome, row.plan or "")
    events = [json.loads(line) for line in log.data.splitlines()]
    (override,) = [one for one in events if one["event"] == "override"]
    assert (override["decision"], override["reviewer"], override["mode"]) == (
        "released", "M. Lee", "manual",
    )  # fmt: skip
    (checked,) = [one for one in events if one["event"] == "verification"]
    assert RELEASED in checked["reasons"]
    assert verify_bytes(log.data).ok


def test_a_release_is_for_that_redaction_alone(
    store: Store, engine: Engine, desk: Reviewing, workshop: Desk, held: str
) -> None:
    """A newer redaction is judged anew: the release of an older one does not let it out."""
    desk.release(held, **BY)
    workshop.version = "2"
    row = row_of(store)
    received: d.Ref[d.Received] = d.Ref(held, "Received", row.received_sha256 or "")
    run = engine.start_again(received, row.plan or "", [], row.attempt)
    for _ in range(7):  # each attempt makes one forgotten record anew
        finish(engine, run)
        try:
            status = engine.outcome(run).status
        except PipelineError as error:
            assert engine.again(run, error)
            run = engine.start(received, row.plan or "")
        else:
            break
    assert status == "held"


def test_a_call_is_run_again_or_given_up(
    store: Store, engine: Engine, desk: Reviewing, workshop: Desk, held: str
) -> None:
    """Run again: it waits like a new one. Given up: failed, with a code, and no recording left."""
    made = desk.rerun(held, "p2", **BY)
    assert (made.decision, row_of(store).status, row_of(store).plan) == ("rerun", "received", "p2")
    with pytest.raises(BadInput) as raised:
        desk.discard(held, **BY)
    assert raised.value.code == "not_held"
    row = row_of(store)
    received: d.Ref[d.Received] = d.Ref(held, "Received", row.received_sha256 or "")
    finish(engine, engine.start_again(received, "p2", [], row.attempt))
    assert row_of(store).status == "held"
    desk.discard(held, **BY)
    row = row_of(store)
    assert (row.status, row.code) == ("failed", "discarded")
    assert "Audio" not in store.shelf.kinds(held)
    assert [one.decision for one in store.decisions.of(held)] == ["rerun", "discarded"]


def test_a_legal_hold_keeps_the_recording_of_a_held_call(
    store: Store, desk: Reviewing, held: str
) -> None:
    """Who gives a call up must lift the hold first."""
    store.holds.place(tenant="default", call=held, customer=None, reason="x", by="y")
    with pytest.raises(Permanent) as raised:
        desk.discard(held, **BY)
    assert raised.value.code == "legal_hold"
    assert store.shelf.kinds(held)["Audio"] == 1
    assert row_of(store).status == "held"


ACTS: dict[str, Callable[[Reviewing, str, str, str], object]] = {
    "approve": lambda desk, call, reason, by: desk.decide(call, "approve", reason=reason, by=by),
    "edit": lambda desk, call, reason, by: desk.edit(
        call, {"urgency": "urgent"}, reason=reason, by=by
    ),
    "release": lambda desk, call, reason, by: desk.release(call, reason=reason, by=by),
    "rerun": lambda desk, call, reason, by: desk.rerun(call, "p", reason=reason, by=by),
    "discard": lambda desk, call, reason, by: desk.discard(call, reason=reason, by=by),
}


@pytest.mark.parametrize("act", sorted(ACTS))
def test_no_decision_without_a_reason_and_a_name(
    store: Store, engine: Engine, desk: Reviewing, workshop: Desk, act: str
) -> None:
    """An unknown call, a wrong state, nobody and no reason: each has its code."""
    workshop.passed = act not in ("approve", "edit")  # the wrong state for each
    finish(engine, engine.start(hand_in(store), "p"))
    with pytest.raises(BadInput) as raised:
        ACTS[act](desk, "c1", "x", "lee")
    assert raised.value.code in ("no_review_waits", "no_note", "not_held")
    with pytest.raises(BadInput) as raised:
        ACTS[act](desk, "zz", "x", "lee")
    assert raised.value.code == "not_found"
    workshop.passed, workshop.version = not workshop.passed, "2"
    finish(engine, engine.start(hand_in(store, "c2"), "p"))
    for reason, by in ((" ", "lee"), ("x", ""), ("x" * 501, "lee")):
        with pytest.raises(BadInput) as raised:
            ACTS[act](desk, "c2", reason, by)
        assert raised.value.code == "no_reason"
    assert store.decisions.of("c2") == []


def test_decisions_go_with_an_erased_call(store: Store, desk: Reviewing, done: str) -> None:
    """Who decided and when stays; why, and what was written, is gone."""
    desk.edit(done, {"summary": ["gone soon"]}, **BY)
    store.erase(done, "e")
    (one,) = store.decisions.of(done)
    assert (one.by, one.reason, one.sha256) == ("M. Lee", "", None)
    with pytest.raises(Permanent) as raised:
        desk.decide(done, "approve", **BY)
    assert raised.value.code == "erased"
