"""notify.yaml: who is told of an escalation, when, and when nobody is to be woken.

Decides nothing about a call. A pack without the file has these defaults: escalations are listed
with their due times, and nobody is sent anything. Danger to life is told of at any hour, always.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, time, tzinfo
from functools import cached_property
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from voice_pipeline.policy.calendar import DAYS, Calendar
from voice_pipeline.policy.strict import Name, Sentence, Strict

SAFETY = "safety_of_life"  # no setting lets this category wait for the morning
_SPAN = re.compile(r"(\d{1,4}) (minute|hour|day)s?")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_SECONDS = {"minute": 60.0, "hour": 3600.0, "day": 86_400.0}


def _is_span(text: str) -> str:
    found = _SPAN.fullmatch(text)
    if not found or not int(found[1]):
        raise ValueError("is a number of minutes, hours or days, for example `4 hours`")
    return text


def _is_clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError("is a time of the day, for example `20:00`")
    return text


def _zone(text: str) -> tzinfo:
    """Return a zone; UTC needs no list of zones on the machine."""
    return UTC if text == "UTC" else ZoneInfo(text)


def _is_zone(text: str) -> str:
    try:
        _zone(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            "is no time zone of this machine; for example `Europe/London` or `UTC` "
            "(a machine without a list of zones needs the package tzdata)"
        ) from None
    return text


def _is_date(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("is no date; for example `2026-12-25`") from None
    return text


Span = Annotated[str, AfterValidator(_is_span)]
Clock = Annotated[str, AfterValidator(_is_clock)]


def seconds(span: str) -> float:
    """Return the seconds of a span as packs write it."""
    number, unit = span.split()
    return int(number) * _SECONDS[unit.removesuffix("s")]


class Owner(Strict):
    """Somebody whom rules name: how to reach them, and who is told when they do not answer."""

    ways: tuple[Sentence, ...] = ()  # names of targets in the settings
    up: Sentence | None = None  # another owner


class Quiet(Strict):
    """When nobody is told of anything but danger to life and what `at_any_hour` names."""

    start: Clock | None = Field(default=None, alias="from")
    end: Clock | None = Field(default=None, alias="to")
    days_off: bool = False  # all day on days that are not worked

    @model_validator(mode="after")
    def _is_a_part_of_the_day(self) -> Quiet:
        if (self.start is None) != (self.end is None):
            raise ValueError("has `from` and `to`, or neither")
        if self.start is not None and self.start == self.end:
            raise ValueError("`from` and `to` are the same: nobody would ever be told")
        return self


@dataclass(frozen=True, slots=True)
class Level:
    """Who is told at one level of an escalation, and by which targets."""

    names: tuple[str, ...]
    ways: tuple[str, ...]


class Notify(Strict):
    """notify.yaml"""

    zone: Annotated[str, AfterValidator(_is_zone)] = "UTC"
    working_days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(
        default=("mon", "tue", "wed", "thu", "fri"), min_length=1
    )
    holidays: tuple[Annotated[str, AfterValidator(_is_date)], ...] = Field(
        default=(), max_length=1000
    )
    quiet: Quiet | None = None
    at_any_hour: tuple[Name, ...] = ()  # further categories that quiet hours do not hold up
    remind_before: Span = "2 hours"  # before the due time
    repeat_every: Span = "4 hours"  # after it, until somebody acknowledges
    acknowledge_within: Span = "8 hours"  # of the due time, or of the level's first notice
    most_notices: int = Field(default=12, ge=1, le=100)  # at one level; from then on only listed
    stale_after: Span = "30 days"  # overdue for so long and nobody told: only listed
    owners: Mapping[Sentence, Owner] = {}
    fallback: Sentence | None = None  # the owner who is told where nobody else can be reached

    @cached_property
    def calendar(self) -> Calendar:
        quiet = self.quiet or Quiet.model_validate({})
        return Calendar(
            _zone(self.zone),
            frozenset(DAYS.index(day) for day in self.working_days),
            frozenset(date.fromisoformat(day) for day in self.holidays),
            time.fromisoformat(quiet.start) if quiet.start else None,
            time.fromisoformat(quiet.end) if quiet.end else None,
            quiet.days_off,
        )

    @property
    def reaches(self) -> bool:
        """Whether anybody can be told of anything."""
        return any(owner.ways for owner in self.owners.values())

    def ignores_quiet(self, category: str) -> bool:
        return category == SAFETY or category in self.at_any_hour

    def levels(self, people: Sequence[str]) -> tuple[Level, ...]:
        """Return who is told, level by level; those without a way are passed over."""
        found = self._levels(people)
        if not found and self.fallback is not None:
            return self._levels([self.fallback])
        return found

    def _levels(self, people: Sequence[str]) -> tuple[Level, ...]:
        found: list[Level] = []
        seen: set[str] = set()
        names = list(dict.fromkeys(people))
        while names:
            seen.update(names)
            here = [self.owners[name] for name in names if name in self.owners]
            ways = tuple(dict.fromkeys(way for owner in here for way in owner.ways))
            if ways:
                told = tuple(n for n in names if n in self.owners and self.owners[n].ways)
                found.append(Level(told, ways))
            ups = dict.fromkeys(owner.up for owner in here if owner.up is not None)
            names = [up for up in ups if up not in seen]
        return tuple(found)

    def circles(self, name: str) -> bool:
        """Whether an owner stands above themselves."""
        seen, up = {name}, self.owners[name].up
        while up is not None and up in self.owners and up not in seen:
            seen.add(up)
            up = self.owners[up].up
        return up == name
