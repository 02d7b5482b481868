"""Numbers in disguise: separators, look-alike digits, markup and marks do not hide a card."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redaction import Redactor, load_policy
from redaction.jsonl import redact_texts
from redaction.language import load_language
from redaction.tokens import atoms_of, normalise, turns_of

REDACTOR = Redactor(load_policy("balanced"))
NAMES = "zero one two three four five six seven eight nine".split()
CARD = "4532991088764242"


def fours(text: str) -> list[str]:
    return [text[at : at + 4] for at in range(0, len(text), 4)]


def other_digits(zero: str, *, none: str = "") -> Callable[[str], str]:
    """Write digits as those of another script, from its zero on; `none`: it has no zero there."""
    return lambda text: "".join(
        none if none and char == "0" else chr(ord(zero) + int(char)) for char in text
    )


DISGUISES: dict[str, Callable[[str], str]] = {
    **{f"one by one {mark!r}": mark.join for mark in "-./,_|:*+~;=·•…\u200b\u00ad\ufeff\u2060\x00"},
    **{
        f"in fours {mark!r}": lambda text, mark=mark: mark.join(fours(text))  # type: ignore[misc]
        for mark in (*"-./,_|:*+~;=·•…—−\n\t\x0b\u00a0\u2009\u2028", "...", "\r\n", "🙂", " 🙂 ")
    },
    "comma and blank": ", ".join,
    "hesitation": " uh ".join,
    "thousands": lambda text: f"{int(text):,}",
    "dollars": lambda text: f"${text}",
    "dollars, thousands": lambda text: f"${int(text):,}",
    "percent": lambda text: f"{text}%",
    "decimals": lambda text: f"{text}.00",
    "full width": other_digits("０"),
    "arabic": other_digits("٠"),
    "bold": other_digits("𝟎"),
    "subscript": other_digits("₀"),
    "superscript": lambda text: text.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")),
    "circled": other_digits("⑟", none="⓪"),
    "black circles": other_digits("❵", none="⓿"),
    "two circles": other_digits("⓴", none="⓪"),
    "sans in circles": other_digits("➉", none="🄋"),
    "keycaps": lambda text: "".join(f"{char}\ufe0f\u20e3" for char in text),
    "keycaps apart": lambda text: " ".join(f"{char}\ufe0f\u20e3" for char in text),
    "accents": lambda text: "".join(f"{char}\u0301" for char in text),
    "entities": lambda text: "&nbsp;".join(fours(text)),
    "escaped digits": lambda text: " ".join(f"&#{ord(char)};" for char in text),
    "line breaks": lambda text: "<br>".join(fours(text)),
    "bold tags": lambda text: "".join(f"<b>{part}</b>" for part in fours(text)),
    "escaped blanks": lambda text: "%20".join(fours(text)),
    "brackets": lambda text: "".join(f"({part})" for part in fours(text)),
    "quotes": lambda text: " ".join(f'"{part}"' for part in fours(text)),
    "in a web address": lambda text: f"https://shop.example.com/pay?card={text}",
    "glued words": lambda text: "".join(NAMES[int(char)] for char in text),
    "capital words": lambda text: "".join(NAMES[int(char)].title() for char in text),
    "glued fours": lambda text: " ".join(
        "".join(NAMES[int(char)] for char in part) for part in fours(text)
    ),
    "words and digits": lambda text: "".join(
        NAMES[int(char)] if at % 2 else char for at, char in enumerate(text)
    ),
    **{
        f"words {mark!r}": lambda text, mark=mark: mark.join(NAMES[int(c)] for c in text)  # type: ignore[misc]
        for mark in "-._/,+\n"
    },
}  # fmt: skip
LEFT = re.compile("|".join((r"\d", *NAMES)))


def survives(said: list[tuple[str, str]]) -> str:
    """Return the redacted last turn where a digit of it, in any form, is still there."""
    text = redact_texts(said, REDACTOR)[0][-1]
    plain = re.sub(r"\[[A-Z_]+\]", "", text)
    plain = normalise(re.sub(r"%20|&#?\w+;", "", plain)).lower()
    return text if LEFT.search(plain) else ""


@pytest.mark.parametrize("name", DISGUISES)
@pytest.mark.parametrize("way", ["lead", "asked", "bare"])
def test_a_disguised_card_is_gone(name: str, way: str) -> None:
    """However its digits are written or joined, no part of a card number stays."""
    value = DISGUISES[name](CARD)
    said = {
        "lead": [("customer", f"my card number is {value} thanks")],
        "asked": [("agent", "what is the card number please"), ("customer", value)],
        "bare": [("customer", value)],
    }[way]
    assert not survives(said)


@settings(max_examples=200, deadline=None)
@given(
    st.text("0123456789", min_size=16, max_size=16).filter(lambda text: text[0] in "3456"),
    st.sampled_from(sorted(DISGUISES)),
    st.booleans(),
)
def test_no_card_in_any_disguise_survives(digits: str, name: str, asked: bool) -> None:
    """The same for any number of sixteen digits, with a right check digit or without."""
    value = DISGUISES[name](digits)
    if asked:
        said = [("agent", "what is the card number please"), ("customer", value)]
    else:
        said = [("customer", f"my card number is {value}")]
    assert not survives(said)


@pytest.mark.parametrize(
    ("text", "atoms"),
    [
        ("fourseven", ["four", "seven"]), ("FortyTwo", ["forty", "two"]),
        ("doubleone", ["double", "one"]),
        ("someone", ["someone"]), ("sixteen", ["sixteen"]), ("seventh", ["seventh"]),
        ("often", ["often"]), ("stone", ["stone"]), ("nineties", ["nineties"]),
        ("❹⓿", ["40"]), ("½", ["1", "2"]), ("<br>12", ["12"]), ("AT&T;", ["at", "t"]),
        ("<joan>", ["joan"]),
    ],
)  # fmt: skip
def test_pieces_of_a_word(text: str, atoms: list[str]) -> None:
    """Words made of number words come apart, all others stay whole; names are no markup."""
    (turn,) = turns_of([("", text)])
    assert [atom.text for atom in atoms_of(turn.words, {}, load_language("en").vocabulary)] == atoms


QUANTITIES = [
    "it costs $1,250.00 and not $999", "we sold 1,234,567 of them", "about 12,000,000,000 in all",
    "a rate of 4.5% or 12 %", "at 11:30 or 23:59 or 9:05am", "on the 3rd and the 21st",
]  # fmt: skip


@pytest.mark.parametrize("text", QUANTITIES)
def test_amounts_and_times_stay(text: str) -> None:
    """What costs, counts or tells the time is no number in disguise."""
    assert redact_texts([("customer", text)], REDACTOR)[0] == [text]
