"""What counts as a promise, and what becomes of one that is taken back."""

from __future__ import annotations

import pytest
from calls import transcript
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.analysts.offline import OfflineAnalyst
from voice_pipeline.claims import fault
from voice_pipeline.domain import CaseNote, Claim, Commitment, Evidence
from voice_pipeline.policy.load import load_pack
from voice_pipeline.spoken.conversation import Conversation
from voice_pipeline.spoken.phrases import parse
from voice_pipeline.spoken.support import promises, reports
from voice_pipeline.stages.review import note_for

ASKED = ["agent: hello how can i help", "customer: i want my hundred pounds back for the kettle"]


def analysed(*lines: str) -> CaseNote:
    call = transcript([*ASKED, *lines])
    return OfflineAnalyst(load_pack()).analyse(call, {"started_at": "2026-11-26"})


@pytest.mark.parametrize(
    "text",
    [
        "he wrote i will credit one hundred pounds",
        "my colleague told you we will refund you but that was wrong",
        "the leaflet says you will receive a refund within five days",
        "i never said we will refund you",
        "you said you will call me back",
        "maybe we will refund you",
        "i think they will send it on friday",
        "hopefully we will have it tomorrow",
        "you will get nothing from us",
        "you will hear no more from us",
    ],
)
def test_what_another_said_or_somebody_guesses_binds_nobody(text: str) -> None:
    """A note never shows the words of a colleague, a leaflet or a guess as a promise."""
    assert promises(text) is False
    assert analysed(f"agent: {text}", "customer: okay").commitments == ()


@pytest.mark.parametrize(
    "text",
    [
        "as i said i will call you back tomorrow",
        "that said we will refund you today",
        "i have told the depot and they will ring you tomorrow",
        "i will call you tomorrow and say what the depot wrote",
    ],
)
def test_who_speaks_for_himself_still_binds_himself(text: str) -> None:
    """Mentioning that something was said does not undo a promise."""
    assert promises(text) is True


WITHDRAWN = [
    ["agent: i will refund you the hundred pounds today", "customer: great",
     "agent: no wait i am so sorry i can not do that", "customer: oh"],
    ["agent: i will refund it today. actually no, i can not, sorry", "customer: oh"],
    ["agent: i will refund you today", "customer: good",
     "agent: oh sorry we can not refund that after a year", "customer: hm"],
    ["agent: i have refunded you today", "customer: good",
     "agent: sorry that did not go through", "customer: hm"],
]  # fmt: skip


@pytest.mark.parametrize("lines", WITHDRAWN)
def test_a_promise_taken_back_is_shown_as_taken_back_and_used_by_nothing(lines: list[str]) -> None:
    """It is no promise, no action, not on top, and the call does not count as settled."""
    note = analysed(*lines)
    assert note.commitments == () and note.actions == ()
    assert not any("today" in claim.text for claim in (*note.summary, *note.facts))
    assert "taken_back" in [claim.why for claim in note.unverified]
    assert note.outcome.value != "resolved"


@pytest.mark.parametrize(
    "after",
    [
        "sorry i can not say when exactly",
        "sorry i can not give you his number",
        "i am afraid i can not waive the fee",
        "sorry for the wait",
        "i will also call the shop",
    ],
)
def test_an_inability_about_something_else_takes_nothing_back(after: str) -> None:
    """Real promises stay: losing one is as bad as inventing one."""
    note = analysed(f"agent: i will call you back tomorrow. {after}", "customer: okay")
    assert "tomorrow" in [promise.due_text for promise in note.commitments]


def test_the_last_time_that_was_named_for_a_promise_counts() -> None:
    """Made anew for another time, in the next sentence or in the same one."""
    moved = analysed(
        "agent: i will call you back tomorrow. actually we are closed tomorrow, "
        "i will call you back on monday",
        "customer: okay",
    )
    assert [str(promise.due) for promise in moved.commitments] == ["2026-11-30"]
    assert moved.actions == ()
    put_right = analysed(
        "agent: it will be there by the twenty first, no sorry, by the thirtieth", "customer: okay"
    )
    assert [str(promise.due) for promise in put_right.commitments] == ["2026-11-30"]
    unread = analysed(
        "agent: i will send it by the twenty first, no sorry the other one", "customer: okay"
    )
    assert [promise.due for promise in unread.commitments] == [None]


def test_a_model_cannot_bring_back_what_was_taken_back() -> None:
    """Every analyst's statements pass the same check."""
    call = transcript([*ASKED, *WITHDRAWN[0]])
    turns = {turn.turn: turn for turn in call.turns}
    quote = Evidence(2, "i will refund you the hundred pounds today")
    what = "refund the hundred pounds"
    promise = Commitment(f"Agent: {quote.quote}", (quote,), "agent", what, None, "today")
    assert fault(promise, turns, ("agent",)) == "taken_back"
    assert fault(Claim("Agent: will refund the hundred pounds", (quote,)), turns) == "taken_back"


def test_what_excuses_a_phrase_must_be_said_to_the_letter() -> None:
    """A word one letter off must not hide a flag."""
    call = Conversation(transcript(["customer: the fitting is smouldring"]))
    assert call.find(parse("smouldering")) and not call.find(parse("smouldering"), exact=True)


@pytest.mark.parametrize(
    "said",
    [
        "the water comes through the light and it is sparking",
        "i will jump off a bridge if this comes again only joking",
        "i am thinking of ending things",
        "my baby has turned blue",
        "he is outside with a knife",
    ],
)
def test_danger_is_heard(said: str) -> None:
    """Whatever else the call is about, somebody is told at once."""
    pack = load_pack()
    call = transcript(["agent: hello how can i help", f"customer: {said}"])
    note = note_for(call, {}, OfflineAnalyst(pack), pack)
    assert "safety_of_life" in {flag.category for flag in note.escalations}


def test_reported_words_are_known_as_such() -> None:
    """A model's sentence may not drop that somebody else said it."""
    assert reports("he wrote i will credit it") and not reports("i said i will credit it")


@given(st.text(alphabet="abcdeghiklmnorstuwy ", max_size=60), st.text(max_size=30))
def test_no_words_make_the_check_fail(said: str, after: str) -> None:
    """Whatever is said, a promise either stands or is shown as taken back."""
    note = analysed(f"agent: i will call you back tomorrow {said}. {after}", "customer: okay")
    texts = [claim.text for claim in (*note.commitments, *note.unverified, *note.facts)]
    assert len(note.commitments) <= 2 and all(isinstance(text, str) for text in texts)
