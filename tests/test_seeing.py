"""The service can be watched: figures that are true, cheap, and say nothing about any call."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus import figures
from quick import Running, hand_in, running, settled

from redaction.records import Finding
from voice_pipeline import domain as d
from voice_pipeline.api import metrics
from voice_pipeline.api.metrics import State
from voice_pipeline.engine.durable import Entry
from voice_pipeline.entries import entry
from voice_pipeline.errors import Retryable
from voice_pipeline.overview import look
from voice_pipeline.pipeline import Outcome
from voice_pipeline.store import Store, tallies
from voice_pipeline.store.database import migrate, open_database
from voice_pipeline.store.tables import calls

# Words that only metadata, file name and recording of an invented call hold.
CANARIES = {
    "queue": "kwanarybilling", "agent": "agentzorro", "team": "teamquokka",
    "customer_ref": "custyak77", "call_ref": "refibex88", "shelfmark": "gnupuma",
}  # fmt: skip
FILE = "wombat-recording.wav"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "FRESH", 0.0)  # look anew each time
        with running(tmp_path_factory.mktemp("seeing") / "data") as found:
            yield found


def test_what_calls_came_to_is_counted(service: Running) -> None:
    """Ends, codes, stage times, times to the note, workers and room: all there, all true."""
    with service.client() as client:
        ids = [hand_in(client, queue="billing") for _ in range(3)]
        ids += [hand_in(client, b"doubtful"), hand_in(client, b"broken sound")]
        for one in ids:
            settled(client, one)
    found = figures(service.url)
    assert found["calls_ended_total", (("status", "done"),)] == 3
    assert found["calls_held_total", (("code", "low_confidence"),)] == 1
    assert found["calls_failed_total", (("code", "damaged_audio"),)] == 1
    assert found["dead_letters", (("code", "damaged_audio"), ("kind", "call"))] == 1
    assert found["calls", (("status", "held"),)] == 1
    assert found["calls", (("status", "received"),)] == 0
    assert found["to_note_seconds_count", (("work", "live"),)] == 3
    assert 0 < found["to_note_seconds_sum", (("work", "live"),)] < 60
    assert found["to_note_seconds_bucket", (("le", "60.0"), ("work", "live"))] == 3
    assert found["stage_seconds_count", (("stage", "transcribe"),)] == 4
    assert found["stage_audio_seconds_total", (("stage", "transcribe"),)] == 4.0
    assert found["claims_total", (("result", "verified"),)] == 3
    assert found["workers", (("queue", "gpu"),)] == 1
    assert found["worker_seen_seconds", (("queue", "gpu"),)] < 60
    assert found["queue_waiting", (("queue", "calls"), ("work", "live"))] == 0
    assert found["review_waiting", ()] == 3
    assert 0 < found["disk_free_bytes", ()] < found["disk_size_bytes", ()]
    uploads = (("method", "POST"), ("route", "/v1/calls"), ("status", "202"))
    assert found["http_requests_total", uploads] == 5


def test_no_word_of_a_call_is_in_the_figures(service: Running) -> None:
    """Whatever an upload says of itself, and whatever paths are asked for, none of it shows."""
    with service.client() as client:
        call = hand_in(client, b"RIFF aardvark", FILE, **CANARIES)
        settled(client, call)
        client.get(f"/v1/calls/{call}/note", params={"okapi": "1"})
        client.get("/v1/okapi/nothing")
        client.request("OKAPI", "/healthz")
        client.get("/v1/search", params={"q": "okapi"})
    text = httpx.get(f"{service.url}/metrics", timeout=30).text.lower()
    words = [*CANARIES.values(), "shelfmark", "wombat", "aardvark", "okapi", "parcel", "[card"]
    assert not [word for word in [*words, call] if word in text]
    assert 'route="none"' in text and 'route="/v1/calls/{call}/note"' in text


def test_a_database_that_is_away_is_a_figure_too() -> None:
    """Who watches learns that the database is away instead of getting nothing."""

    def away() -> None:
        raise Retryable("no answer", code="storage")

    found = {one.name: one for one in State(away, 60.0).collect()}
    assert found["voice_pipeline_database_up"].samples[0].value == 0
    assert set(found) == {"voice_pipeline_build_info", "voice_pipeline_database_up"}


def test_looking_is_cheap_however_many_calls_there_are(
    tmp_path: Path, database: str | None
) -> None:
    """What has ended well is never read: 100 times as many calls cost a look hardly more."""
    store = Store(tmp_path / "data", database=database)
    engine = store.engine_database()
    spent = []
    for first, last in ((0, 300), (300, 30_000)):
        with store.database.begin() as db:
            db.execute(calls.insert(), [
                {"call": f"c{n}", "received_at": 1e9 + n, "plan": "p",
                 "status": "held" if n % 300 == 0 and n < 300 else "done"}
                for n in range(first, last)
            ])  # fmt: skip
        look(store.database, engine, tmp_path)
        best = 9.0
        for _ in range(7):
            started = time.perf_counter()
            found = look(store.database, engine, tmp_path)
            best = min(best, time.perf_counter() - started)
        spent.append(best)
        assert found.calls == {"received": 0, "running": 0, "held": 1, "failed": 0}
    assert spent[1] < 3 * spent[0] + 0.005, spent
    engine.dispose()
    store.close()


def test_an_upload_under_way_does_not_wait(tmp_path: Path) -> None:
    """A recording that is still coming in, or never came to its end, raises no alarm."""
    store = Store(tmp_path / "data")
    store.open_call("half")
    assert look(store.database, store.database, tmp_path).calls["received"] == 0
    store.close()


NAMES = st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["", "x", "y"]))


@settings(max_examples=30)
@given(steps=st.lists(st.dictionaries(NAMES, st.integers(0, 1000).map(float))))
def test_sums_are_sums(steps: list[dict[tuple[str, str], float]]) -> None:
    """Whatever is added in whatever order, the sums are those of arithmetic."""
    engine = open_database(None, Path(":memory:"))
    with engine.begin() as db:
        tallies.tallies.create(db)
        for step in steps:
            tallies.count(db, step)
        found = tallies.counted(db)
    wanted: Counter[tuple[str, str]] = Counter()
    for step in steps:
        wanted.update({key: int(value) for key, value in step.items()})
    assert {(n, k): v for n, rows in found.items() for k, v in rows.items()} == {
        key: value for key, value in wanted.items() if value
    }
    engine.dispose()


@given(seconds=st.floats(-10, 1e9), backfill=st.booleans())
def test_each_note_is_in_one_bucket(seconds: float, backfill: bool) -> None:
    """Each note is counted once, under the first bound that holds it."""
    added = tallies.to_note(seconds, backfill=backfill)
    (bucket,) = [(n, k) for n, k in added if n != "to_note_seconds"]
    bound = float(bucket[1])
    assert bound in tallies.TO_NOTE and seconds <= bound
    lower = [one for one in tallies.TO_NOTE if one < bound]
    assert not lower or max(0.0, seconds) > lower[-1]


def test_findings_are_counted_by_kind_and_never_by_value() -> None:
    """An organisation's own kind that is no plain word is OTHER: a label cannot carry a value."""
    kinds = ["CARD_NUMBER", "CARD_NUMBER", "NAME", "4532 9910", "émile", "A" * 60]
    counts = counted_of(kinds).counts
    redactions = {label: n for (name, label), n in counts.items() if name == "redactions"}
    assert redactions == {"CARD_NUMBER": 2, "NAME": 1, "OTHER": 3}


def counted_of(kinds: list[str]) -> Entry:
    recording = d.Recording(
        "c", "", "a.wav", d.Ref("c", "Audio", ""), 1, 8000, 1.0, "pcm", {}, "auto", "en", (-20.0,),
        None, 3400.0,
    )  # fmt: skip
    found = tuple(Finding(kind, 0, 0, 1, 1.0, "x", "x.y", "because") for kind in kinds)
    records = {
        "Recording": recording,
        "Redaction": d.Redaction(found, (), "balanced", "x", "y"),
        "Verification": d.Verification(False, (), {}, "", ""),
    }
    refs = [d.Ref("c", name, "") for name in records]
    return entry(Outcome("held", *refs), lambda ref: records[ref.kind])  # type: ignore[arg-type]


def test_every_figure_is_explained(service: Running) -> None:
    """docs/operations.md lists each metric, and no other."""
    page = (Path(__file__).parents[1] / "docs" / "operations.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `voice_pipeline_([a-z_]+)`", page, re.MULTILINE))
    text = httpx.get(f"{service.url}/metrics", timeout=30).text
    made = set(re.findall(r"^# TYPE voice_pipeline_([a-z_]+) ", text, re.MULTILINE))
    assert {name for name in made if not name.endswith("_created")} == listed


def test_what_is_open_is_found_by_index(tmp_path: Path) -> None:
    """The question that is asked every few seconds never reads the whole table."""
    engine = open_database(None, tmp_path / "calls.db")
    migrate(engine)
    with engine.connect() as db:
        plan = db.execute(sa.text(
            "explain query plan select status, backfill, code, count(*), min(received_at) "
            "from calls where plan is not null and status in ('received', 'held') "
            "group by status, backfill, code"
        )).all()  # fmt: skip
    assert "calls_by_state" in str(plan), plan
    engine.dispose()
