"""Correcting a route: who, why, from where to where; undoable, counted, gone with its key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from command import CARD_DISPUTE, only_folder, run

from voice_pipeline.domain import Route, RouteChange
from voice_pipeline.errors import BadInput, Permanent
from voice_pipeline.policy.load import load_pack
from voice_pipeline.rerouting import Rerouting
from voice_pipeline.store import Store
from voice_pipeline.store.routes import RouteChanges
from voice_pipeline.store.tables import calls

GIVEN = Route("complaints", "complaints manager", "high", ("complaint: dissatisfied",))


@pytest.fixture
def store(tmp_path: Path, database: str | None) -> Iterator[Store]:
    store = Store(tmp_path / "data", database=database)
    for call in ("a", "b"):
        store.open_call(call)
    yield store
    store.close()


def rerouting(store: Store) -> Rerouting:
    return Rerouting(
        store, load_pack(), {"a": GIVEN, "b": GIVEN}, lambda text: text.replace("Smith", "[PERSON]")
    )


def test_a_correction_says_who_why_from_where_to_where(store: Store) -> None:
    """The given route stays; the change stands beside it, redacted."""
    found = rerouting(store).correct("a", "billing", reason="Smith asks  for a bill", by="M. Lee")
    assert (found.given, found.queue, found.owner) == (GIVEN, "billing", "billing team lead")
    (one,) = found.changes
    assert (one.change.before, one.change.after, one.change.by) == (
        "complaints", "billing", "M. Lee",
    )  # fmt: skip
    assert one.change.reason == "[PERSON] asks for a bill"
    assert one.change.at.endswith("+00:00")


def test_undoing_goes_back_step_by_step_and_keeps_the_history(store: Store) -> None:
    """Two moves, two steps back, four rows; then there is nothing left to undo."""
    desk = rerouting(store)
    desk.correct("a", "billing", reason="bill", by="lee")
    desk.correct("a", "fraud", reason="looks like fraud", by="kim")
    assert desk.undo("a", reason="it was not", by="kim").queue == "billing"
    last = desk.undo("a", reason="nor a bill", by="lee")
    assert (last.queue, last.owner) == ("complaints", "complaints manager")
    assert [one.change.undoes for one in last.changes] == [None, None, 2, 1]
    with pytest.raises(BadInput, match="nothing to undo"):
        desk.undo("a", reason="again", by="lee")


@pytest.mark.parametrize(
    ("call", "queue", "reason", "by", "message"),
    [
        ("zz", "billing", "x", "y", "no finished call"),
        ("a", "moon", "x", "y", "no queue 'moon'"),
        ("a", "complaints", "x", "y", "already"),
        ("a", "billing", "  ", "y", "--reason and --by"),
        ("a", "billing", "x", "", "--reason and --by"),
        ("a", "billing", "x" * 501, "y", "longer than 500"),
    ],
)
def test_what_cannot_be_corrected_is_said(
    store: Store, call: str, queue: str, reason: str, by: str, message: str
) -> None:
    """A correction without a reason teaches nobody anything."""
    with pytest.raises(BadInput, match=message):
        rerouting(store).correct(call, queue, reason=reason, by=by)


def test_two_people_do_not_overwrite_one_another(store: Store) -> None:
    """Who decided on what stands there no longer is told so."""
    changes = RouteChanges(store)
    changes.add(RouteChange("a", "complaints", "billing", "lee", "bill", "2026-11-24T10:00:00"))
    with pytest.raises(BadInput, match="by now"):
        changes.add(RouteChange("a", "complaints", "fraud", "kim", "theft", "2026-11-24T10:00:01"))


def test_corrected_routes_are_counted_and_undone_ones_are_not(store: Store) -> None:
    """One of two calls, then none."""
    desk = rerouting(store)
    desk.correct("a", "billing", reason="bill", by="lee")
    assert [(f.queue, f.routed, f.corrected) for f in desk.figures()] == [
        ("", 2, 1), ("complaints", 2, 1),
    ]  # fmt: skip
    desk.undo("a", reason="no bill", by="lee")
    assert [f.corrected for f in desk.figures()] == [0, 0]


def test_the_reason_is_sealed_and_gone_with_the_calls_key(
    store: Store, database: str | None
) -> None:
    """Free text about a call lies in no column and does not outlive its erasure."""
    desk = rerouting(store)
    desk.correct("a", "billing", reason="a very telling sentence", by="lee")
    for path in store.root.rglob("*"):
        assert not path.is_file() or b"telling sentence" not in path.read_bytes()
    with store.database.begin() as db:
        db.execute(calls.update().where(calls.c.call == "a").values(wrapped_key=sa.null()))
    fresh = Store(store.root, database=database)
    with pytest.raises(Permanent, match="erased"):
        rerouting(fresh).standing("a")
    fresh.close()


def test_the_command_moves_a_processed_call_and_counts_it(tmp_path: Path) -> None:
    """From a recording to a corrected route, as a team lead does it."""
    done = run("process", CARD_DISPUTE, "--out", tmp_path, "--transcriber", "scripted:create")
    assert done.returncode == 0, done.stderr
    call = only_folder(tmp_path).name
    state = ("--data", tmp_path / ".state", "calls")
    moved = run(*state, "route", call, "--queue", "billing", "--reason", "my card is "
                "four one one one one one one one one one one one one one one one",
                "--by", "M. Lee", "--json")  # fmt: skip
    assert moved.returncode == 0, moved.stderr
    document = json.loads(moved.stdout)
    assert document["queue"] == "billing"
    assert document["changes"][0]["reason"] == "my card is [CARD_NUMBER]"
    counted = json.loads(run(*state, "routes", "--json").stdout)
    assert (counted[0]["routed"], counted[0]["corrected"]) == (1, 1)
    assert run(*state, "route", "nobody").returncode == 3
