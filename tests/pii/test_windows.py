"""Mute windows: every finding is covered, whatever is wrong with its times."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redaction.asked import open_intervals, questions, unanswered
from redaction.records import Finding, Turn, Window, Word
from redaction.windows import (
    MERGE_GAP,
    PAD,
    WIDE_PAD,
    merge,
    uncovered,
    unheard,
    unplaced,
    windows,
)

TIMES = st.one_of(
    st.none(),
    st.floats(-5, 70),
    st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e300]),
)
WORDS = st.builds(Word, st.just("w"), TIMES, TIMES, st.one_of(st.none(), st.floats(0, 1)))
TURNS = st.lists(
    st.builds(
        Turn,
        st.sampled_from(["agent", "customer"]),
        st.lists(WORDS, max_size=6).map(tuple),
        st.integers(0, 3),
    ),
    max_size=6,
)
LABELS = st.sampled_from(["PERSON", "CARD_NUMBER", "PHONE", "CARD_CVV", "ADDRESS", "CUSTOM"])
FINDINGS = st.lists(
    st.builds(
        Finding, LABELS, st.integers(-1, 7), st.integers(-2, 7), st.integers(-2, 8),
        st.just(0.9), st.just("d"), st.just("r"), st.just(""), TIMES, TIMES, st.integers(0, 2),
    ),
    max_size=6,
)  # fmt: skip


def said(speaker: str, text: str, start: float, step: float = 0.4, *, channel: int = 0) -> Turn:
    words = [
        Word(word, start + step * at, start + step * at + 0.8 * step, 0.9)
        for at, word in enumerate(text.split())
    ]
    return Turn(speaker, tuple(words), channel)


def found(label: str, turn: int, first: int, last: int, group: int = 0) -> Finding:
    return Finding(label, turn, first, last, 0.9, "numbers", "rule", "", group=group)


def muted(made: tuple[Window, ...], start: float, end: float, channel: int) -> bool:
    return any(
        w.start <= start and end <= w.end and (not w.channels or channel in w.channels)
        for w in made
    )


@given(TURNS, FINDINGS, st.sampled_from([0.0, 3.0, 60.0]), st.integers(0, 3), st.booleans())
@settings(max_examples=400, deadline=None)
def test_every_finding_is_covered(
    turns: list[Turn], findings: list[Finding], duration: float, channels: int, loud: bool
) -> None:
    """Findings with missing, reversed, NaN or impossible times and places are all muted."""
    made = windows(turns, findings, duration, channels, separate=not loud)
    assert uncovered(turns, findings, made, duration, channels, separate=not loud) == 0
    for finding in findings:
        known = [
            word
            for word in (turns[finding.turn].words if 0 <= finding.turn < len(turns) else ())[
                max(0, finding.first) : max(0, finding.last)
            ]
            if word.start is not None and word.end is not None and 0 <= word.start <= word.end
            and word.end < 1e7
        ]  # fmt: skip
        channel = turns[finding.turn].channel if known else 0
        for word in known:
            start, end = word.start or 0.0, word.end or 0.0
            if duration and start >= duration:
                continue  # past the end there is nothing to hear
            if duration:
                end = min(end, duration)
            assert channel >= max(channels, 1) or muted(made, start, end, channel)


@given(TURNS, FINDINGS, st.sampled_from([0.0, 3.0, 60.0]), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_windows_are_sorted_finite_apart_and_inside_the_call(
    turns: list[Turn], findings: list[Finding], duration: float, channels: int
) -> None:
    """What comes out can be cut: in order, positive, finite, within the call, and merged."""
    made = windows(turns, findings, duration, channels, separate=True)
    assert list(made) == sorted(made, key=lambda w: (w.start, w.end))
    for window in made:
        assert 0 <= window.start < window.end < math.inf
        assert not duration or window.end <= duration
        assert all(0 <= channel < channels for channel in window.channels)
    for channel in range(max(1, channels)):
        own = [w for w in made if not w.channels or channel in w.channels]
        assert all(b.start - a.end >= MERGE_GAP for a, b in pairwise(own))


@given(TURNS, FINDINGS, st.integers(1, 2))
@settings(max_examples=100, deadline=None)
def test_windows_are_deterministic_and_only_grow_with_findings(
    turns: list[Turn], findings: list[Finding], channels: int
) -> None:
    """One more finding never uncovers what was covered before."""
    whole = windows(turns, findings, 60.0, channels, separate=True)
    assert whole == windows(turns, findings, 60.0, channels, separate=True)
    for window in windows(turns, findings[:-1], 60.0, channels, separate=True):
        for channel in window.channels or range(channels):
            assert muted(whole, window.start, window.end, channel)


def test_padding_is_wider_for_card_data_and_for_doubtful_words() -> None:
    """A quarter second for a name, half for a card number or a word below half confidence."""
    turn = said("customer", "my name is ann lee and so on and on", 10.0)
    name = windows([turn], [found("PERSON", 0, 3, 5)], 60, 2, separate=True)
    assert name == (Window(11.2 - PAD, 11.92 + PAD, (0,), "finding"),)
    card = windows([turn], [found("CARD_NUMBER", 0, 3, 5)], 60, 2, separate=True)
    assert card == (Window(11.2 - WIDE_PAD, 11.92 + WIDE_PAD, (), "finding"),)
    doubt = Turn("customer", (*turn.words[:3], Word("ann", 11.2, 11.5, 0.2), *turn.words[4:]))
    wide = windows([doubt], [found("PERSON", 0, 3, 5)], 60, 2, separate=True)
    assert wide[0].start == pytest.approx(11.2 - WIDE_PAD)


def test_bleed_mutes_both_sides() -> None:
    """Where one side is heard on the other, or nobody measured it, every channel is muted."""
    turns, findings = [said("customer", "ann lee", 1.0, channel=1)], [found("PERSON", 0, 0, 2)]
    assert windows(turns, findings, 60, 2, separate=True)[0].channels == (1,)
    assert windows(turns, findings, 60, 2)[0].channels == ()


def test_a_finding_without_a_time_mutes_its_whole_turn() -> None:
    """One word without a time: from the turn's first to its last known or neighbouring time."""
    words = (Word("I'm", 5.0, 5.2), Word("ann", None, None), Word("lee", 6.0, 6.3))
    turns = [said("agent", "who is it please", 1.0), Turn("customer", words)]
    made = windows(turns, [found("PERSON", 1, 1, 2)], 60, 1)
    assert made == (Window(5.0 - WIDE_PAD, 6.3 + WIDE_PAD, (), "span_without_time"),)
    assert unplaced(turns, [found("PERSON", 1, 1, 2)]) == 1
    nothing = Turn("customer", (Word("ann", None, None),))
    turns = [turns[0], nothing, said("agent", "thank you ann", 9.0)]
    start, end = windows(turns, [found("PERSON", 1, 0, 1)], 60, 1)[0].start, 9.0 + 1.12
    assert start <= 1.0
    assert windows(turns, [found("PERSON", 1, 0, 1)], 60, 1)[0].end >= end
    alone = windows([nothing], [found("PERSON", 0, 0, 1)], 60, 2, separate=True)
    assert (alone[0].start, alone[0].end) == (0.0, 60.0)


def test_a_finding_past_the_end_mutes_what_is_nearest() -> None:
    """Times behind the last sample, of the words or of the turn alone: the end of the call goes."""
    late = [said("customer", "ann lee", 4.0)]
    timed = windows(late, [found("PERSON", 0, 0, 2)], 3.0, 1)
    assert timed == (Window(3.0 - PAD, 3.0, (), "finding"),)
    untimed = windows(late, [found("PERSON", 0, 0, 0)], 3.0, 1)
    assert untimed == (Window(3.0 - WIDE_PAD, 3.0, (), "span_without_time"),)


def test_pieces_of_one_number_mute_what_lies_between() -> None:
    """Digits that nobody recognised between two groups of a number are muted too."""
    turns = [said("customer", "five five five", 1.0), said("customer", "one two three four", 6.0)]
    pieces = [found("PHONE", 0, 0, 3, group=7), found("PHONE", 1, 0, 4, group=7)]
    made = windows(turns, pieces, 60, 2, separate=True)
    assert len(made) == 1
    assert made[0].reason == "open_question"
    apart = [found("PHONE", 0, 0, 3), found("PHONE", 1, 0, 4)]
    assert len(windows(turns, apart, 60, 2, separate=True)) == 2


def test_speech_without_words_is_muted() -> None:
    """Active stretches that became no word were not checked, so they are not heard either."""
    words = [Word("a", 1.0, 1.3), Word("b", 1.5, 1.8), Word("swallowed", 4.0, 9.0)]
    assert unheard([(0.9, 3.0), (3.9, 9.1)], words) == (
        (pytest.approx(1.9), 3.0), (pytest.approx(5.6), 9.1)
    )  # fmt: skip
    assert unheard([(2.0, 2.5)], []) == ()
    turns = [said("customer", "a b", 1.0, channel=1)]
    made = windows(turns, [], 60, 2, separate=True, active=[[(20.0, 25.0)], [(0.9, 2.0)]])
    assert made == (Window(20.0, 25.0, (0,), "unheard_speech"),)


def test_merging_joins_near_windows_and_keeps_the_graver_reason() -> None:
    """Gaps under 0.4 s close; the reason that a reader must know about survives."""
    made = merge(
        [Window(1, 2, (0,), "finding"), Window(2.3, 3, (0, 1), "span_without_time")], 10, 2
    )
    assert made == (Window(1, 3, (0,), "span_without_time"),
                    Window(2.3, 3, (1,), "span_without_time"))  # fmt: skip


CARD_CALL = [
    said("agent", "can I take the long card number please", 0.0, channel=0),
    said("customer", "four one one one uh", 5.0, channel=1),
    said("agent", "mm hm", 8.0, channel=0),
    said("customer", "one one one one", 9.0, channel=1),
    said("agent", "thank you that has gone through now", 20.0, channel=0),
]


def test_an_open_card_question_is_muted_until_it_is_acknowledged() -> None:
    """Everything between the question for a card number and what follows it goes, on both sides."""
    asked = questions(CARD_CALL, [found("CARD_NUMBER", 1, 0, 4)])
    assert [(q.label, q.turn, q.until, q.answered) for q in asked] == [("CARD_NUMBER", 0, 4, True)]
    held = open_intervals(asked)
    assert held == ((pytest.approx(3.12), 20.0),)
    made = windows(CARD_CALL, [], 60, 2, separate=True, held=held)
    assert made == (Window(held[0][0], 20.0, (), "open_question"),)


def test_a_number_that_was_asked_for_and_not_recognised_is_noticed() -> None:
    """Speech in the answer and no number found: suspicious; a stalling answer is not."""
    active = [[(0.0, 3.0)], [(5.0, 8.0), (9.0, 11.0)]]
    asked = questions(CARD_CALL, [])
    assert len(unanswered(asked, CARD_CALL, active)) == 1
    assert unanswered(asked, CARD_CALL, [[(0.0, 3.0)], []]) == ()
    stalling = [CARD_CALL[0], said("customer", "hold on I can't find it", 5.0, channel=1)]
    assert unanswered(questions(stalling, []), stalling, active) == ()


@given(TURNS, FINDINGS)
@settings(max_examples=50, deadline=None)
def test_questions_never_fail(turns: list[Turn], findings: list[Finding]) -> None:
    """Any turns, any findings: questions have finite ordered intervals."""
    asking = Turn("agent", tuple(Word(w, None, None) for w in ["what", "is", "your", "pin"]))
    for question in questions([asking, *turns], findings):
        assert 0 <= question.start <= question.end < math.inf


@pytest.mark.parametrize(
    "text",
    [
        "please call me back on friday and tell me what they said",
        "but I need my phone and I live on my own",
        "please write that there is no refund on your account",
        "what would you like to order today",
    ],
)
def test_talk_about_telephones_and_accounts_asks_for_no_number(text: str) -> None:
    """Only a question that names a number, code or card opens an answer that may be muted."""
    assert questions([said("agent", text, 0.0), said("customer", "well all right", 9.0)], []) == ()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("can I have your card number please", "CARD_NUMBER"),
        ("and the three digits on the back please", "CARD_CVV"),
        ("could you give me the last four digits of your social security number", "SSN"),
        ("what is your pin", "PIN"),
        ("what's the best phone number for you", "PHONE"),
    ],
)
def test_questions_for_numbers_are_heard(text: str, label: str) -> None:
    """The usual ways to ask for a number are recognised, by either side."""
    for speaker in ("agent", "customer"):
        asked = questions([said(speaker, text, 0.0)], [])
        assert label in [question.label for question in asked]
