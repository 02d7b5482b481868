"""The outbox: rows with leases, one revision after the other, targets that rest and are paused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.domain import Receipt
from voice_pipeline.store import Store
from voice_pipeline.store.outbox import DeliveryRow, Outbox, Wish
from voice_pipeline.store.tables import targets


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(tmp_path: Path, database: str | None, clock: Clock) -> Iterator[Outbox]:
    store = Store(tmp_path, database=database)
    for call in ("c1", "c2", "c3"):
        store.open_call(call)
    yield Outbox(store.database, clock)
    store.close()


def claim(outbox: Outbox, who: str = "me", limit: int = 9, **rates: float) -> list[DeliveryRow]:
    return outbox.claim(who, lease=60.0, limit=limit, rates=rates)


def receipt(row: DeliveryRow) -> Receipt:
    return Receipt("crm", row.key, f"rec-{row.call}", "2026-01-05T10:00:00+00:00")


def test_a_revision_is_put_in_once(outbox: Outbox) -> None:
    """However often a call's end is told, there is one row a target."""
    for _ in range(3):
        outbox.put_in("c1", [Wish("crm"), Wish("folder:x")], "note1")
    assert [row.target for row in outbox.of("c1")] == ["crm", "folder:x"]
    assert len({row.key for row in outbox.of("c1")}) == 2


def test_what_is_taken_is_nobody_elses_until_its_lease_ends(outbox: Outbox, clock: Clock) -> None:
    """A process that hangs loses its delivery, and can no longer say how it ended."""
    outbox.put_in("c1", [Wish("crm")], "note1")
    (mine,) = claim(outbox)
    assert claim(outbox, "other") == []
    clock.now += 61
    (theirs,) = claim(outbox, "other")
    assert theirs.attempts == 2
    assert not outbox.done(mine, receipt(mine), payload="p")
    assert outbox.get(mine.key).state == "sending"
    assert outbox.done(theirs, receipt(theirs), payload="p")
    assert outbox.get(mine.key).state == "delivered"


def test_what_a_dead_process_had_in_hand_comes_back_at_once(outbox: Outbox) -> None:
    """Its lease need not run out."""
    outbox.put_in("c1", [Wish("crm")], "note1")
    claim(outbox, "dead")
    assert outbox.holders() == {"dead"}
    assert outbox.release("dead") == 1
    (row,) = claim(outbox)
    assert row.attempts == 2


def test_a_later_revision_takes_the_place_of_one_that_waits(outbox: Outbox) -> None:
    """Nobody gets what was corrected before it left."""
    outbox.put_in("c1", [Wish("crm")], "note1")
    outbox.put_in("c1", [Wish("crm")], "note2")
    assert [row.state for row in outbox.of("c1")] == ["superseded", "waiting"]
    (row,) = claim(outbox)
    assert (row.note, row.number) == ("note2", 2)


def test_revisions_of_a_call_go_one_after_the_other(outbox: Outbox) -> None:
    """While the first is under way the second waits, and other calls do not."""
    outbox.put_in("c1", [Wish("crm")], "note1")
    (first,) = claim(outbox)
    outbox.put_in("c1", [Wish("crm")], "note2")
    outbox.put_in("c2", [Wish("crm")], "other")
    assert [row.call for row in claim(outbox)] == ["c2"]
    outbox.done(first, receipt(first), payload="p")
    assert [row.note for row in claim(outbox)] == ["note2"]


def test_a_target_that_fails_rests_and_gets_one_to_try(outbox: Outbox, clock: Clock) -> None:
    """Nobody hammers a CRM that is down; once one delivery gets through, all others follow."""
    for call in ("c1", "c2", "c3"):
        outbox.put_in(call, [Wish("crm")], "n")
        clock.now += 1
    for row in claim(outbox):
        outbox.put_off(row, "target_unreachable", "it is down", wait=0.0, rest=30.0)
    assert claim(outbox) == []
    assert outbox.targets()["crm"].failures == 3
    clock.now += 31
    (probe,) = claim(outbox)
    assert probe.call == "c1"
    assert claim(outbox) == []
    outbox.done(probe, receipt(probe), payload="p")
    assert [row.call for row in claim(outbox)] == ["c2", "c3"]
    assert outbox.targets()["crm"].failures == 0


def test_no_target_rests_after_its_trial_went_well(outbox: Outbox) -> None:
    """One process forgets the failures while another, that saw them, takes the trial: when the
    trial gets through, all others follow at once."""
    for call in ("c1", "c2", "c3"):
        outbox.put_in(call, [Wish("crm")], "note1")
    first, trial = claim(outbox, limit=2)
    outbox.put_off(first, "target_failed", "it broke", wait=0.0, rest=0.0)
    with outbox._database.begin() as db:  # what the two leave behind, the slower one last
        values = {"failures": 0, "rests_until": outbox.clock() + 300}
        db.execute(targets.update().values(values))
    assert claim(outbox) == []
    outbox.done(trial, receipt(trial), payload="0" * 64)
    assert len(claim(outbox)) == 2


def test_a_failing_target_holds_up_no_other(outbox: Outbox) -> None:
    """The folder gets its note while the CRM is down."""
    outbox.put_in("c1", [Wish("crm"), Wish("folder:x")], "n")
    (crm, _) = claim(outbox)
    outbox.put_off(crm, "target_unreachable", "down", wait=0.0, rest=1000.0)
    outbox.put_in("c2", [Wish("crm"), Wish("folder:x")], "n")
    assert [(row.call, row.target) for row in claim(outbox)] == [("c2", "folder:x")]


def test_a_paused_target_gets_nothing_until_it_is_resumed(outbox: Outbox) -> None:
    """A person stops it, a person lets it go on; nothing is lost."""
    outbox.put_in("c1", [Wish("crm")], "n")
    outbox.pause("crm", by="lee", why="maintenance")
    assert claim(outbox) == []
    outbox.resume("crm")
    assert len(claim(outbox)) == 1


def test_a_rate_is_kept_by_all_processes_together(outbox: Outbox, clock: Clock) -> None:
    """Two a second: a second's worth at once, then one each half second, whoever asks."""
    with outbox._database.begin() as db:
        for number in range(20):
            outbox.add(db, f"x{number}", [Wish("crm")], "n")
    taken = len(claim(outbox, "a", crm=2.0)) + len(claim(outbox, "b", crm=2.0))
    assert taken == 3
    for _ in range(8):
        clock.now += 0.5
        taken += len(claim(outbox, "a", crm=2.0)) + len(claim(outbox, "b", crm=2.0))
    assert taken == 3 + 8


def test_a_decision_sends_the_note_after(outbox: Outbox) -> None:
    """An approved note goes out as a further revision; one rejected before it left never does."""
    outbox.put_in("c1", [Wish("crm", "unapproved"), Wish("folder:x")], "n")
    assert [row.target for row in claim(outbox)] == ["folder:x"]
    with outbox._database.begin() as db:
        outbox.follow(db, "c1", "approved", 7)
    new = [row for row in outbox.of("c1") if row.decision == 7]
    assert {(row.target, row.state) for row in new} == {("crm", "waiting"), ("folder:x", "waiting")}
    outbox.put_in("c2", [Wish("crm", "unapproved")], "n")
    with outbox._database.begin() as db:
        outbox.follow(db, "c2", "rejected", 8)
    assert [(row.state, row.code) for row in outbox.of("c2")] == [("cancelled", "rejected")]


@given(st.lists(st.sampled_from(["put", "claim", "done", "off", "aside", "die", "wait", "decide"]),
                min_size=1, max_size=40), st.randoms())  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_whatever_happens_no_revision_is_lost_or_in_two_hands(
    steps: list[str], chance: object
) -> None:
    """Any order of ends, kills and leases: one hand a delivery, and the newest is never dropped."""
    import random
    import tempfile

    assert isinstance(chance, random.Random)
    with tempfile.TemporaryDirectory() as folder:
        store, clock = Store(Path(folder)), Clock()
        store.open_call("c1")
        outbox, hands, number = Outbox(store.database, clock), [], 0
        for step in steps:
            clock.now += 1
            if step == "put":
                number += 1
                outbox.put_in("c1", [Wish("crm")], f"n{number}")
            elif step == "decide":
                with store.database.begin() as db:
                    outbox.follow(db, "c1", "approved", number)
            elif step == "claim":
                hands += outbox.claim("me", lease=5.0, limit=2, rates={})
            elif step == "die":
                outbox.release("me")
                hands = []
            elif step == "wait":
                clock.now += 10
            elif hands:
                row = hands.pop(chance.randrange(len(hands)))
                if step == "done":
                    outbox.done(row, receipt(row), payload="p")
                elif step == "off":
                    outbox.put_off(row, "no_answer", "?", wait=1.0, rest=1.0)
                else:
                    outbox.set_aside(row, "refused", "target_refused", "?")
            rows = outbox.of("c1")
            assert sum(row.state == "sending" for row in rows) <= 1
            assert len({row.number for row in rows}) == len(rows)
            assert all(row.state != "superseded" for row in rows[-1:])
        store.close()
