"""Reading speech: words, phrases, numbers and dates as recognizers write them."""

from __future__ import annotations

from datetime import date

import pytest
from calls import transcript
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.spoken.conversation import Conversation
from voice_pipeline.spoken.dates import call_day, dues
from voice_pipeline.spoken.numbers import numbers
from voice_pipeline.spoken.phrases import Spoken, one_slip, parse
from voice_pipeline.spoken.words import tokens

TUESDAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("three hundred and twenty dollars", 320),
        ("$1,320.50", 1320.5),
        ("a hundred and five pounds and fifty pence", 105.5),
        ("one hundred and five pounds fifty", 105.5),
        ("twelve hundred bucks", 1200),
        ("forty nine ninety nine", 49.99),
        ("two fifty", 250),
        ("one thousand two hundred dollars", 1200),
        ("fifty cents", 0.5),
        ("three hundred um and twenty dollars", 320),
    ],
)
def test_amounts_are_read_as_people_say_them(said: str, value: float) -> None:
    """An amount in words is the same amount as in digits."""
    assert [number.value for number in numbers(tokens(said.split()))] == [value]


def test_a_pair_of_numbers_keeps_both_readings() -> None:
    """`two fifty` may be 250 or 2.50; whoever decides sees both."""
    (number,) = numbers(tokens(["two", "fifty"]))
    assert {number.value, number.other} == {250, 2.5}


@pytest.mark.parametrize(
    ("said", "digits"),
    [
        ("double four seven", ["447"]),
        ("six double two nine", ["6229"]),
        ("five double oh triple seven", ["500777"]),
        ("double four seven no double four eight", ["447", "448"]),
        ("double four twenty", []),
        ("double two pounds", []),
        ("a double room for two", []),
        ("charged double fifty pounds", []),
    ],
)
def test_doubled_digits_are_read_as_two(said: str, digits: list[str]) -> None:
    """`double four seven` is 447; a double charge or a double room is no number."""
    found = numbers(tokens(said.split()))
    assert [number.digits for number in found if number.digits] == digits


def test_single_digits_in_a_row_are_a_reference() -> None:
    """An order number is no amount."""
    (number,) = numbers(tokens("order four four nine one two".split()))
    assert (number.kind, number.digits) == ("reference", "44912")


@pytest.mark.parametrize(
    ("said", "on"),
    [
        ("by friday", date(2026, 11, 27)),
        ("within five days", date(2026, 11, 29)),
        ("within three to five business days", date(2026, 12, 1)),
        ("in twenty four hours", date(2026, 11, 25)),
        ("tomorrow morning", date(2026, 11, 25)),
        ("by the end of the week", date(2026, 11, 27)),
        ("by the fifteenth of march", date(2027, 3, 15)),
        ("on may 5th", date(2027, 5, 5)),
        ("in a couple of weeks", date(2026, 12, 8)),
        ("by next tuesday", date(2026, 12, 1)),
        ("today", TUESDAY),
    ],
)
def test_due_dates_are_worked_out_from_the_day_of_the_call(said: str, on: date) -> None:
    """What was promised `by friday` is due on a calendar day."""
    (due,) = dues(tokens(said.split()), TUESDAY)
    assert due.on == on
    assert (due.first, due.last) == (0, len(said.split()) - 1)


@pytest.mark.parametrize("said", ["on ²", "on the ³", "by ⁴ march", "²", "in ² days"])
def test_a_raised_digit_is_no_day(said: str) -> None:
    """`²` counts as a digit in Unicode and is no number that can be worked out."""
    assert dues(tokens(said.split()), TUESDAY) == dues(tokens(said.split()), None)


def test_a_time_of_day_belongs_to_the_due_text() -> None:
    """`tomorrow before noon` is one point in time."""
    said = tokens("i will call you back tomorrow before noon".split())
    (due,) = dues(said, None)
    assert [token.text for token in said[due.first :]] == ["tomorrow", "before", "noon"]
    assert due.on is None


@pytest.mark.parametrize("junk", ["", "yesterday", "24/11/2026", "2026-13-01"])
def test_a_start_that_is_no_date_gives_no_due_date(junk: str) -> None:
    """A wrong date would be worse than none."""
    assert call_day(junk) is None


def found(phrase: str, said: str) -> bool:
    return bool(Spoken([tokens(said.split())]).find(parse(phrase)))


@pytest.mark.parametrize(
    ("phrase", "said", "expected"),
    [
        ("not good enough", "it's just not good quite enough", True),
        ("not good enough", "not a very very good thing that was enough", False),
        ("cancel*", "i was cancelling", True),
        ("i have ordered", "i've ordered it", True),
        ("do not call", "don't call", True),
        ("hung_up on me", "he hung the phone up on me", False),
        ("take ... account", "take the money out of my account", True),
        ("complaint", "i want to make a compliant", True),
        ("homeless*", "that is hopeless", False),
        ("refund|money (my) back", "money back", True),
        ("a|twice_over", "twice over", True),
    ],
)
def test_phrases_match_what_recognizers_write(phrase: str, said: str, expected: bool) -> None:
    """One inserted word, a contraction or one wrong letter does not hide a phrase."""
    assert found(phrase, said) is expected


@pytest.mark.parametrize("wrong", ["", "(maybe)", "a||b", "pay*day", "(a b)", "..."])
def test_phrases_that_mean_nothing_are_refused(wrong: str) -> None:
    """A phrase that would match everything or nothing is an error, not a surprise."""
    with pytest.raises(ValueError):
        parse(wrong)


def test_a_nod_does_not_end_a_sentence() -> None:
    """A phrase is found across the other side's `mhm`."""
    call = Conversation(
        transcript(["customer: i would like to cancel", "agent: mhm", "customer: my subscription"])
    )
    (match,) = call.find(parse("cancel my subscription"), "customer")
    assert (match.first.turn, match.last.turn) == (0, 2)


def test_a_quote_never_cuts_a_number_in_two() -> None:
    """`eleven hundred dollars` is not quoted as `eleven`."""
    line = "customer: " + "so " * 29 + "eleven hundred dollars are gone"
    call = Conversation(transcript([line]))
    assert call.whole(0).quote.endswith("eleven hundred dollars")


words = st.lists(
    st.sampled_from(
        "i've two hundred dollars um [CARD_NUMBER] friday by the not don't O'Brien ... ! 5".split()
    ),
    max_size=30,
)


@given(words)
def test_reading_never_fails_and_stays_inside(said: list[str]) -> None:
    """Whatever is said, every number and date lies inside the turn."""
    read = tokens(said)
    assert all(0 <= token.word < len(said) for token in read)
    for number in numbers(read):
        assert 0 <= number.first <= number.last < len(read)
    for due in dues(read, TUESDAY):
        assert 0 <= due.first <= due.last < len(read)


@given(st.text("abcdef", min_size=1, max_size=12), st.integers(0, 11))
def test_one_missing_letter_is_one_slip(word: str, at: int) -> None:
    """Dropping any one letter is forgiven, in either direction."""
    shorter = word[: at % len(word)] + word[at % len(word) + 1 :]
    assert one_slip(word, shorter)
    assert one_slip(shorter, word)
