"""Digits that a recognizer tore off a number go with it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redaction import Turn, Word
from redaction.asked import Question
from redaction.records import Finding
from redaction.widen import DIGITS, SOUND_ALIKE, answers, widen


def turn(text: str) -> Turn:
    return Turn("agent", tuple(Word(w, i / 2, i / 2 + 0.4) for i, w in enumerate(text.split())))


def number(first: int, last: int, label: str = "ACCOUNT_NUMBER") -> Finding:
    return Finding(label, 0, first, last, 0.9, "numbers", "x", "", first / 2, last / 2 - 0.1)


@pytest.mark.parametrize(
    ("text", "found", "grown"),
    [
        ("seven three six one nine five page three and what", (0, 6), (0, 8)),
        ("it is for one one one", (3, 6), (2, 6)),
        ("nine blah seven three six", (2, 5), (0, 5)),
        ("it is one two three thank you", (2, 5), (2, 5)),
        ("one two three in ten days", (0, 3), (0, 3)),
        ("one two three yes that is two payments", (0, 3), (0, 3)),
    ],
)
def test_a_number_grows(text: str, found: tuple[int, int], grown: tuple[int, int]) -> None:
    """One misheard word is bridged, a sound-alike in front taken; units and more words end it."""
    (after,) = widen([turn(text)], [number(*found)])
    assert (after.first, after.last) == grown
    assert after.start == grown[0] / 2


def test_other_labels_stay() -> None:
    """A name does not grow over digits."""
    finding = number(0, 1, "PERSON")
    assert widen([turn("alice two three")], [finding]) == (finding,)


def test_a_mangled_answer_is_found() -> None:
    """Digits that answer a question for a number go from the text as they go from the audio."""
    asking, answer = turn("what are the last four numbers of the card"), turn("for no five four")
    turns = [asking, Turn("customer", answer.words)]
    asked = Question("CARD_NUMBER", 0, 2, 4.0, 9.0, False)
    (found,) = answers(turns, [asked], [])
    assert (found.label, found.turn, found.first, found.last) == ("CARD_NUMBER", 1, 0, 4)
    assert found.start == 0.0
    assert answers([asking, turn("yes i will")], [asked], []) == ()


WORDS = st.sampled_from([*sorted(DIGITS), *sorted(SOUND_ALIKE), "yes", "page", "days", "the"])


@given(words=st.lists(WORDS, min_size=3, max_size=30), data=st.data())
def test_findings_never_overlap_and_never_shrink(words: list[str], data: st.DataObject) -> None:
    """Whatever stands around: grown findings cover the old ones and stay apart."""
    cuts = data.draw(st.lists(st.integers(0, len(words)), min_size=2, max_size=6, unique=True))
    cuts.sort()
    before = [number(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    after = widen([turn(" ".join(words))], before)
    for old, new in zip(before, after, strict=True):
        assert new.first <= old.first
        assert new.last >= old.last
    for one, next_one in pairwise(after):
        assert one.last <= next_one.first
