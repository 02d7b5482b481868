"""Beside a spoken number: speech that no word accounts for goes with it, and no word does."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from test_windows import FINDINGS, TURNS, found, said

from redaction.edges import beside_numbers
from redaction.records import Turn, Word

TURN = said("customer", "it is four one one and that is all", 1.0)  # 0.4 s a word, 0.32 spoken
SPEECH = [[(0.5, 8.0)]]


def test_a_digit_missed_at_either_end_is_muted_with_the_number() -> None:
    """From the word before to the word behind, however short the gap."""
    number = found("PHONE", 0, 2, 5)
    assert beside_numbers([TURN], [number], SPEECH, 1) == ((1.72, 1.8), (2.92, 3.0))
    gone = Turn("customer", (*TURN.words[:2], *TURN.words[3:4], *TURN.words[5:]))
    made = beside_numbers([gone], [found("PHONE", 0, 2, 3)], SPEECH, 1)
    assert [(round(a, 2), round(b, 2)) for a, b in made] == [(1.72, 2.2), (2.52, 3.0)]


def test_speech_before_the_first_word_and_behind_the_last_is_muted() -> None:
    """Where no word stands beside the number, its side goes to where the speech ends."""
    alone = said("customer", "four one one", 1.0)
    assert beside_numbers([alone], [found("PHONE", 0, 0, 3)], [[(0.5, 3.0)]], 1) == (
        (0.5, 1.0), (2.12, 3.0),
    )  # fmt: skip
    assert beside_numbers([alone], [found("PHONE", 0, 0, 3)], [[(5.0, 6.0)]], 1) == ()
    assert beside_numbers([alone], [found("PHONE", 0, 0, 3)], [], 1) == ()


def test_only_numbers_reach_beyond_their_words() -> None:
    """A name's neighbours were heard, so nothing beside it is likely to be a piece of it."""
    assert beside_numbers([TURN], [found("PERSON", 0, 2, 5)], SPEECH, 1) == ()


def test_only_words_of_the_same_channel_count() -> None:
    """Somebody talking on the other side does not vouch for what is said on this one."""
    other = said("agent", "yes okay", 2.2, channel=1)
    alone = Turn("customer", (TURN.words[2],))
    made = beside_numbers([alone, other], [found("PHONE", 0, 0, 1)], SPEECH, 2)
    assert made == ((0.5, 1.8), (2.12, 6.12))
    assert beside_numbers([alone, other], [found("PHONE", 0, 0, 1)], SPEECH, 1)[1] == (2.12, 2.2)


def test_words_that_the_engine_doubts_and_digits_do_not_stop_it() -> None:
    """`by warm there are two [to eight to zero]`: the number began four digits earlier."""
    words = [
        Word(text, 1.0 + 0.5 * at, 1.4 + 0.5 * at, sure)
        for at, (text, sure) in enumerate(
            [("account", 0.9), ("is", 0.2), ("by", 0.3), ("warm", 0.0), ("two", 0.9), ("to", 0.7),
             ("eight", 0.9), ("zero", 0.9), ("and", 0.9), ("I", 0.9)]
        )
    ]  # fmt: skip
    turn = Turn("customer", tuple(words))
    ((start, end), (again, last)) = beside_numbers(
        [turn], [found("PHONE", 0, 6, 8)], [[(0.0, 60.0)]], 1
    )
    assert (start, end) == (1.4, 4.0)
    assert (round(again, 2), last) == (4.9, 5.0)


def test_a_transcript_of_doubts_is_not_muted_without_end() -> None:
    """Where no word is certain, four seconds to either side are enough for what may be missed."""
    words = tuple(Word("well", float(at), at + 0.5, 0.1) for at in range(40))
    made = beside_numbers(
        [Turn("customer", words)], [found("PHONE", 0, 20, 22)], [[(0.0, 40.0)]], 1
    )
    assert made == ((16.0, 20.0), (21.5, 25.5))


@given(TURNS, FINDINGS, st.integers(0, 2))
@settings(max_examples=200, deadline=None)
def test_any_times_give_spans_that_can_be_muted(
    turns: list[Turn], findings: list, channels: int
) -> None:
    """Missing, reversed, NaN and overlapping times give nothing, or ordered finite spans."""
    active = [[(0.0, 20.0), (30.0, 60.0)], [(5.0, 50.0)]]
    for start, end in beside_numbers(turns, findings, active, channels):
        assert 0.0 <= start < end <= 60.0


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 2)), max_size=12))
@settings(max_examples=200, deadline=None)
def test_no_word_is_crossed(places: list[tuple[float, float]]) -> None:
    """What is muted beside a number holds no whole word, however words overlap."""
    others = tuple(Word("well", start, start + length) for start, length in places)
    turn = Turn("customer", (Word("four", 4.0, 5.0), *others))
    for start, end in beside_numbers([turn], [found("PIN", 0, 0, 1)], [[(0.0, 20.0)]], 1):
        assert math.isfinite(start + end)
        assert not any(start < a < b < end for a, b in ((w.start, w.end) for w in others))
