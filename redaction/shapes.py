"""How long a value of each kind is, what letters it may hold, and what its shape alone says.

Decides how well a number fits a kind. A checksum names a label; it is never a condition.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from redaction.labels import REFERENCE
from redaction.numbers import Run

ACCOUNT = "ACCOUNT_NUMBER"
FITS, PIECE, TOO_LONG = 2.0, 0.4, -3.0  # weights; tuned on tests/pii/dev


@dataclass(frozen=True, slots=True)
class Shape:
    """How long a value of a kind is, in characters, and whether it may hold letters."""

    low: int
    high: int
    letters: bool = False
    words: bool = False  # letters alone may be a value


SHAPES: dict[str, Shape] = {
    "CARD_NUMBER": Shape(13, 19),  # ISO/IEC 7812
    "CARD_CVV": Shape(3, 4),
    "CARD_EXPIRY": Shape(3, 6),
    "SSN": Shape(9, 9),
    "PHONE": Shape(7, 15),  # ITU-T E.164
    "ACCOUNT_NUMBER": Shape(5, 17, letters=True),
    "SORT_CODE": Shape(6, 6),
    "ROUTING_NUMBER": Shape(9, 9),
    "IBAN": Shape(15, 34, letters=True),  # ISO 13616
    "DOB": Shape(4, 8),
    "EMAIL": Shape(2, 40, letters=True, words=True),
    "ADDRESS": Shape(1, 9, letters=True),
    "POSTCODE": Shape(5, 9, letters=True),
    "PASSPORT": Shape(8, 9, letters=True),
    "DRIVER_LICENSE": Shape(7, 18, letters=True),
    "NATIONAL_INSURANCE": Shape(8, 9, letters=True),
    "TAX_ID": Shape(9, 11, letters=True),
    "MEDICAL_ID": Shape(7, 12, letters=True),
    "VEHICLE_REG": Shape(4, 17, letters=True),
    "IP_ADDRESS": Shape(4, 12),
    "USERNAME": Shape(3, 30, letters=True, words=True),
    "PASSWORD": Shape(4, 30, letters=True, words=True),
    "PIN": Shape(3, 8),
    "SECURITY_ANSWER": Shape(3, 30, letters=True, words=True),
    "PERSON": Shape(2, 30, letters=True, words=True),
    REFERENCE: Shape(3, 30, letters=True, words=True),
    "AMOUNT": Shape(1, 9),
    "EVENT": Shape(1, 8),
}
NO_DIGITS = frozenset({"PERSON"})

_UK_POSTCODE = re.compile(r"(?:[A-Z]{1,2}\d[A-Z\d]?)\d[A-Z]{2}")
_AT_END = re.compile(r"^\d+" + _UK_POSTCODE.pattern + "$")  # behind a house number or a date
_NINO = re.compile(r"[A-Z]{2}\d{6}[A-D]")
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_UK_PLATE = re.compile(r"[A-Z]{2}\d{2}[A-Z]{3}")
_UK_LICENCE = re.compile(r"[A-Z]{2,5}\d{6}[A-Z0-9]{4,6}")


def luhn(digits: str) -> bool:
    """Whether the check digit of a card number fits (ISO/IEC 7812-1, Annex B)."""
    total = 0
    for index, char in enumerate(reversed(digits)):
        value = int(char) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card(run: Run) -> bool:
    return any(
        13 <= len(text) <= 19 and text.isdigit() and luhn(text)
        for text in (run.text, *run.readings)
    )


def fit(topic: str, run: Run) -> float:
    """Return how well a run's length and letters fit a kind of value."""
    shape = SHAPES[topic]
    if (run.letters and not shape.letters and not run.digits) or (
        run.digits and topic in NO_DIGITS
    ):
        return -9.0
    if not run.digits and not shape.words and not run.mixed and topic != "VEHICLE_REG":
        return -4.0 if topic not in ("POSTCODE", "PASSPORT", "DRIVER_LICENSE") else -1.0
    lengths = [len(run.text), *map(len, run.readings)]
    if any(shape.low <= length <= shape.high for length in lengths):
        return FITS
    if min(lengths) > shape.high:
        return TOO_LONG if not run.corrected and min(lengths) > shape.high + 4 else -0.5
    return PIECE


def shape_label(run: Run) -> str:
    text = run.text
    if not run.letters:
        return ""
    if _UK_POSTCODE.fullmatch(text) or (len(text) > 7 and _AT_END.search(text)):
        return "POSTCODE"
    if _NINO.fullmatch(text):
        return "NATIONAL_INSURANCE"
    if _IBAN.fullmatch(text):
        return "IBAN"
    if _UK_PLATE.fullmatch(text):
        return "VEHICLE_REG"
    if len(text) == 16 and _UK_LICENCE.fullmatch(text):
        return "DRIVER_LICENSE"
    return ""


LENGTHS = {  # what a number's length alone is worth
    "CARD_NUMBER": (0.7, "card.length"),
    "SSN": (0.6, "ssn.length"),
    "PHONE": (0.6, "phone.length"),
    ACCOUNT: (0.5, "number.length"),
}


def by_length(characters: int, letters: bool) -> str:
    """Return the likeliest label of a value of which only the length is known."""
    if letters:
        return ACCOUNT
    if 13 <= characters <= 19:
        return "CARD_NUMBER"
    if characters == 9:
        return "SSN"
    return "PHONE" if characters in (7, 10, 11, 12) else ACCOUNT
