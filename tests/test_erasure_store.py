"""Erasing in the store: rows, blobs, key and index go; what comes late is refused; holds hold."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.domain import Receipt, Ref, RouteChange
from voice_pipeline.errors import BadInput, Misconfigured, Permanent
from voice_pipeline.knowledge.library import Library
from voice_pipeline.store import Store
from voice_pipeline.store.erasure import ERASED_FILE
from voice_pipeline.store.outbox import Wish
from voice_pipeline.store.routes import RouteChanges
from voice_pipeline.store.rows import Admission, Revision, Scope
from voice_pipeline.store.tables import calls, metadata

MARK = "zanzibarmarker"  # no word of any file of ours


def whole_call(store: Store, call: str, mark: str = MARK) -> Ref[object]:
    """Make a call that has something in every table and blob, all with the mark in it."""
    store.open_call(call)
    ref = store.shelf.put(call, "Received", b"{}" + mark.encode())
    store.shelf.put(call, "Audio", mark.encode())
    store.set_received(ref)
    told = dict.fromkeys(("agent", "team", "customer_ref", "call_ref", "started_at"), mark)
    store.register.admit(
        Admission(call, ref.sha256, "p", (f"folder:{mark}",), name=f"{mark}.wav", sha256=mark,
                  size=4, metadata={**told, "queue": "billing"}, uploaded_by=mark, key=f"k{call}",
                  fingerprint=mark)
    )  # fmt: skip
    store.register.begin(call, "p", f"{call}.p", 1)
    store.keep_result("ingest", "k", ref, 1.0)
    store.note_progress(call, "ingest", 1.0, 1.0)
    store.register.end(
        Revision(call, 0, "p", f"{call}.p", "done", json.dumps({"x": mark}), 1.0),
        text=f"he said {mark} twice {mark}",
        detail=mark, request_type=mark, flags=f",{mark},", urgency="high", review="required",
    )  # fmt: skip
    store.register.tell(call, "call.noted", why=mark)
    store.outbox.put_in(call, [Wish(f"folder:{mark}")], "r")
    (row,) = store.outbox.claim("me", lease=9, limit=1, rates={}, only=[call])
    receipt = Receipt("folder", row.key, mark, "2026-11-23T00:00:00+00:00")
    store.outbox.done(row, receipt, payload=mark, remarks=[mark], customer=mark)
    RouteChanges(store).add(RouteChange(call, "a", "b", "lee", mark, "2026-11-23T00:00:00+00:00"))
    Library(store.database).note_draft_edit(call, "r", characters=0.5, words=0.5, by=mark)
    return ref


def everything(store: Store) -> str:
    """Return every value of every table, the search index among them."""
    found = []
    with store.database.connect() as db:
        for table in metadata.sorted_tables:
            found += [f"{table.name} {tuple(row)!r}" for row in db.execute(sa.select(table)).all()]
        found += [repr(row) for row in db.execute(sa.text("select call, body from call_texts"))]
    return "\n".join(found)


@pytest.fixture
def store(tmp_path: Path, database: str | None) -> Iterator[Store]:
    store = Store(tmp_path / "data", database=database)
    yield store
    store.close()


def test_an_erased_call_leaves_no_mark(store: Store, tmp_path: Path) -> None:
    """Rows, blobs, index and the database's own file: a word of the call is found nowhere."""
    whole_call(store, "c1")
    whole_call(store, "c2", mark="other")
    assert MARK in everything(store)
    gone = store.erase("c1", "e1")
    assert store.eraser.tidy(30)
    assert (gone["blobs Audio"], gone["results"], gone["search index"]) == (1, 1, 1)
    assert MARK not in everything(store)
    assert store.eraser.remains("c1") == []
    for file in (tmp_path / "data").rglob("*"):
        assert "c1" not in file.name
        if file.is_file():
            assert MARK.encode() not in file.read_bytes(), file
    row = store.register.get("c1")
    assert row is not None
    assert (row.status, row.tenant, row.queue, row.customer_ref) == (
        "erased", "default", "billing", None,
    )  # fmt: skip
    other = store.register.get("c2")
    assert other is not None
    assert other.agent == "other"
    assert len(store.register.find(Scope(), words="other")) == 1
    assert store.eraser.contents("c2")["blobs Audio"] == 1


def test_followers_of_events_learn_that_it_is_gone(store: Store) -> None:
    """Numbers and types stay for those with a cursor; what was said in them does not."""
    whole_call(store, "c1")
    before = [(e.number, e.type) for e in store.register.events(Scope())]
    store.erase("c1", "e1")
    after = store.register.events(Scope())
    assert [(e.number, e.type) for e in after[:-1]] == before
    assert after[-1].type == "call.erased"
    assert {e.data for e in after} == {"{}"}
    assert store.register.events(Scope(queues=frozenset({"billing"})))[-1].type == "call.erased"


def late_writes(store: Store, ref: Ref[object]) -> list[str]:
    """Try everything that a stage, a delivery or a person may still write; return what passed."""
    call = ref.call
    change = RouteChange(call, "b", "c", "lee", MARK, "2026-11-23T00:00:00+00:00")
    admission = Admission(call, "s", "p", name=MARK)
    revision = Revision(call, 0, "p", f"{call}.p-2", "done", MARK, 2.0)
    tries = {
        "blob": lambda: store.shelf.put(call, "CaseNote", MARK.encode()),
        "result": lambda: store.keep_result("mute", "k", ref, 1.0),
        "progress": lambda: store.note_progress(call, "mute", 0.5),
        "delivery": lambda: store.outbox.put_in(call, [Wish("folder:x")], "r"),
        "route": lambda: RouteChanges(store).add(change),
        "admission": lambda: store.register.admit(admission),
        "draft edit": lambda: Library(store.database).note_draft_edit(
            call, "r", characters=1.0, words=1.0, by="x"
        ),
        "hold": lambda: store.holds.place(
            tenant="default", call=call, customer=None, reason="x", by="y"
        ),
    }
    passed = []
    for name, write in tries.items():
        try:
            write()
        except Permanent as error:
            assert error.code == "erased", name
        else:
            passed.append(name)
    store.set_received(ref)
    store.open_call(call)
    assert not store.register.end(revision, text=MARK, detail=MARK)
    assert not store.register.resubmit(call, "p", 2)
    store.register.begin(call, "p", f"{call}.p-2", 2)
    store.register.fail(call, f"{call}.p", "x", MARK)
    store.register.tell(call, "call.noted", why=MARK)
    return passed


def test_what_comes_late_is_refused(store: Store, tmp_path: Path, database: str | None) -> None:
    """A stage of another process, with the key in its memory, brings nothing back."""
    ref = whole_call(store, "c1")
    other = Store(tmp_path / "data", database=database)
    assert other.shelf.get(ref)  # it knows the key now
    store.erase("c1", "e1")
    assert late_writes(other, ref) == []
    assert late_writes(store, ref) == []
    assert store.eraser.remains("c1") == []
    with pytest.raises(Permanent) as raised:
        other.shelf.get(ref)
    assert raised.value.code == "erased"
    other.close()


def test_a_blob_that_was_being_written_goes_too(store: Store) -> None:
    """An upload that ends after the erasure is refused, and leaves no file."""
    store.open_call("c1")
    with pytest.raises(Permanent) as raised, store.shelf.create("c1", "Audio") as blob:
        blob.write(b"x" * 10_000_000)
        with store.database.begin() as db:  # as when the erasing process ends right here
            db.execute(calls.update().values(wrapped_key=None))
    assert raised.value.code == "erased"
    assert store.shelf.kinds("c1") == {}


def test_writers_and_an_erasure_at_once_leave_nothing(
    store: Store, tmp_path: Path, database: str | None
) -> None:
    """However they interleave: threads that write all the time, and one erasure in the middle."""
    ref = whole_call(store, "c1")
    stop, faults = threading.Event(), list[Exception]()

    def write() -> None:
        mine = Store(tmp_path / "data", database=database)
        try:
            number = 0
            while not stop.is_set():
                number += 1
                mine.shelf.put("c1", "CaseNote", f"{number}".encode())
                mine.keep_result("mute", f"{number}", ref, 1.0)
                run = f"c1.p-{threading.get_ident()}-{number}"
                ended = Revision("c1", 0, "p", run, "done", "{}", float(number))
                mine.register.end(ended, text=f"words {number}")
                mine.note_progress("c1", f"stage {number % 3}", 0.5)
        except Permanent as error:
            if error.code != "erased":
                faults.append(error)
        finally:
            mine.close()

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    store.erase("c1", "e1")
    for writer in writers:
        writer.join(timeout=60)
    stop.set()
    assert faults == []
    assert store.eraser.remains("c1") == []


def test_a_restored_backup_is_brought_up_when_it_is_opened(tmp_path: Path) -> None:
    """The file beside the database says what must not come back, and the next start sees to it."""
    store = Store(tmp_path / "data")
    ref = whole_call(store, "c1")
    blob = next((tmp_path / "data" / "blobs" / "c1").glob("Audio-*")).read_bytes()
    with (
        sqlite3.connect(tmp_path / "backup.db") as copy,
        sqlite3.connect(tmp_path / "data" / "calls.db") as now,
    ):
        now.backup(copy)
    store.erase("c1", "e1")
    store.close()
    for name in ("calls.db", "calls.db-wal", "calls.db-shm"):
        (tmp_path / "data" / name).unlink(missing_ok=True)
    (tmp_path / "backup.db").rename(tmp_path / "data" / "calls.db")
    (tmp_path / "data" / "blobs" / "c1").mkdir()
    (tmp_path / "data" / "blobs" / "c1" / "Audio-old").write_bytes(blob)
    store = Store(tmp_path / "data")
    assert store.eraser.remains("c1") == []
    assert store.eraser.unended() == ["c1"]  # the engine has its part to do yet
    with pytest.raises(Permanent):
        store.shelf.get(ref)
    store.close()


def test_a_damaged_list_of_erasures_stops_the_start(tmp_path: Path) -> None:
    """A list that cannot be read might let a call come back: it must be restored first."""
    Store(tmp_path).close()
    (tmp_path / ERASED_FILE).write_text('{"call": "c1"}\n{"call"\n')
    with pytest.raises(Misconfigured) as raised:
        Store(tmp_path)
    assert raised.value.code == "erasures_file"
    assert "line 2" in raised.value.message


def test_a_legal_hold_keeps_a_call(store: Store) -> None:
    """A call under hold is not erased and keeps its audio; lifted, it goes."""
    whole_call(store, "c1")
    by = {"tenant": "default", "reason": "court order", "by": "lee"}
    number = store.holds.place(call="c1", customer=None, **by)
    store.holds.place(call=None, customer=MARK, **by)
    for name in ({"call": "c1", "customer": None}, {"call": None, "customer": MARK}):
        with pytest.raises(Permanent) as raised:
            store.erase("c1", "e1")
        assert raised.value.code == "legal_hold"
        assert store.purge_raw_audio(before=9e12) == 0
        assert store.holds.lift(**name, **by) == 1
    assert store.holds.every() == []
    assert store.holds.every(standing=False)[0].number == number
    assert store.purge_raw_audio(before=9e12) == 1
    store.erase("c1", "e1")
    assert MARK not in everything(store)
    assert [hold.by for hold in store.holds.every(standing=False)] == ["lee", "lee"]


@settings(max_examples=15)
@given(
    refs=st.lists(st.sampled_from(["ann", "bob", ""]), min_size=1, max_size=4),
    holds=st.sets(st.sampled_from(["ann", "bob", "cy", "call 0", "call 1", "call 9"])),
    tenant=st.sampled_from(["default", "other"]),
)
def test_a_hold_holds_what_it_names_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, refs: list[str], holds: set[str], tenant: str
) -> None:
    """Of any calls and holds: exactly the calls that a hold of their own tenant names stay."""
    store = Store(tmp_path_factory.mktemp("holds"))
    for number, ref in enumerate(refs):
        store.open_call(f"c{number}")
        told = {"customer_ref": ref} if ref else {}
        store.register.admit(Admission(f"c{number}", "s", "p", metadata=told))
    for name in sorted(holds):
        call = f"c{name.removeprefix('call ')}" if name.startswith("call") else None
        store.holds.place(
            tenant=tenant, call=call, customer=None if call else name, reason="x", by="y"
        )
    for number, ref in enumerate(refs):
        held = tenant == "default" and bool({ref, f"call {number}"} & holds)
        try:
            store.erase(f"c{number}", "e")
        except Permanent:
            assert held
        else:
            assert not held
    store.close()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b"])
def test_no_name_leads_out_of_the_folder_of_blobs(tmp_path: Path, name: str) -> None:
    """An id from outside never becomes a path."""
    (tmp_path / "x").mkdir()
    store = Store(tmp_path / "data")
    with pytest.raises(BadInput):
        store.shelf.delete_call(name)
    assert (tmp_path / "x").is_dir()
    store.close()
