"""When something is due, as spoken: `by friday`, `within five days`, `in twenty four hours`.

Works out a calendar date from the day of the call. Where several days are possible it takes the
last one, which is what a promise can be held to; where it cannot tell, it says so with None.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from voice_pipeline.spoken.numbers import TENS, UNITS, numbers
from voice_pipeline.spoken.words import Token, listed, vocabulary

WEEKDAYS = {name.lower(): place for place, name in enumerate(calendar.day_name)}
MONTHS = {name.lower(): place for place, name in enumerate(calendar.month_name) if name}
_ORDINAL_UNITS = {
    word: value
    for value, word in enumerate(
        listed(
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
            "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
        ),
        start=1,
    )
}
_ORDINALS = _ORDINAL_UNITS | {"twentieth": 20, "thirtieth": 30}
_LEAD = vocabulary("by before until on within in inside no later than the next this at for")
_TODAY = frozenset({"today", "tonight"})
_SPANS = {"minute": 0.0, "hour": 1 / 24, "day": 1.0, "week": 7.0, "fortnight": 14.0}
_HOUR_LEAD = vocabulary("at before by after around about between until")
_HOURS = vocabulary("noon midday midnight lunch lunchtime")
_HOUR_UNITS = vocabulary("oclock o'clock am pm a.m p.m")
_PARTS = vocabulary("morning afternoon evening lunchtime")


@dataclass(frozen=True, slots=True)
class Due:
    """A point in time as spoken, with its place among the tokens."""

    first: int  # token index, with the leading "by", "within" ...
    last: int  # inclusive
    on: date | None


def call_day(started_at: str | None) -> date | None:
    """Return the day of the call from the metadata's ISO date or date-time, if it is one."""
    try:
        return datetime.fromisoformat((started_at or "").strip().replace("Z", "+00:00")).date()
    except ValueError:
        return None


def ordinals(tokens: Sequence[Token]) -> set[int]:
    """Return the days that a text can mean by `the fifteenth`, `twenty fifth`, `3rd`.

    `first` and `second` alone are left out: they count things more often than days.
    """
    texts = [token.text for token in tokens]
    found: set[int] = set()
    for at, text in enumerate(texts):
        digits = text[:-2] if text[-2:] in ("st", "nd", "rd", "th") else ""
        if digits.isdecimal():
            found.add(int(digits))
        elif text in _ORDINALS:
            tens = TENS.get(texts[at - 1], 0) if at and text in _ORDINAL_UNITS else 0
            found.add(tens + _ORDINALS[text])
    return found - {1, 2}


def dues(tokens: Sequence[Token], today: date | None) -> list[Due]:
    """Return the points in time in one utterance, in order."""
    texts = [token.text for token in tokens]
    counts = {number.first: (number.last, number.value) for number in numbers(tokens)}
    found: list[Due] = []
    at = 0
    while at < len(texts):
        for read in (_duration, _weekday, _near, _monthly, _closing):
            point = read(texts, at, counts)
            if point:
                last, work_out = point
                first = at
                while first > 0 and texts[first - 1] in _LEAD and at - first < 4:
                    first -= 1
                last = _with_hour(texts, last, counts)
                found.append(Due(first, last, work_out(today) if today else None))
                at = last
                break
        at += 1
    return found


def _with_hour(texts: Sequence[str], last: int, counts: dict[int, tuple[int, float]]) -> int:
    """Return the last token with the time of day that follows: `before noon`, `at eight`."""
    at = last + 1
    if texts[at : at + 1] and texts[at] in _PARTS:
        last, at = at, at + 1
    if not texts[at : at + 1] or texts[at] not in _HOUR_LEAD:
        return last
    at += 1
    if texts[at : at + 1] and texts[at] in _HOURS:
        return at
    if at not in counts:
        return last
    last = counts[at][0]
    if texts[last + 1 : last + 2] == ["and"] and last + 2 in counts:
        last = counts[last + 2][0]
    if texts[last + 1 : last + 2] and texts[last + 1] in _HOUR_UNITS:
        last += 1
    return last


_Read = tuple[int, Callable[[date], date | None]]


def _duration(texts: Sequence[str], at: int, counts: dict[int, tuple[int, float]]) -> _Read | None:
    """`five days`, `three to five business days`, `a week`, `a couple of days`."""
    if not any(lead in texts[max(0, at - 4) : at] for lead in ("in", "within", "inside", "next")):
        return None
    end, amount = at, 0.0
    if at in counts:
        end, amount = counts[at]
        if texts[end + 1 : end + 2] in (["to"], ["or"]) and end + 2 in counts:
            end, amount = counts[end + 2]
    elif texts[at] in ("a", "an"):
        amount = 1.0
        if texts[at + 1 : at + 3] in (["couple", "of"], ["few", "of"]):
            end, amount = at + 2, 2.0
        elif texts[at + 1 : at + 2] == ["few"]:
            end, amount = at + 1, 5.0  # "a few days": five is what people hold it to
    else:
        return None
    working = texts[end + 1 : end + 2] in (["working"], ["business"], ["week"], ["weekdays"])
    working = working and texts[end + 2 : end + 3] in (["day"], ["days"])
    unit_at = end + (2 if working else 1)
    unit = texts[unit_at] if unit_at < len(texts) else ""
    singular = unit.removesuffix("s")
    if singular == "month":
        return unit_at, lambda today: _months_on(today, int(amount))
    if singular not in _SPANS or not 0 < amount < 1000:
        return None
    if working:
        return unit_at, lambda today: _working_days_on(today, int(amount))
    days = -(-amount * _SPANS[singular] // 1) if singular != "hour" else (amount + 12) // 24
    return unit_at, lambda today: today + timedelta(days=int(days))


def _weekday(texts: Sequence[str], at: int, counts: dict[int, tuple[int, float]]) -> _Read | None:
    name = texts[at]
    if name not in WEEKDAYS:
        return None
    next_week = at > 0 and texts[at - 1] == "next"
    end = at
    if texts[at + 1 : at + 2] and texts[at + 1] in _PARTS:
        end += 1

    def work_out(today: date) -> date:
        ahead = (WEEKDAYS[name] - today.weekday()) % 7 or 7
        return today + timedelta(days=ahead + (7 if next_week and ahead < 3 else 0))

    return end, work_out


def _near(texts: Sequence[str], at: int, counts: dict[int, tuple[int, float]]) -> _Read | None:
    text = texts[at]
    end = at + 1 if texts[at + 1 : at + 2] and texts[at + 1] in _PARTS else at
    if text in _TODAY or (text == "this" and end > at):
        return end, lambda today: today
    if text == "tomorrow":
        return end, lambda today: today + timedelta(days=1)
    return None


def _closing(texts: Sequence[str], at: int, counts: dict[int, tuple[int, float]]) -> _Read | None:
    """`end of the day`, `close of business`, `end of next week`, `next week`."""
    if texts[at] in ("end", "close"):
        rest = [text for text in texts[at + 1 : at + 5] if text not in ("of", "the", "this")]
        later = rest[:1] == ["next"]
        unit = (rest[1:] if later else rest)[:1]
        if not unit or texts[at + 1 : at + 2] != ["of"]:
            return None
        end = texts.index(unit[0], at)
        if unit[0] in ("day", "business", "today", "play"):
            return end, lambda today: today
        if unit[0] == "week":
            return end, lambda today: _friday(today, 7 if later else 0)
        if unit[0] == "month":
            return end, lambda today: _last_of_month(_months_on(today, 1) if later else today)
        return None
    if texts[at] == "next" and texts[at + 1 : at + 2] == ["week"]:
        return at + 1, lambda today: _friday(today, 7)
    if texts[at] == "this" and texts[at + 1 : at + 2] == ["week"]:
        return at + 1, lambda today: _friday(today, 0)
    return None


def _monthly(texts: Sequence[str], at: int, counts: dict[int, tuple[int, float]]) -> _Read | None:
    """`march fifteenth`, `the fifteenth of march`, `may 5`, `the twenty fifth`."""
    if texts[at] in MONTHS and at + 1 < len(texts):
        begin = at + 2 if texts[at + 1] == "the" else at + 1
        day = _day(texts, begin, plain=True)
        if day:
            return day[0], _on(MONTHS[texts[at]], day[1])
        return None
    day = _day(texts, at, plain=texts[at].isdecimal())
    if day:
        after = texts[day[0] + 1 : day[0] + 3]
        if after[:1] == ["of"] and len(after) == 2 and after[1] in MONTHS:
            return day[0] + 2, _on(MONTHS[after[1]], day[1])
        if after and after[0] in MONTHS:
            return day[0] + 1, _on(MONTHS[after[0]], day[1])
        ordinal = texts[day[0]] in _ORDINALS
        if (
            ordinal
            and at > 1
            and texts[at - 1] == "the"
            and texts[at - 2] in ("by", "on", "before")
        ):
            return day[0], _on(None, day[1])
    return None


def _day(texts: Sequence[str], at: int, *, plain: bool) -> tuple[int, int] | None:
    """Return the index of the last token and the day of the month that begins at `at`."""
    if at >= len(texts):
        return None
    text = texts[at]
    if text in _ORDINALS:
        return at, _ORDINALS[text]
    if text in TENS and at + 1 < len(texts):
        if texts[at + 1] in _ORDINAL_UNITS and _ORDINAL_UNITS[texts[at + 1]] < 10:
            return at + 1, TENS[text] + _ORDINAL_UNITS[texts[at + 1]]
        if plain and 0 < UNITS.get(texts[at + 1], 0) < 10:
            return at + 1, TENS[text] + UNITS[texts[at + 1]]
    digits = text.rstrip("stndrh")
    if digits.isdecimal() and (plain or digits != text) and 1 <= int(digits) <= 31:
        return at, int(digits)
    if plain and (text in UNITS or text in TENS):
        value = UNITS.get(text, TENS.get(text, 0))
        return (at, value) if 1 <= value <= 31 else None
    return None


def _on(month: int | None, day: int) -> Callable[[date], date | None]:
    def work_out(today: date) -> date | None:
        for ahead in range(13):
            year, index = divmod(today.month - 1 + ahead, 12)
            if month is not None and index + 1 != month:
                continue
            try:
                candidate = date(today.year + year, index + 1, day)
            except ValueError:
                continue
            if candidate >= today:
                return candidate
        return None

    return work_out


def _working_days_on(today: date, days: int) -> date:
    while days > 0:
        today += timedelta(days=1)
        days -= today.weekday() < 5
    return today


def _friday(today: date, later: int) -> date:
    return today + timedelta(days=max(0, 4 - today.weekday()) + later)


def _months_on(today: date, months: int) -> date:
    year, month = divmod(today.month - 1 + months, 12)
    last = calendar.monthrange(today.year + year, month + 1)[1]
    return date(today.year + year, month + 1, min(today.day, last))


def _last_of_month(today: date) -> date:
    return today.replace(day=calendar.monthrange(today.year, today.month)[1])
