"""Patterns of an organisation's own, checked before use: what may run for ever is refused.

Decides by counting the ways in which a pattern can match one place: a backtracking matcher tries
them all before it gives up. Allowed is what an identifier format needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_PATTERN = 200  # characters; an identifier format needs far less
MAX_REPEAT = 100
MAX_WAYS = 2000  # ways to match at one place
UNBOUNDED = 100  # what the one unbounded repeat counts for
ADVICE = "write the repeats out, for example [A-Z]{2}[0-9]{6}"
_ZERO_WIDTH = "bBAZ"
_QUANTIFIER = re.compile(r"(?:[*+?]|\{(\d*)(,?)(\d*)\})([?+]?)")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that may run for ever.

    Allowed are classes, optional parts, alternatives, bounded repeats, at most one unbounded
    repeat, and groups that do not repeat, as long as there are few ways to match.

    Raises:
        ValueError: the pattern is too long, does not compile, matches nothing, or could backtrack
            for ever.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"pattern longer than {MAX_PATTERN} characters: shorten it")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"pattern does not compile: {error}") from None
    whole = _Reader(pattern).alternatives()
    if whole.width == 0:
        raise ValueError("pattern matches the empty text: make one part required")
    if whole.unbounded > 1:
        raise ValueError("pattern has more than one unbounded repeat: use {min,max}")
    if whole.ways > MAX_WAYS:
        raise ValueError(
            f"pattern can match in more than {MAX_WAYS} ways and could run for ever: use fewer "
            "optional parts, alternatives and wide repeats"
        )


@dataclass(slots=True)
class _Part:
    width: int  # characters it takes at least
    ways: int
    unbounded: int = 0


class _Reader:
    """Reads a pattern that compiles, once, left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def alternatives(self) -> _Part:
        """Read up to the end or the closing bracket of the group."""
        whole = self._sequence()
        while self._next("|"):
            other = self._sequence()
            whole = _Part(
                min(whole.width, other.width),
                whole.ways + other.ways,
                whole.unbounded + other.unbounded,
            )
        return whole

    def _sequence(self) -> _Part:
        whole = _Part(0, 1)
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            grouped = self._pattern[self._at] == "("
            part = self._repeated(self._piece(), grouped)
            whole.width += part.width
            whole.ways = min(whole.ways * part.ways, MAX_WAYS + 1)
            whole.unbounded += part.unbounded
        return whole

    def _piece(self) -> _Part:
        if self._next("("):
            if self._next("?") and not self._next(":"):
                raise ValueError(f"pattern refers back, looks around or sets flags: {ADVICE}")
            inside = self.alternatives()
            self._next(")")
            return inside
        if found := _CLASS.match(self._pattern, self._at):
            self._at = found.end()
            return _Part(1, 1)
        char = self._pattern[self._at]
        self._at += 1
        if char == "\\":
            escaped = self._pattern[self._at]
            self._at += 1
            if escaped in "123456789":
                raise ValueError(f"pattern refers back: {ADVICE}")
            return _Part(0 if escaped in _ZERO_WIDTH else 1, 1)
        return _Part(0 if char in "^$" else 1, 1)

    def _repeated(self, part: _Part, grouped: bool) -> _Part:
        found = _QUANTIFIER.match(self._pattern, self._at)
        if found is None or found.group() == "{}":
            return part
        self._at = found.end()
        if found.group().startswith("?"):
            return _Part(0, part.ways + 1, part.unbounded)
        if grouped:
            raise ValueError(f"pattern repeats a group and could run for ever: {ADVICE}")
        least, comma, most, _ = found.groups()
        if least is None:  # * or +
            return _Part(part.width * found.group().startswith("+"), UNBOUNDED, 1)
        low = int(least or 0)
        if comma and not most:
            return _Part(low * part.width, UNBOUNDED, 1)
        high = int(most) if comma else low
        if high > MAX_REPEAT:
            raise ValueError(f"pattern repeats more than {MAX_REPEAT} times: use a smaller bound")
        return _Part(low * part.width, high - low + 1)

    def _next(self, text: str) -> bool:
        if not self._pattern.startswith(text, self._at):
            return False
        self._at += len(text)
        return True
