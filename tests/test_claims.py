"""Verification: no claim survives whose words, numbers or promises are not in its turns."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from calls import transcript
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_pipeline.claims import fault, verify
from voice_pipeline.domain import (
    CallOutcome,
    CaseNote,
    Claim,
    Commitment,
    Concern,
    Evidence,
    RequestType,
)
from voice_pipeline.spoken.support import asks, modes, promises, unsaid

SAID = transcript(
    [
        "agent: hello how can i help",
        "customer: my code is a b one two and i paid forty dollars on the tenth of may",
        "agent: i will refund forty dollars by friday",
        "agent: i can not promise a refund of ninety dollars",
        "agent: shall i send you a form",
        "agent: i will call you back if the driver finds it",
        "customer: i will send the form tomorrow",
    ]
)
TURNS = {turn.turn: turn for turn in SAID.turns}
EMPTY = CaseNote(
    "call", "done", RequestType("other", 0.0, "human"), "normal", None, (), (), (), (),
    CallOutcome("unclear", ()), (), (), {}, {},
)  # fmt: skip


def promise(turn: int, *, who: str = "agent", what: str = "", due: str = "") -> Commitment:
    quote = TURNS[turn].text
    return Commitment(f"{who.title()}: {quote}", (Evidence(turn, quote),), who, what, None, due)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (promise(2, what="refund forty dollars", due="by friday"), None),
        (promise(6, who="customer", what="send the form", due="tomorrow"), None),
        (promise(2, who="customer"), "speaker"),
        (promise(6), "speaker"),
        (promise(2, who="manager"), "speaker"),
        (promise(2, due="by monday"), "due"),
        (promise(2, what="refund ninety dollars"), "number"),
        (promise(3), "no_promise"),
        (promise(4), "no_promise"),
        (promise(0), "no_promise"),
    ],
)
def test_a_commitment_is_a_promise_of_the_one_who_spoke_it(
    made: Commitment, why: str | None
) -> None:
    """Who, what and when must stand in the cited turn, and the sentence must bind its speaker."""
    assert fault(made, TURNS, (made.who,)) == why


@pytest.mark.parametrize(
    ("text", "turn", "why"),
    [
        ("The code is ab12", 1, None),
        ("The code is ab13", 1, "reference"),
        ("Paid on the 10th of may", 1, None),
        ("Paid on the eleventh of may", 1, "date"),
        ("Paid on the tenth of june", 1, "date"),
        ("Paid $40", 1, None),
        ("Paid $41", 1, "number"),
        ("Paid by Bob", 1, "name"),
    ],
)
def test_values_are_compared_as_values(text: str, turn: int, why: str | None) -> None:
    """`ab12` is `a b one two`, `10th` is `tenth`, `$40` is `forty dollars`; near is not enough."""
    quote = TURNS[turn].text
    claim = Claim(text, (Evidence(turn, quote),))
    assert fault(claim, TURNS) == why


def test_a_quote_of_both_sides_is_no_statement_of_one() -> None:
    """Words of the customer do not become the agent's because an agent's turn is cited beside."""
    both = (Evidence(1, TURNS[1].text), Evidence(2, TURNS[2].text))
    assert fault(Claim("Agent paid forty dollars", both), TURNS, ("agent",)) == "speaker"


def test_failures_keep_their_reason_and_lower_the_share() -> None:
    """A reader sees why a claim is not verified; operations see how many are not."""
    good = Claim("Agent: hello", (Evidence(0, "hello how can i help"),))
    bad = Claim("Paid $41", (Evidence(1, TURNS[1].text),))
    concern = Concern("fraud", (Evidence(1, "never said"),))
    note = verify(replace(EMPTY, facts=(good, good, good, bad), concerns=(concern,)), SAID)
    assert [(claim.text, claim.why) for claim in note.unverified] == [("Paid $41", "number")]
    assert note.measures["verified_share"] == 0.75
    assert note.concerns == ()
    assert "verified_share" not in verify(EMPTY, SAID).measures


WORDS = st.sampled_from(
    "i will not refund forty ninety dollars friday monday tenth may the parcel 40 $90 ab12 a b one "
    "two [PERSON] Sarah promise if can you a".split()
)
LINES = st.lists(st.lists(WORDS, min_size=1, max_size=8), min_size=1, max_size=4)


@settings(max_examples=300, deadline=None)
@given(LINES, st.lists(WORDS, max_size=8), st.integers(0, 4), st.lists(WORDS, max_size=6))
def test_nothing_survives_that_was_not_said(
    lines: list[list[str]], claimed: list[str], turn: int, quoted: list[str]
) -> None:
    """Of any claim about any call: its quote stands in its turn, and so do its numbers."""
    said = transcript([f"agent: {' '.join(words)}" for words in lines])
    claim = Claim(" ".join(claimed), (Evidence(turn, " ".join(quoted)),))
    checked = verify(replace(EMPTY, facts=(claim,)), said)
    for kept in checked.facts:
        whole = f" {_plain(said.turns[turn].text)} "
        assert f" {_plain(' '.join(quoted))} " in whole
        for word, same in (("ninety", "90"), ("forty", "40"), ("friday", ""), ("monday", "")):
            if re.search(rf"\b{word}\b", kept.text):
                assert word in whole or (same and same in whole)
    assert len(checked.facts) + len(checked.unverified) == 1


def _plain(text: str) -> str:
    return re.sub(r"[^\w ]", "", text.lower())


def test_a_sentence_says_only_what_was_said() -> None:
    """Forms of a word count as the word, grammar is free, a synonym is not."""
    said = ["i was charged twice and i have cancelled the order"]
    assert unsaid("The customer was charged twice and cancels the orders", said) == []
    assert unsaid("Customer withdrew the order", said) == ["withdrew"]
    assert modes("i will call if it comes") == {"will", "if"}
    assert modes("i called") == frozenset()


@pytest.mark.parametrize(
    ("text", "binds"),
    [
        ("i will call you", True),
        ("we're going to refund that", True),
        ("i can not promise that", False),
        ("i can send a form", True),
        ("if it comes back i will refund it", False),
        ("i do not promise anything", False),
        ("i called you", False),
        ("no. i will call you", True),
    ],
)
def test_what_binds_is_told_from_what_does_not(text: str, binds: bool) -> None:
    """A negated or conditional promise is none."""
    assert promises(text) is binds


def test_questions_are_known_without_their_mark() -> None:
    """Recognizers leave it out."""
    assert asks("shall i send you a form")
    assert asks("okay and when will it come")
    assert not asks("i will send it.")
