"""When a server may be asked: how many at once, how often again, and how much a day.

Decides from what the server says (Retry-After, rate-limit headers) and from what happened last. It
refuses rather than waits where waiting would keep a call longer than `longest_wait`.
"""

from __future__ import annotations

import random
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

BASE = 0.5  # seconds before the first retry; doubled each time, times a random share of 0.5 to 1
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")


class Refused(Exception):
    """The server may not be asked, or did not answer: `code` is `server`, `quota` or `access`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class Breaker:
    """Stops asking a server that fails again and again, for a while, then tries with one call."""

    def __init__(self, failures: int, rest: float, clock: Callable[[], float]) -> None:
        self._limit, self._rest, self._clock = failures, rest, clock
        self._failed = 0
        self._closed_until = 0.0
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise Refused while the server rests; let one call through when the rest is over."""
        with self._lock:
            left = self._closed_until - self._clock()
            if left > 0:
                raise Refused("server", "the server failed repeatedly and is left alone for now")
            if self._failed >= self._limit:  # one trial; the others wait for its result
                self._closed_until = self._clock() + self._rest

    def note(self, *, good: bool) -> None:
        with self._lock:
            self._failed = 0 if good else self._failed + 1
            if good:
                self._closed_until = 0.0
            elif self._failed >= self._limit:
                self._closed_until = self._clock() + self._rest


class Budget:
    """Tokens a day (UTC), counted in a file that processes share, or in this process alone."""

    def __init__(self, limit: int | None, file: Path | None, today: Callable[[], str]) -> None:
        self._limit, self._today = limit, today
        self._lock = threading.Lock()
        self._used = sqlite3.connect(
            file or ":memory:", check_same_thread=False, isolation_level=None, timeout=10.0
        )
        self._used.execute("CREATE TABLE IF NOT EXISTS used (day TEXT PRIMARY KEY, tokens INTEGER)")

    @contextmanager
    def spend(self, most: int) -> Iterator[Callable[[int], None]]:
        """Set `most` tokens aside; the function that is given takes what was really used.

        Where that is never said, because the server did not answer, nothing was used.
        """
        day = self._today()
        with self._lock:
            self._used.execute("BEGIN IMMEDIATE")
            try:
                spent = self._tokens(day)
                if self._limit is not None and spent + most > self._limit:
                    raise Refused("quota", "the day's budget of tokens is used up")
                self._add(day, most)
            finally:
                self._used.execute("COMMIT")
        really = 0

        def used(tokens: int) -> None:
            nonlocal really
            really = tokens

        try:
            yield used
        finally:
            with self._lock:
                self._add(day, really - most)

    def used(self) -> int:
        """Return today's tokens so far."""
        with self._lock:
            return self._tokens(self._today())

    def _tokens(self, day: str) -> int:
        row = self._used.execute("SELECT tokens FROM used WHERE day = ?", (day,)).fetchone()
        return int(row[0]) if row else 0

    def _add(self, day: str, tokens: int) -> None:
        self._used.execute(
            "INSERT INTO used VALUES (?, ?) "
            "ON CONFLICT (day) DO UPDATE SET tokens = tokens + excluded.tokens",
            (day, tokens),
        )


class Pace:
    """Not before the server says so."""

    def __init__(
        self,
        longest_wait: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._longest, self._clock, self._sleep = longest_wait, clock, sleep
        self._not_before = 0.0
        self._draw = random.Random()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until the server may be asked again, or raise Refused where that is too long."""
        with self._lock:
            left = self._not_before - self._clock()
        if left > self._longest:
            raise Refused("quota", "the server asked to be left alone for longer than a call waits")
        if left > 0:
            self._sleep(left)

    def heed(self, headers: Mapping[str, str], attempt: int | None) -> None:
        """Move the next request to where the headers, or the number of failed attempts, put it.

        Args:
            attempt: failed attempts at this request so far, from 0; None after a success.
        """
        asked = retry_after(headers)
        for kind in ("requests", "tokens"):
            if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0":
                asked = max(asked or 0.0, seconds(headers.get(f"x-ratelimit-reset-{kind}", "")))
        if asked is None and attempt is not None:
            asked = BASE * 2**attempt * self._draw.uniform(0.5, 1.0)
        if asked:
            with self._lock:
                self._not_before = max(self._not_before, self._clock() + asked)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number or an HTTP date."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        return max(0.0, min(float(text), 86_400.0))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    now = datetime.now(UTC)
    return max(0.0, (at - now).total_seconds() if at.tzinfo else 0.0)


def seconds(text: str) -> float:
    """Read a duration as rate-limit headers write it: `1s`, `6m0s`, `20ms`; 0 where it is none."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return 0.0
    try:
        hours, minutes, rest, thousandths = (float(part or 0) for part in match.groups())
    except ValueError:  # dots that make no number
        return 0.0
    return hours * 3600 + minutes * 60 + rest + thousandths / 1000


def utc_day() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())
