"""Numbers whose digits a recognizer wrote as other words, and talk that only sounds like some."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redaction import Redactor, load_policy
from redaction.jsonl import redact_texts

REDACTOR = Redactor(load_policy("balanced"))
ALIKE = {
    "one": ["won", "wand", "run"], "two": ["to", "too", "chew"], "three": ["free", "tree"],
    "four": ["for", "fall", "phone"], "five": ["fife", "hive"], "six": ["sticks", "sex"],
    "seven": ["heaven", "sever"], "eight": ["ate", "hate"], "nine": ["mine", "line"],
    "oh": ["owe", "ought"],
}  # fmt: skip
LENGTHS = {"card number": 16, "phone number": 11, "sort code": 6, "pin": 4, "security code": 3}


def shown(*turns: tuple[str, str]) -> list[str]:
    return redact_texts(turns, REDACTOR)[0]


@pytest.mark.parametrize(
    ("asked", "said", "left"),
    [
        ("and the pin", "it's sticks one four oh", "it's [PIN]"),
        ("what is your sort code", "twenty dash for tea six dash oh nine", "[SORT_CODE]"),
        ("and the three digits on the back", "free sticks mine", "[CARD_CVV]"),
        ("and the see vee vee", "yes it's 6:13", "yes it's [CARD_CVV]"),
        ("can i have the account number", "three one double ate oh two seven mine",
         "[ACCOUNT_NUMBER]"),
        ("what is your date of birth", "a lemon th of march nineteen sixty ate", "a [DOB]"),
        ("the expiry date please", "it says oh ate slash 27", "it says [CARD_EXPIRY]"),
        ("what's the number", "five one oh five one oh five one owe five one oh five wan oh oh",
         "[CARD_NUMBER]"),
    ],
)  # fmt: skip
def test_answers_that_were_misheard(asked: str, said: str, left: str) -> None:
    """Where a number was asked for, words that sound like digits go with it."""
    assert shown(("agent", asked), ("customer", said))[1] == left


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("my sort coat is 6 or 83 71 thanks", "my sort coat is [SORT_CODE] thanks"),
        ("the account number is seven seven owe four two nine", "the account number is [ACCOUNT_N"),
        ("my pin is double heaven too one and it is not my birthday", "my pin is [PIN] and it is"),
        ("my phone number is oh seven nine double one two three six tea eight four i think",
         "my phone number is [PHONE] i think"),
    ],
)  # fmt: skip
def test_numbers_that_are_named(said: str, left: str) -> None:
    """Where a number is named right before, the same."""
    (text,) = shown(("customer", said))
    assert text.startswith(left)


@pytest.mark.parametrize(
    "said",
    [
        "we ate at two and it was for me too",
        "the pin is for my mother and it was too late",
        "my card was declined for two payments of eighteen pounds fifty",
        "your loan is eighteen thousand six hundred over seventy two months",
        "the excess on the policy is two hundred and fifty",
        "i phoned the account team at one and they said to wait for an hour",
    ],
)
def test_talk_is_left_alone(said: str) -> None:
    """The same words count, measure and join where no number is given."""
    assert shown(("customer", said)) == [said]


def test_a_piece_of_an_answer() -> None:
    """A short turn that goes on with an answer is taken whole, however it was heard."""
    texts = shown(
        ("agent", "the long number please"),
        ("customer", "four five six two free one nine"),
        ("agent", "mm hmm"),
        ("customer", "double six the row ate"),
    )
    assert texts[1::2] == ["[CARD_NUMBER]", "[CARD_NUMBER]"]


@st.composite
def misheard(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Draw a kind of number and its digits in words, one of the inner ones heard as another."""
    kind = draw(st.sampled_from(sorted(LENGTHS)))
    words = draw(st.lists(st.sampled_from(sorted(ALIKE)), min_size=LENGTHS[kind],
                          max_size=LENGTHS[kind]))  # fmt: skip
    place = draw(st.integers(1, len(words) - 2))
    words[place] = draw(st.sampled_from(ALIKE[words[place]]))
    return kind, words


@settings(max_examples=200, deadline=None)
@given(misheard(), st.booleans())
def test_one_misheard_digit_hides_no_other(number: tuple[str, list[str]], asked: bool) -> None:
    """Asked for or named, no digit of the number stays, nor the word that one became."""
    kind, words = number
    if asked:
        texts = shown(("agent", f"what is your {kind}"), ("customer", " ".join(words)))
    else:
        texts = shown(("customer", f"my {kind} is {' '.join(words)}"))
    left = set(texts[-1].split()) - set(f"my {kind} is".split())
    assert not left & set(words)


@pytest.mark.parametrize(
    ("asked", "said", "left"),
    [
        ("and the pin", "it's ten ninety nine", "it's [PIN]"),
        ("your account number please", "one two three four five six seven eight nine",
         "[ACCOUNT_NUMBER]"),
        ("the last four of your social", "ten forty", "[SSN]"),
        ("hello", "you want my tax id or social for the ten ninety nine",
         "you want my tax id or social for the ten ninety nine"),
        ("press and hold", "one two three four five six seven eight nine ten okay it's orange",
         "one two three four five six seven eight nine ten okay it's orange"),
        ("what does it say", "it says zero x eight zero zero seven zero zero five seven",
         "it says zero x eight zero zero seven zero zero five seven"),
    ],
)  # fmt: skip
def test_forms_and_counting_are_no_numbers_of_a_person(asked: str, said: str, left: str) -> None:
    """A tax form, counting to ten and a code of a computer stay; asked for, they are answers."""
    assert shown(("agent", asked), ("customer", said))[1] == left
