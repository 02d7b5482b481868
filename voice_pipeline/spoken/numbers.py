"""Numbers in speech: amounts, counts, percentages and long references, spoken or in digits.

`two fifty` is 250 or 2.50: both readings are kept, and whoever decides takes the one that errs on
the safe side. It does not read dates or times of day; `dates` does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from voice_pipeline.spoken.words import Token, comparable, listed, vocabulary

UNITS = {
    word: value
    for value, word in enumerate(
        listed(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
            "fifteen sixteen seventeen eighteen nineteen"
        )
    )
}
TENS = {
    word: 10 * value
    for value, word in enumerate(
        listed("twenty thirty forty fifty sixty seventy eighty ninety"), start=2
    )
} | {"fourty": 40}
SCALES = {"hundred": 100, "thousand": 1000, "grand": 1000, "million": 1_000_000}
_CURRENCIES = {
    "dollar": "USD", "dollars": "USD", "buck": "USD", "bucks": "USD", "usd": "USD",
    "pound": "GBP", "pounds": "GBP", "quid": "GBP", "gbp": "GBP",
    "euro": "EUR", "euros": "EUR", "eur": "EUR",
}  # fmt: skip
_CENTS = vocabulary("cent cents pence penny p")
# What may follow a price whose cents have no name: `five pounds fifty and`. Before anything else,
# such as `five pounds fifty times`, the second number is one of its own.
_AFTER_PRICE = vocabulary(
    "and but not is it so to on for i you we that please in with from which was a per each when "
    "then or back today no yes"
)
_SIGNS = {"$": "USD", "£": "GBP", "€": "EUR"}
_DIGITS = re.compile(r"([$£€]?)(\d[\d,]*(?:\.\d+)?)(k|%|p)?")
# A price's typical last two digits: with these, `nineteen ninety nine` is 19.99, not 1,999.
_PRICE_ENDINGS = frozenset({49, 95, 98, 99})
_TIMES = {"double": 2, "triple": 3, "treble": 3}  # before a digit: `double four seven` is 447
REFERENCE_FROM = 4  # single digits in a row that are a reference, not a number

Kind = Literal["number", "money", "percent", "reference"]


@dataclass(frozen=True, slots=True)
class Number:
    """A number as spoken, with its place among the tokens."""

    value: float  # the likely reading
    other: float  # the other reading of an ambiguous pair; equal to value where there is one only
    kind: Kind
    first: int  # token index
    last: int  # token index, inclusive, unit word included
    currency: str = ""  # ISO 4217 where a unit or sign says so
    digits: str = ""  # the digits of a reference

    @property
    def highest(self) -> float:
        return max(self.value, self.other)


def numbers(tokens: Sequence[Token]) -> list[Number]:
    """Return the numbers in one utterance, in order."""
    texts = [token.text for token in tokens]
    found: list[Number] = []
    at = 0
    while at < len(texts):
        number = _written(texts, at) or _worded(texts, at)
        if number is None:
            at += 1
            continue
        number = _with_cents(texts, _with_unit(texts, number))
        previous = found[-1] if found else None
        if previous and _adds_cents(texts, previous, number):
            value = previous.value + number.value
            found[-1] = Number(
                value, value, "money", previous.first, number.last, previous.currency
            )
        else:
            found.append(number)
        at = number.last + 1
    return found


def _with_cents(texts: Sequence[str], price: Number) -> Number:
    """Read the cents that have no name: `one hundred and five pounds fifty`."""
    if texts[price.last] not in _CURRENCIES or price.value != int(price.value):
        return price
    at = price.last + 1
    cents = (_written(texts, at) or _worded(texts, at)) if at < len(texts) else None
    if cents is None or cents.kind != "number" or not 10 <= cents.value <= 99:
        return price
    follows = texts[cents.last + 1 : cents.last + 2]
    if follows and follows[0] not in _AFTER_PRICE:
        return price
    value = price.value + cents.value / 100
    return Number(value, value, "money", price.first, cents.last, price.currency)


def _adds_cents(texts: Sequence[str], pounds: Number, cents: Number) -> bool:
    between = texts[pounds.last + 1 : cents.first]
    return (
        pounds.kind == "money"
        and cents.kind == "money"
        and cents.value < 1 <= pounds.value
        and texts[cents.last] in _CENTS
        and between in ([], ["and"])
    )


def _written(texts: Sequence[str], at: int) -> Number | None:
    match = _DIGITS.fullmatch(texts[at])
    if not match:
        return None
    sign, digits, suffix = match.groups()
    plain = digits.replace(",", "")
    if not sign and not suffix and "." not in digits and "," not in digits and len(plain) > 6:
        return Number(float(plain), float(plain), "reference", at, at, digits=plain)
    value = float(plain) * (1000 if suffix == "k" else 0.01 if suffix == "p" else 1)
    kind: Kind = "money" if sign or suffix == "p" else "percent" if suffix == "%" else "number"
    end = at
    if at + 1 < len(texts) and texts[at + 1] in SCALES and not suffix:
        value *= SCALES[texts[at + 1]]
        end += 1
    return Number(value, value, kind, at, end, _SIGNS.get(sign, "GBP" if suffix == "p" else ""))


def _worded(texts: Sequence[str], at: int) -> Number | None:
    """Read a run of number words; groups that do not add up in one number form a pair."""
    groups: list[int] = []
    singles: list[int] = []  # for references: single digits in a row
    current, total, seen, end = 0, 0, False, at
    last = ""  # unit | ten | scale
    repeated = False  # a digit was said once for two or three
    place = at
    while place < len(texts):
        text = texts[place]
        follows = texts[place + 1] if place + 1 < len(texts) else ""
        if text in ("oh", "o") and seen:
            text = "zero"
        digit = _digit(follows) if text in _TIMES and _goes_on(texts, place) else None
        alone = all(0 <= single < 10 for single in singles)
        if digit is not None and alone:
            singles += [digit] * _TIMES[text]
            repeated = True
            seen, end = True, place + 1
            place += 2
            continue
        if repeated and _digit(text) is None:
            break
        if text in UNITS:
            value = UNITS[text]
            if last == "unit" or (last == "ten" and not 0 < value < 10):
                groups.append(total + current)
                current = total = 0
            current += value
            last = "unit"
            singles.append(value)
        elif text in TENS:
            if last in ("unit", "ten"):
                groups.append(total + current)
                current = total = 0
            current += TENS[text]
            last = "ten"
            singles.append(-1)
        elif text in SCALES and (seen or text in ("hundred", "thousand")):
            scale = SCALES[text]
            if scale == 100:
                current = max(current, 1) * 100
            else:
                total += max(current, 1) * scale
                current = 0
            last = "scale"
            singles.append(-1)
        elif (text == "a" and not seen and follows in SCALES) or (
            text == "and" and last == "scale" and (follows in UNITS or follows in TENS)
        ):
            place += 1
            continue
        else:
            break
        seen, end = True, place
        place += 1
    if not seen:
        return None
    groups.append(total + current)
    if (len(singles) >= REFERENCE_FROM or repeated) and all(0 <= single < 10 for single in singles):
        digits = "".join(str(single) for single in singles)
        return Number(float(digits), float(digits), "reference", at, end, digits=digits)
    return _paired(groups, at, end)


def _digit(text: str) -> int | None:
    if text in ("oh", "o"):
        return 0
    return UNITS[text] if UNITS.get(text, 10) < 10 else None


def _goes_on(texts: Sequence[str], at: int) -> bool:
    """Tell whether a doubled digit is part of a row of digits: `double two pounds` is none."""
    beside = (*texts[max(0, at - 1) : at], *texts[at + 2 : at + 3])
    return any(_digit(text) is not None or text in _TIMES for text in beside)


def _paired(groups: Sequence[int], at: int, end: int) -> Number:
    if len(groups) == 2 and 0 < groups[0] < 100 and 10 <= groups[1] < 100:
        joined, priced = groups[0] * 100 + groups[1], groups[0] + groups[1] / 100
        if groups[1] in _PRICE_ENDINGS:
            return Number(priced, priced, "number", at, end)
        if groups[0] >= 10:
            return Number(priced, float(joined), "number", at, end)
        return Number(float(joined), priced, "number", at, end)
    if len(groups) > 1:
        digits = "".join(str(group) for group in groups)
        return Number(float(digits), float(digits), "reference", at, end, digits=digits)
    return Number(float(groups[0]), float(groups[0]), "number", at, end)


def _with_unit(texts: Sequence[str], number: Number) -> Number:
    after = texts[number.last + 1] if number.last + 1 < len(texts) else ""
    end = number.last + 1
    if number.kind == "reference":
        return number
    if after in _CURRENCIES:
        return Number(number.value, number.other, "money", number.first, end, _CURRENCIES[after])
    if after in _CENTS and number.kind == "number":
        value = number.value / 100
        currency = "USD" if after.startswith("cent") else "GBP"
        return Number(value, value, "money", number.first, end, currency)
    if after in ("percent", "per") and number.kind == "number":
        if after == "percent":
            return Number(number.value, number.value, "percent", number.first, end)
        if texts[end + 1 : end + 2] == ["cent"]:
            return Number(number.value, number.value, "percent", number.first, end + 1)
    return number


# Words after a number that say it is no amount of money.
NOT_MONEY = vocabulary(
    "day days hour hours minute minutes week weeks month months year years times people "
    "o'clock oclock am pm percent items item orders parcels boxes pieces working business "
    "calls second seconds weekdays"
)


def said(value: float) -> str:
    """Write an amount for people: 320, 45.99."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def is_numeric(word: str) -> bool:
    """Tell whether a word as written can be part of a number."""
    return any(
        form in UNITS
        or form in TENS
        or form in SCALES
        or form in ("oh", "double", "triple")
        or form[:1].isdigit()
        for form in comparable(word)
    )


def is_unit(word: str) -> bool:
    """Tell whether a word as written is a currency or a percentage."""
    return any(
        form in _CURRENCIES or form in _CENTS or form == "percent" for form in comparable(word)
    )
