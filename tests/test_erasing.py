"""Erasing for good: asked, agreed, carried out, proved; and refused where it must be."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from test_engine import Workshop
from test_erasure_engine import journal
from test_erasure_store import MARK, everything, whole_call

from redaction.records import Word
from voice_pipeline.corrections import Corrections
from voice_pipeline.domain import RedactedTurn, Ref
from voice_pipeline.engine.durable import Engine
from voice_pipeline.erasing import CORRECTIONS, Erasing, read_receipt
from voice_pipeline.errors import BadInput, Permanent, PipelineError
from voice_pipeline.policy.pack import Retention
from voice_pipeline.store import Store
from voice_pipeline.store.rows import Scope
from voice_pipeline.store.tables import calls, erasures, idempotency


@pytest.fixture
def store(tmp_path: Path, database: str | None) -> Iterator[Store]:
    store = Store(tmp_path / "out" / ".state", database=database)
    yield store
    store.close()


@pytest.fixture
def engine(store: Store) -> Iterator[Engine]:
    engine = Engine(store, Workshop())
    yield engine
    engine.close()


@pytest.fixture
def erasing(store: Store, engine: Engine) -> Erasing:
    return Erasing(store, engine, lambda text: text.replace("Smith", "[PERSON]"))


def erase(erasing: Erasing, *names: str, by: str = "lee") -> dict[str, object]:
    asked = erasing.propose(Scope(), calls=names, reason="Smith asks", by=by)
    return dict(json.loads(erasing.confirm(asked.id, by=by, four_eyes=False).receipt or ""))


def test_everything_of_a_call_goes_and_a_receipt_says_so(
    store: Store, engine: Engine, erasing: Erasing, tmp_path: Path
) -> None:
    """A marker in every table, blob, result file and correction is found nowhere afterwards."""
    whole_call(store, "c1")
    run = engine.start(Ref("c1", "Received", "00"), "p")
    while not engine.finished(run):
        time.sleep(0.05)
    out, state = tmp_path / "out", tmp_path / "out" / ".state"
    (out / "c1").mkdir()
    (out / "c1" / "note.json").write_text(MARK)
    turn = RedactedTurn(0, "customer", 0, None, None, (Word(MARK, None, None),))
    for call in ("c1", "c2"):
        Corrections(state / CORRECTIONS).add(call, turn, "refund", "lee", datetime.now(UTC))
    preview = erasing.preview(["c1"]).counts
    assert preview["result folders"] == preview["corrections"] == 1
    assert MARK in everything(store)

    receipt = erase(erasing, "c1")

    erased = receipt["erased"]
    assert isinstance(erased, dict)
    assert erased.pop("data keys") == 1
    assert erased == preview
    assert receipt["reason"] == "[PERSON] asks"
    beyond = receipt["out_of_reach"]
    assert isinstance(beyond, dict)
    (copy,) = beyond["delivered"]
    assert copy["call"] == "c1"
    assert copy["target"] == f"folder:{MARK}"  # the one thing that says where a copy is
    with store.database.begin() as db:
        db.execute(erasures.update().values(receipt=None))
    assert MARK not in everything(store)
    assert [one.call for one in Corrections(state / CORRECTIONS)] == ["c2"]
    if store.database.dialect.name == "sqlite":
        assert '"c1"' not in journal(state)
    for file in out.rglob("*"):
        held = file.read_bytes() if file.is_file() else b""
        assert MARK.encode() not in held or file.name.startswith((CORRECTIONS, "calls.db"))
    assert erasing.check(["c1"]).remains == {}


def test_what_is_left_is_found(store: Store, erasing: Erasing, tmp_path: Path) -> None:
    """The search names what it finds: a blob, a row, a file that somebody put back."""
    whole_call(store, "c1")
    assert erasing.check(["c1"]).remains["c1"]
    erase(erasing, "c1")
    assert erasing.check(["c1"]).remains == {}
    (tmp_path / "out" / ".state" / "blobs" / "c1").mkdir()
    (tmp_path / "out" / ".state" / "blobs" / "c1" / "Audio-x").write_text("x")
    (tmp_path / "out" / "c1").mkdir()
    with store.database.begin() as db:
        db.execute(calls.update().values(agent="ann"))
    left = "\n".join(erasing.check(["c1"]).remains["c1"])
    assert "blobs Audio" in left
    assert "column agent" in left
    assert "result folder" in left


def test_a_receipt_is_checked_from_the_file_alone(store: Store, erasing: Erasing) -> None:
    """Signed with the folder's key; a changed one is refused, and what it names is searched for."""
    whole_call(store, "c1")
    receipt = erase(erasing, "c1")
    checked = erasing.check_receipt(json.dumps(receipt))
    assert (checked.calls, checked.remains) == (("c1",), {})
    assert checked.signer
    for harm in ({"calls": []}, {"asked_by": "kim"}, {"signature": "00"}, {"public_key": "zz"}):
        with pytest.raises(BadInput) as raised:
            read_receipt(json.dumps(receipt | harm))
        assert raised.value.code == "receipt"
    for text in ("", "[]", "{}", "null", '{"public_key": 1}'):
        with pytest.raises(BadInput):
            read_receipt(text)


def test_all_of_a_customer_also_those_that_came_meanwhile(store: Store, erasing: Erasing) -> None:
    """Asked for by reference, which is not kept itself; no call of another customer goes."""
    for call, customer in (("c1", "ann"), ("c2", "bob"), ("c3", "ann")):
        whole_call(store, call, mark=customer)
    asked = erasing.propose(Scope(), customer="ann", reason="x", by="lee")
    assert "ann" not in asked.asked
    whole_call(store, "c4", mark="ann")
    done = erasing.confirm(asked.id, by="kim", four_eyes=True)
    assert json.loads(done.receipt or "")["calls"] == ["c1", "c3", "c4"]
    row = store.register.get("c2")
    assert row is not None
    assert row.status == "done"
    with pytest.raises(BadInput) as raised:
        erasing.propose(Scope(), customer="ann", reason="x", by="lee")
    assert raised.value.code == "not_found"


def test_four_eyes_are_two_people(store: Store, erasing: Erasing) -> None:
    """Whoever asks cannot agree, however they spell their name; agreeing twice is one erasure."""
    whole_call(store, "c1")
    asked = erasing.propose(Scope(), calls=["c1"], reason="x", by="M. Lee")
    for name in ("M. Lee", " m. lee "):
        with pytest.raises(BadInput) as raised:
            erasing.confirm(asked.id, by=name, four_eyes=True)
        assert raised.value.code == "four_eyes"
    assert store.eraser.contents("c1")["blobs Audio"] == 1
    done = erasing.confirm(asked.id, by="Kim", four_eyes=True)
    assert (done.state, done.asked_by, done.approved_by) == ("done", "M. Lee", "Kim")
    assert erasing.confirm(asked.id, by="Ann", four_eyes=True) == done


def test_a_hold_refuses_the_whole_request_and_says_why(store: Store, erasing: Erasing) -> None:
    """One held call among many: none is erased, before it is agreed to and after."""
    for call in ("c1", "c2"):
        whole_call(store, call)
    asked = erasing.propose(Scope(), calls=["c1", "c2"], reason="x", by="lee")
    store.holds.place(tenant="default", call="c2", customer=None, reason="court", by="kim")
    assert erasing.preview(["c1", "c2"]).held == {"c2": [1]}
    for act in (
        lambda: erasing.confirm(asked.id, by="kim", four_eyes=True),
        lambda: erasing.propose(Scope(), calls=["c1", "c2"], reason="x", by="lee"),
    ):
        with pytest.raises(Permanent, match=r"1 of 2 call\(s\) are under legal hold \(c2\)"):
            act()
    assert [one.state for one in erasing.requests.every()] == ["refused", "refused"]
    with pytest.raises(Permanent) as raised:
        erasing.confirm(asked.id, by="kim", four_eyes=True)
    assert raised.value.code == "erasure_refused"
    assert store.eraser.contents("c1")["blobs Audio"] == 1


@pytest.mark.parametrize(
    ("names", "customer", "reason", "by", "scope", "code"),
    [
        (["c1"], None, " ", "lee", Scope(), "no_reason"),
        (["c1"], None, "x", "", Scope(), "no_reason"),
        (["c1"], None, "x" * 501, "lee", Scope(), "no_reason"),
        (["c1"], "ann", "x", "lee", Scope(), "nothing_to_erase"),
        ([], None, "x", "lee", Scope(), "nothing_to_erase"),
        (["c1", "zz"], None, "x", "lee", Scope(), "not_found"),
        (["c1"], None, "x", "lee", Scope("other"), "not_found"),
        (["c1"], None, "x", "lee", Scope(queues=frozenset({"fraud"})), "not_found"),
        ([], MARK, "x", "lee", Scope("other"), "not_found"),
    ],
)
def test_what_cannot_be_erased_is_said(
    store: Store, erasing: Erasing, names: list[str], customer: str | None, reason: str, by: str,
    scope: Scope, code: str,
) -> None:  # fmt: skip
    """No reason, nobody, nothing, not there, not yours: each has a code and changes nothing."""
    whole_call(store, "c1")
    with pytest.raises(PipelineError) as raised:
        erasing.propose(scope, calls=names, customer=customer, reason=reason, by=by)
    assert raised.value.code == code
    assert store.eraser.contents("c1")["blobs Audio"] == 1


def test_an_erasure_that_was_killed_goes_on(
    store: Store, engine: Engine, erasing: Erasing, tmp_path: Path
) -> None:
    """Killed after the rows went: the next start removes the rest, and agreeing again ends it."""
    for call in ("c1", "c2"):
        whole_call(store, call)
    engine.start(Ref("c1", "Received", "00"), "p")
    asked = erasing.propose(Scope(), calls=["c1", "c2"], reason="x", by="lee")
    store.erase("c1", asked.id)  # and here the process dies
    assert engine.remains("c1") == 1
    assert erasing.finish() == 1
    assert erasing.check(["c1"]).remains == {}
    done = erasing.confirm(asked.id, by="lee", four_eyes=False)
    assert json.loads(done.receipt or "")["calls"] == ["c1", "c2"]
    assert erasing.check(["c1", "c2"]).remains == {}


def test_retention_takes_what_is_old_and_ended_and_free(store: Store, erasing: Erasing) -> None:
    """By age and class: raw audio, whole calls, answers to uploads; never what is held or runs."""
    for call in ("old", "held", "runs", "new"):
        whole_call(store, call)
    store.holds.place(tenant="default", call="held", customer=None, reason="x", by="lee")
    aged = time.time() - 40 * 86400
    with store.database.begin() as db:
        db.execute(calls.update().where(calls.c.call != "new").values(received_at=aged))
        db.execute(calls.update().where(calls.c.call == "runs").values(status="running"))
        db.execute(idempotency.update().where(idempotency.c.call == "held").values(at=aged))
    keep = Retention(raw_audio_days=7)
    assert erasing.purge(keep) == 2  # of old and runs
    left = {call: store.eraser.contents(call) for call in ("old", "held", "runs", "new")}
    assert [call for call in left if "blobs Audio" in left[call]] == ["held", "new"]
    assert "idempotency" not in left["held"]
    assert left["old"]["blobs Received"] == 1
    erasing.purge(replace_days(keep, 30))
    with store.database.connect() as db:
        rows = db.execute(sa.select(calls.c.call, calls.c.status)).all()
    assert {row.call: row.status for row in rows} == {
        "old": "erased", "held": "done", "runs": "running", "new": "done",
    }  # fmt: skip
    (one,) = erasing.requests.every()
    assert (one.asked_by, one.state) == ("retention", "done")
    assert json.loads(one.receipt or "")["calls"] == ["old"]


def replace_days(keep: Retention, days: int) -> Retention:
    return keep.model_copy(update={"results_days": days})


def test_a_second_process_sees_that_it_is_gone(
    store: Store, erasing: Erasing, tmp_path: Path, database: str | None
) -> None:
    """Another process that had read the call reads no more, at once."""
    ref = whole_call(store, "c1")
    other = Store(tmp_path / "out" / ".state", database=database)
    other.shelf.get(ref)
    erase(erasing, "c1")
    with pytest.raises(Permanent) as raised:
        other.shelf.get(replace(ref))
    assert raised.value.code == "erased"
    other.close()
