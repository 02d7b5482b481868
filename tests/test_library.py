"""The library: nothing is usable that a second person has not approved, and nothing is forgotten
but what erasure takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from articles import TODAY, write

from voice_pipeline.errors import BadInput, Misconfigured
from voice_pipeline.knowledge.article import read_folder
from voice_pipeline.knowledge.edits import draft_edit_distance, levenshtein
from voice_pipeline.knowledge.library import Imported, Library
from voice_pipeline.store import Store
from voice_pipeline.store.tables import article_vectors

WHY = {"why": "checked against the price list"}


@pytest.fixture
def library(tmp_path: Path, database: str | None) -> Iterator[Library]:
    store = Store(tmp_path / "data", database=database)
    yield Library(store.database)
    store.close()


def bring(library: Library, folder: Path, approved_by: str | None = None) -> Imported:
    read, faults = read_folder(folder)
    assert not faults
    return library.bring(read, by="Sam Import", today=TODAY, approved_by=approved_by)


def usable(library: Library, today: date = TODAY) -> list[tuple[str, int]]:
    return [(article.id, article.version) for article in library.usable(today)]


def test_importing_approves_nothing(library: Library, tmp_path: Path) -> None:
    """Also not where the author's own front matter says approved."""
    write(tmp_path / "in")
    done = bring(library, tmp_path / "in")
    assert len(done.proposed) == 1
    assert usable(library) == []
    assert len(bring(library, tmp_path / "in").unchanged) == 1


@pytest.mark.parametrize("by", ["Ana Ruiz", " ana  RUIZ ", "Ana\u00a0Ruiz", "Sam Import"])
def test_owner_and_importer_cannot_approve(library: Library, tmp_path: Path, by: str) -> None:
    """A second person looks, however the first one spells their name."""
    write(tmp_path / "in")
    bring(library, tmp_path / "in")
    with pytest.raises(BadInput) as refused:
        library.approve("refund-times", by=by, today=TODAY, **WHY)
    assert refused.value.code == "own_article"
    assert usable(library) == []


def test_somebody_else_approves_and_it_is_kept_who_when_why(
    library: Library, tmp_path: Path
) -> None:
    """The history names each decision."""
    write(tmp_path / "in")
    bring(library, tmp_path / "in")
    library.approve("refund-times", by="Li Wei", today=TODAY, **WHY)
    assert usable(library) == [("refund-times", 1)]
    imported, approved = library.events("refund-times")
    assert (imported.event, imported.by) == ("imported", "Sam Import")
    assert (approved.event, approved.by, approved.why) == ("approved", "Li Wei", WHY["why"])
    assert approved.at > 1_700_000_000


@pytest.mark.parametrize(("by", "why"), [("", "checked"), ("  ", "checked"), ("Li Wei", " ")])
def test_a_decision_has_a_name_and_a_reason(
    library: Library, tmp_path: Path, by: str, why: str
) -> None:
    """Nobody decides without saying who and why."""
    write(tmp_path / "in")
    bring(library, tmp_path / "in")
    with pytest.raises(BadInput):
        library.approve("refund-times", by=by, why=why, today=TODAY)


def test_import_may_approve_in_the_name_of_somebody_else(library: Library, tmp_path: Path) -> None:
    """A first filling in one go: only what says approved, and never its approver's own."""
    write(tmp_path / "in", "a.md", id="one", owner="Ana Ruiz")
    write(tmp_path / "in", "b.md", id="two", owner="Li Wei")
    write(tmp_path / "in", "c.md", id="three", status="draft")
    write(tmp_path / "in", "d.md", id="four", reviewed_until="2026-11-23")
    done = bring(library, tmp_path / "in", approved_by="Li Wei")
    assert usable(library) == [("one", 1)]
    assert sorted(str(fault).partition(": ")[2].partition(":")[0] for fault in done.faults) == [
        "four version 1 was to be reviewed until 2026-11-23; review it and import a new version",
        "two",
    ]


def test_a_new_version_takes_over_once_it_is_approved(library: Library, tmp_path: Path) -> None:
    """Until then the old one answers; afterwards it is superseded, not gone."""
    write(tmp_path / "in")
    bring(library, tmp_path / "in", approved_by="Li Wei")
    write(tmp_path / "in", body="Three working days.", version=2)
    bring(library, tmp_path / "in")
    assert usable(library) == [("refund-times", 1)]
    library.approve("refund-times", by="Li Wei", today=TODAY, **WHY)
    assert usable(library) == [("refund-times", 2)]
    assert [entry.state for entry in library.entries("refund-times")] == ["superseded", "approved"]


def test_a_version_is_never_edited(library: Library, tmp_path: Path) -> None:
    """Another text under a kept version, or an older version, is named by line and refused."""
    path = write(tmp_path / "in", version=3)
    bring(library, tmp_path / "in")
    write(tmp_path / "in", version=3, body="Other words.")
    (fault,) = bring(library, tmp_path / "in").faults
    assert str(fault).startswith(f"{path}:8: version 3 is kept with other content")
    write(tmp_path / "in", version=2)
    (fault,) = bring(library, tmp_path / "in").faults
    assert "go beyond it" in fault.message


def test_an_approval_can_be_taken_back(library: Library, tmp_path: Path) -> None:
    """The version before answers again, and both decisions stay in the history."""
    write(tmp_path / "in")
    bring(library, tmp_path / "in", approved_by="Li Wei")
    write(tmp_path / "in", body="Three working days.", version=2)
    bring(library, tmp_path / "in", approved_by="Li Wei")
    library.undo("refund-times", by="Kim", why="the price list was old")
    assert usable(library) == [("refund-times", 1)]
    library.undo("refund-times", by="Kim", why="that one as well")
    assert usable(library) == []
    with pytest.raises(BadInput):
        library.undo("refund-times", by="Kim", why="nothing is left")
    events = [event.event for event in library.events("refund-times")]
    assert events == ["imported", "approved", "imported", "approved", "undone", "undone"]


def test_a_retired_article_is_gone_at_once_and_can_come_back(
    library: Library, tmp_path: Path
) -> None:
    """Also for a call whose plan had it: what was found to be wrong is not sent."""
    write(tmp_path / "in")
    bring(library, tmp_path / "in", approved_by="Li Wei")
    members = usable(library)
    library.retire("refund-times", by="Ana Ruiz", why="untrue since today")
    assert usable(library) == []
    assert library.pinned(members, TODAY) == ()
    library.undo("refund-times", by="Ana Ruiz", why="true after all")
    assert usable(library) == members


def test_a_plan_keeps_its_versions(library: Library, tmp_path: Path) -> None:
    """A call that was started before a new version was approved ends with the old one."""
    write(tmp_path / "in")
    bring(library, tmp_path / "in", approved_by="Li Wei")
    members = usable(library)
    write(tmp_path / "in", body="Three working days.", version=2)
    bring(library, tmp_path / "in", approved_by="Li Wei")
    assert [article.version for article in library.pinned(members, TODAY)] == [1]


def test_an_article_is_usable_up_to_its_last_day(library: Library, tmp_path: Path) -> None:
    """And not a day longer, nor can it be approved then."""
    write(tmp_path / "in")
    bring(library, tmp_path / "in", approved_by="Li Wei")
    last = date(2027, 3, 31)
    assert usable(library, last) == [("refund-times", 1)]
    assert usable(library, last + timedelta(days=1)) == []
    write(tmp_path / "late", version=2, reviewed_until="2026-11-23")
    bring(library, tmp_path / "late")
    with pytest.raises(BadInput) as refused:
        library.approve("refund-times", by="Li Wei", today=TODAY, **WHY)
    assert refused.value.code == "article_expired"


def test_two_people_cannot_approve_the_same_version(library: Library, tmp_path: Path) -> None:
    """Of several at once one decides; the others are told."""
    write(tmp_path / "in")
    bring(library, tmp_path / "in")
    refused: list[str] = []

    def approve(by: str) -> None:
        try:
            library.approve("refund-times", by=by, today=TODAY, **WHY)
        except BadInput as error:
            refused.append(error.code)

    threads = [threading.Thread(target=approve, args=(f"Person {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["article_state"] * 3
    assert sum(event.event == "approved" for event in library.events("refund-times")) == 1


def test_marks_are_counted_and_leave_with_their_call(library: Library, tmp_path: Path) -> None:
    """Erasing a call takes what was said of it here, and nothing of another call."""
    write(tmp_path / "in")
    bring(library, tmp_path / "in", approved_by="Li Wei")
    library.mark("refund-times", "useful", by="Sam", call="call-1")
    library.mark("refund-times", "wrong", by="Sam", call="call-2")
    library.mark("refund-times", "useful", by="Sam")
    library.note_draft_edit("call-1", "abc", characters=0.2, words=0.3, by="Sam")
    library.note_draft_edit("call-2", "def", characters=0.0, words=0.0, by="Sam")
    assert library.marks() == {"refund-times": {"useful": 2, "wrong": 1}}
    assert library.forget_call("call-1") == 2
    assert library.forget_call("call-1") == 0
    assert library.marks() == {"refund-times": {"useful": 1, "wrong": 1}}
    assert library.draft_edits() == [("call-2", 0.0, 0.0)]


def test_an_unknown_article_is_named(library: Library) -> None:
    """A slip of the pen is no crash."""
    with pytest.raises(BadInput) as refused:
        library.mark("refund-tmies", "useful", by="Sam")
    assert refused.value.code == "unknown_article"


def test_vectors_of_two_models_stay_apart(library: Library) -> None:
    """Each comes back exactly, under its own model; damaged ones are refused."""
    vectors = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    library.keep_vectors("abc", "one 8", vectors)
    library.keep_vectors("abc", "two 4", vectors[:, :4])
    kept = library.vectors("abc", "one 8")
    assert kept is not None
    assert np.array_equal(kept, vectors)
    assert library.vectors("abc", "three") is None
    with library._database.begin() as db:
        db.execute(
            article_vectors.update()
            .where(article_vectors.c.made_by == "one 8")
            .values(vectors=b"\x01\x02")
        )
    with pytest.raises(Misconfigured) as refused:
        library.vectors("abc", "one 8")
    assert refused.value.code == "embedding_mismatch"
    assert library.drop_vectors() == 2


def test_edit_distance_is_levenshtein() -> None:
    """The bit-parallel way counts what the textbook's matrix counts."""
    draw = np.random.default_rng(1)
    for _ in range(300):
        a, b = ("".join(draw.choice(list("abc"), draw.integers(0, 12))) for _ in range(2))
        row = list(range(len(b) + 1))
        for at, letter in enumerate(a, 1):
            left = [at]
            for place, other in enumerate(b, 1):
                left.append(min(row[place] + 1, left[-1] + 1, row[place - 1] + (letter != other)))
            row = left
        assert levenshtein(a, b) == row[-1]


def test_how_much_a_draft_was_changed() -> None:
    """Nothing for another line break, all for a new letter, and words apart from letters."""
    assert draft_edit_distance("Hello,\n\nThank you.", "Hello,\n \nThank you.  \n").characters == 0
    assert draft_edit_distance("", "").words == 0
    assert draft_edit_distance("", "Dear customer").words == 1
    changed = draft_edit_distance("we call you on friday", "we call you on monday")
    assert changed.words == 0.2
    assert 0 < changed.characters < 0.2
