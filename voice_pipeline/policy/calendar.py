"""When something is due and when somebody may be told: working days, time zones, quiet hours.

Times are seconds since the epoch; what people write is wall-clock time of one zone, so a day may
have 23 or 25 hours. Refuses nothing: what a pack may say is checked in `notify`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = time(0)


@dataclass(frozen=True, slots=True)
class Calendar:
    """An organisation's days and hours."""

    zone: tzinfo
    working: frozenset[int]  # days of the week, 0 is Monday; at least one
    holidays: frozenset[date]
    quiet_from: time | None  # wall clock; None: no hours are quiet
    quiet_to: time | None  # before `quiet_from`: of the next day
    quiet_days_off: bool  # all of a day that is not worked is quiet

    def is_worked(self, day: date) -> bool:
        return day.weekday() in self.working and day not in self.holidays

    def is_quiet(self, at: float) -> bool:
        local = datetime.fromtimestamp(at, self.zone)
        if self.quiet_days_off and not self.is_worked(local.date()):
            return True
        if self.quiet_from is None or self.quiet_to is None:
            return False
        now = local.time()
        if self.quiet_from < self.quiet_to:
            return self.quiet_from <= now < self.quiet_to
        return now >= self.quiet_from or now < self.quiet_to

    def next_allowed(self, at: float) -> float:
        """Return `at`, or the first moment after it that is not quiet."""
        if not self.is_quiet(at):
            return at
        first = datetime.fromtimestamp(at, self.zone).date()
        # One working day a week, and every one of them a holiday, cannot go on for longer.
        for ahead in range(7 * (len(self.holidays) + 2) + 2):
            day = first + timedelta(days=ahead)
            ends = [
                self._moment(day, clock, fold)
                for clock in (MIDNIGHT, self.quiet_to or MIDNIGHT)
                for fold in (0, 1)  # an hour that comes twice ends twice
            ]
            for end in sorted(ends):
                if end >= at and not self.is_quiet(end):
                    return end
        return at

    def quiet_since(self, at: float) -> float:
        """Return when the quiet stretch that holds `at` began; `at` itself where it is not quiet.

        The moment is the last one that is not quiet, give or take a second.
        """
        if not self.is_quiet(at):
            return at
        first = datetime.fromtimestamp(at, self.zone).date()
        for back in range(-1, 7 * (len(self.holidays) + 2) + 2):
            day = first - timedelta(days=back)
            starts = [
                self._moment(day, clock, fold) - 1
                for clock in (MIDNIGHT, self.quiet_from or MIDNIGHT)
                for fold in (0, 1)
            ]
            for start in sorted(starts, reverse=True):
                if start <= at and not self.is_quiet(start):
                    return start
        return at

    def due_at(self, due: str, start: float) -> float:
        """Return when something is due.

        Args:
            due: as rules write it: `at once`, or a number of minutes, hours, days or working days.
            start: what it counts from.
        """
        if due == "at once":
            return start
        number, unit = due.split(" ", 1)
        count = int(number)
        if unit.startswith(("minute", "hour")):
            return start + count * (60.0 if unit.startswith("minute") else 3600.0)
        local = datetime.fromtimestamp(start, self.zone)
        day = local.date()
        if unit.startswith("day"):
            day += timedelta(days=count)
        while unit.startswith("working") and count:
            day += timedelta(days=1)
            count -= self.is_worked(day)
        return max(start, self._moment(day, local.time(), local.fold))

    def _moment(self, day: date, clock: time, fold: int) -> float:
        return datetime.combine(day, clock.replace(fold=fold), self.zone).timestamp()
